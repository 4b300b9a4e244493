# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option of every plugin and role is set by some test, example or scenario, where that plugin or role is used.

Where it is used: in YAML, also in a string of a test, a task or a set of variables; in Python a function that names the
plugin, one that uses such a function or fixture, and what these use. Options of amazon.aws's own are tested there.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
FILTERS = sorted(path.stem for path in (PLUGINS / "filter").glob("*.yml"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
COLLECTION = "dbops.rds_iam."
# The tests run every playbook.
EXERCISED = [ROOT / "tests", ROOT / "extensions", ROOT / "docs" / "examples", ROOT / "playbooks"]


def files(pattern: str) -> list[Path]:
    return sorted(path for directory in EXERCISED for path in directory.rglob(pattern))


def part(path: Path, name: str) -> str:
    """DOCUMENTATION or EXAMPLES of a Python file, which holds it as a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value.value
    raise AssertionError(f"{path} has no {name}")


def flat(options: dict, below: str = "options") -> set[str]:
    """The names of options and suboptions."""
    return set(options).union(*(flat(option.get(below) or {}, below) for option in options.values()))


def documented(path: Path) -> set[str]:
    documentation = yaml.safe_load(part(path, "DOCUMENTATION"))
    names = flat(documentation.get("options", {}), "suboptions")
    for fragment in documentation.get("extends_documentation_fragment", []):
        if fragment.startswith(COLLECTION):
            shared = PLUGINS / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"
            names |= flat(yaml.safe_load(part(shared, "DOCUMENTATION")).get("options", {}), "suboptions")
    return names


def keys(data) -> set[str]:
    """The keys of a YAML document, at any depth."""
    if isinstance(data, list):
        return set().union(*map(keys, data))
    return set(data).union(*map(keys, data.values())) if isinstance(data, dict) else set()


def values(data, key: str):
    """Yield what stands below this key, wherever it is."""
    for one in data if isinstance(data, list) else data.values() if isinstance(data, dict) else ():
        yield from values(one, key)
    if isinstance(data, dict) and key in data:
        yield data[key]


def strings(tree) -> list[str]:
    """The strings in a piece of Python, f-strings as they are written."""
    nodes = list(ast.walk(tree))
    plain = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return plain + [ast.unparse(node) for node in nodes if isinstance(node, ast.JoinedStr)]


def yaml_of(text: str):
    try:
        return yaml.safe_load(textwrap.dedent(text))
    except yaml.YAMLError:  # a sentence, a template
        return None


def names_of(tree) -> set[str]:
    """The names that a piece of Python uses: variables, parameters, attributes of modules."""
    nodes = list(ast.walk(tree))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }


def set_in(tree) -> set[str]:
    """The keys of dictionaries and the keyword arguments in a piece of Python, and NAME=VALUE in its strings."""
    found = {name for text in strings(tree) for name in re.findall(r"^(\w+)=", text)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.keyword):
            found.add(node.arg)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.add(getattr(node.slice, "value", None))
    return found


class Source:
    """A Python file, as pieces: its functions, classes and constants, and the fixtures that it can use."""

    def __init__(self, path: Path):
        around = [path.with_name("conftest.py")] if path.name != "conftest.py" else []
        trees = [ast.parse(file.read_text()) for file in [path, *around] if file.exists()]
        imports = (ast.Import, ast.ImportFrom)
        self.pieces = [piece for tree in trees for piece in tree.body if not isinstance(piece, imports)]
        self.names = {id(piece): names_of(piece) for piece in self.pieces}
        self.strings = {id(piece): set(strings(piece)) for piece in self.pieces}
        self.sets = {id(piece): set_in(piece) for piece in self.pieces}

    @staticmethod
    def defines(piece) -> set[str]:
        if isinstance(piece, ast.Assign):
            return {name for target in piece.targets for name in names_of(target)}
        return {piece.name} if hasattr(piece, "name") else set()

    def set_for(self, *names: str) -> set[str]:
        """Return what is set where one of the names is mentioned, in what uses that, and in what all of them use."""
        places = [piece for piece in self.pieces if {*names} & (self.strings[id(piece)] | self.names[id(piece)])]
        while True:
            defined = set().union(*map(self.defines, places))
            more = [piece for piece in self.pieces if piece not in places and self.names[id(piece)] & defined]
            if not more:
                break
            places += more
        used = set().union(*(self.names[id(piece)] for piece in places))
        places += [piece for piece in self.pieces if self.defines(piece) & used]
        return set().union(*(self.sets[id(piece)] for piece in places))


SOURCES = {path: Source(path) for path in files("*.py")}
TEXTS = {path: strings(ast.parse(path.read_text())) for path in SOURCES}
DOCUMENTS = [
    *(document for path in files("*.yml") for document in yaml.safe_load_all(path.read_text())),
    *(yaml_of(part(path, "EXAMPLES")) for path in (PLUGINS / "modules").glob("*.py")),
    yaml_of(part(PLUGINS / "lookup" / "rds_auth_token.py", "EXAMPLES")),
    *(yaml_of(yaml.safe_load(path.read_text())["EXAMPLES"]) for path in (PLUGINS / "filter").glob("*.yml")),
    *(yaml_of(text) for texts in TEXTS.values() for text in texts if COLLECTION in text),
]
TEMPLATES = [text for data in DOCUMENTS for text in re.findall(r"\{\{.*?\}\}", str(data), re.S)] + [
    text for texts in TEXTS.values() for text in texts
]


def exercised(module: str) -> set[str]:
    found = {name for data in DOCUMENTS for value in values(data, COLLECTION + module) for name in keys(value)}
    return found.union(*(source.set_for(module, COLLECTION + module) for source in SOURCES.values()))


@pytest.mark.parametrize("module", MODULES)
def test_options_of_modules(module):
    assert documented(PLUGINS / "modules" / f"{module}.py") - exercised(module) == set()


def test_options_of_the_lookup():
    calls = [found for text in TEMPLATES for found in re.findall(r"lookup\(.dbops\.rds_iam\.rds_auth_token(.*)", text)]
    found = {name for call in calls for name in re.findall(r"(\w+)=", call)} | ({"_terms"} if calls else set())
    assert documented(PLUGINS / "lookup" / "rds_auth_token.py") - found == set()


def arguments_at(text: str, start: int) -> list[str]:
    """The arguments of the call whose parentheses, if any, begin there: of a filter, or of map() with its name."""
    depth, arguments = 0, [""]
    for char in text[start:]:
        if depth == 0 and char != "(" and not (char in "', \n" and arguments == [""]):
            break
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            break
        if depth == 1 and char in "(,":
            arguments.append("")
        else:
            arguments[-1] += char
    return [argument for argument in arguments if argument.strip(" '\n")]


@pytest.mark.parametrize("name", FILTERS)
def test_options_of_filters(name):
    documented = yaml.safe_load((PLUGINS / "filter" / f"{name}.yml").read_text())["DOCUMENTATION"]
    positional = [one for one in re.split(r",\s*", documented.get("positional", "")) if one]
    exercised = set()
    for text in [*TEMPLATES, *(path.read_text() for path in (ROOT / "roles").rglob("*.yml"))]:  # tests run every role
        for match in re.finditer(rf"dbops\.rds_iam\.{name}\b", text):
            arguments = arguments_at(text, match.end())
            exercised |= {"_input", *positional[: len(arguments)]}
    assert set(documented["options"]) - exercised == set()


@pytest.mark.parametrize("role", ROLES)
def test_variables_of_roles(role):
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    missing = set()
    for spec in specs.values():
        for name, option in spec.get("options", {}).items():
            found = defaultdict(set)
            for data in DOCUMENTS:
                for value in values(data, name):
                    found[name] |= {name, *keys(value)}
            for source in SOURCES.values():
                found[name] = found[name].union(*(names for names in source.sets.values() if name in names))
            missing |= {f"{name}: {one}" for one in {name, *flat(option.get("options", {}))} - found[name]}
    assert missing == set()
