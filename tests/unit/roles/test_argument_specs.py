# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The defaults of a role, its argument specs and the variables that it uses are the same."""

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


def test_every_variable_that_is_used_has_an_option(role):
    known = set().union(*entry_points(role).values())
    registered = set(load(role / "vars" / "main.yml"))
    for directory in ("tasks", "templates", "defaults", "vars", "handlers"):
        for path in (role / directory).rglob("*"):
            if path.is_file():
                used = set(re.findall(rf"(?<![\w.]){role.name}_\w+", path.read_text()))
                assert used <= known | registered, path


def test_every_entry_point_has_its_tasks(role):
    for name in entry_points(role):
        assert (role / "tasks" / f"{name}.yml").exists()
