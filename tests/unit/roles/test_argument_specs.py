# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The defaults of a role, its argument specs and the variables that it uses are the same, for each entry point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if path.is_dir())


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def entry_points(role: Path) -> dict[str, dict]:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: spec.get("options", {}) for name, spec in specs.items()}


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request) -> Path:
    return request.param


def test_every_default_has_an_option(role):
    assert set(load(role / "defaults" / "main.yml")) <= set(entry_points(role)["main"])


def test_defaults_equal_those_of_the_options(role):
    # A default that is made of private variables means nothing to a reader: the option describes it in words.
    defaults = {
        name: value
        for name, value in load(role / "defaults" / "main.yml").items()
        if f"_{role.name}_" not in str(value)
    }
    for name, options in entry_points(role).items():
        documented = {option: spec["default"] for option, spec in options.items() if "default" in spec}
        expected = {option: value for option, value in defaults.items() if option in options}
        assert documented == expected, f"entry point {name}"


def test_required_options_have_no_default(role):
    for options in entry_points(role).values():
        assert not [option for option, spec in options.items() if spec.get("required") and "default" in spec]


def test_options_are_typed_described_and_named_after_the_role(role):
    for options in entry_points(role).values():
        for name, spec in options.items():
            assert name.startswith(f"{role.name}_")
            assert spec["type"]
            assert spec["description"]


def public_results(role: Path) -> set[str]:
    """The variables without an underscore that tasks register, for whoever uses the role."""
    registered = {name for path in (role / "tasks").iterdir() for name in values(load(path), "register")}
    return {name for name in registered if not name.startswith("_")}


def test_public_results_are_in_the_readme(role):
    text = (role / "README.md").read_text()
    assert [name for name in sorted(public_results(role)) if f"| `{name}` |" not in text] == []


def test_every_variable_that_is_used_has_an_option(role):
    known = set().union(*entry_points(role).values())
    registered = set(load(role / "vars" / "main.yml")) | public_results(role)
    for directory in ("tasks", "templates", "defaults", "vars", "handlers"):
        for path in (role / directory).rglob("*"):
            if path.is_file():
                used = set(re.findall(rf"(?<![\w.]){role.name}_\w+", path.read_text()))
                assert used <= known | registered, path


INCLUDES = ("include_tasks", "import_tasks", "include_role", "import_role", "include_vars", "template")


def values(data, key: str):
    """The values of a key, with or without ansible.builtin, wherever it is in a YAML document."""
    for value in data if isinstance(data, list) else data.values() if isinstance(data, dict) else ():
        yield from values(value, key)
    if isinstance(data, dict):
        yield from (data[name] for name in (key, f"ansible.builtin.{key}") if name in data)


def texts(data) -> list[str]:
    """The strings of a YAML document that may hold expressions: all but the keys, and no comment."""
    if isinstance(data, (dict, list)):
        return [text for value in (data.values() if isinstance(data, dict) else data) for text in texts(value)]
    return [data] if isinstance(data, str) else []


def included(role: Path, tasks) -> set[Path]:
    """The task files, templates and files of variables that tasks name. A name that is made at run time may be any."""
    names = {
        "tasks": [
            *(
                value if isinstance(value, str) else value["file"]
                for key in INCLUDES[:2]
                for value in values(tasks, key)
            ),
            *(
                f"{value.get('tasks_from', 'main')}.yml"
                for key in INCLUDES[2:4]
                for value in values(tasks, key)
                if value["name"].rpartition(".")[2] == role.name
            ),
        ],
        "vars": [value if isinstance(value, str) else value["file"] for value in values(tasks, "include_vars")],
        "templates": [value["src"] for value in values(tasks, "template")],
    }
    found = set()
    for directory, given in names.items():
        for name in given:
            made = "{{" in name
            found |= {*(role / directory).iterdir()} if made else {role / directory / name}
    return found


def reached(role: Path, entry_point: str) -> set[Path]:
    """The files that the tasks of an entry point reach."""
    files, waiting = set(), {role / "tasks" / f"{entry_point}.yml"}
    while waiting:
        file = waiting.pop()
        files.add(file)
        if file.parent.name == "tasks":
            waiting |= included(role, load(file)) - files
    return files


def variables_read(role: Path, entry_point: str) -> set[str]:
    """The variables of the role that the tasks of an entry point read, also by way of other variables and defaults."""
    name = re.compile(rf"(?<![\w.])_?{role.name}_\w+")
    behind = {**load(role / "defaults" / "main.yml"), **load(role / "vars" / "main.yml")}
    waiting = set()
    for file in reached(role, entry_point):
        text = " ".join(texts(load(file))) if file.suffix == ".yml" else file.read_text()
        waiting |= set(name.findall(text))
    read = set()
    while waiting:
        variable = waiting.pop()
        read.add(variable)
        waiting |= set(name.findall(" ".join(texts([behind.get(variable)])))) - read
    # What begins like the name of the role, as the module rds_ca_bundle and its options.
    public = {variable for variable in read if not variable.startswith("_")}
    return public - set(load(role / "vars" / "main.yml")) - public_results(role)


def test_every_option_of_an_entry_point_is_read_by_its_tasks(role):
    unread = {
        entry_point: set(options) - variables_read(role, entry_point)
        for entry_point, options in entry_points(role).items()
    }
    assert not any(unread.values()), unread


def test_every_variable_that_the_tasks_of_an_entry_point_read_is_its_option(role):
    unlisted = {
        entry_point: variables_read(role, entry_point) - set(options)
        for entry_point, options in entry_points(role).items()
    }
    assert not any(unlisted.values()), unlisted


def test_the_reading_of_tasks_finds_what_it_is_to_find(tmp_path):
    """An include, a template, and variables behind others; and no comment, no key, no other name."""
    role = tmp_path / "shop"
    files = {
        "tasks/main.yml": "- ansible.builtin.include_tasks: more.yml\n  when: shop_state == 'present'\n# shop_note\n",
        "tasks/more.yml": "- ansible.builtin.template:\n    src: page.j2\n    dest: '{{ _shop_path }}'\n",
        "tasks/other.yml": "- ansible.builtin.debug:\n    var: shop_other\n",
        "templates/page.j2": "{{ shop_title }} {{ x.shop_attribute }}",
        "vars/main.yml": "_shop_path: '{{ shop_root }}/page'\n",
        "defaults/main.yml": "shop_root: '{{ shop_prefix }}/shop'\nshop_prefix: /srv\n",
    }
    for name, text in files.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    assert variables_read(role, "main") == {"shop_state", "shop_title", "shop_root", "shop_prefix"}
    assert variables_read(role, "other") == {"shop_other"}
    (role / "tasks/main.yml").write_text("- ansible.builtin.include_tasks: '{{ shop_kind }}.yml'\n")
    assert {"shop_kind", "shop_other", "shop_title"} <= variables_read(role, "main")


def test_every_entry_point_has_its_tasks(role):
    for name in entry_points(role):
        assert (role / "tasks" / f"{name}.yml").exists()
