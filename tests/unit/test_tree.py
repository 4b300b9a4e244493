# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules for the files of the checkout as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import tokenize
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def tracked() -> list[Path]:
    """The files that git keeps or is going to keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for path in (ROOT / name for name in listed.split("\0") if name) if path.is_file()]


FILES = tracked()


def found(pattern: str, files: list[Path]) -> list[str]:
    """FILE:LINE of each line that has the pattern."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]


def below(*directories: str) -> list[Path]:
    return [path for path in FILES if path.relative_to(ROOT).parts[0] in directories]


def test_the_collection_does_not_know_the_lab():
    assert found(r"(?i)\blab\b|ministack|10\.77\.|127\.77\.", below("plugins", "roles", "playbooks", "meta")) == []


def test_packages_are_installed_in_one_place():
    """The modules of Ansible for it let a package manager remove others."""
    modules = r"\b(apt|dnf5?|yum|package):|apt-get .*install|dnf .*install"
    assert found(modules, below("playbooks", "roles")) == []


def test_one_place_opens_connections_to_databases():
    drivers = r"pymysql|MySQLdb|mysql\.connector|mariadb\.connect|open_connection|socket\b"
    imports = found(rf"^\s*(import|from)\s+({drivers})", below("plugins", "roles", "playbooks"))
    # The modules, and the program rds-mysql, which a host runs without the collection.
    places = {"plugins/module_utils/_engines/mysql/connection.py", "plugins/module_utils/_engines/mysql/login_relay.py"}
    assert {line.split(":")[0] for line in imports} == places


def test_nothing_outside_the_engines_knows_the_name_of_one():
    names = {"mysql", "mariadb", "aurora-mysql", "aurora", "postgres", "aurora-postgresql"}
    engines = ROOT / "plugins/module_utils/_engines"
    literals = [
        f"{path.relative_to(ROOT)}: {node.value}"
        for path in below("plugins")
        if path.suffix == ".py" and engines not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert literals == []


def test_errors_leave_their_causes_behind():
    """A cause is shown with its traceback, where nothing masks it, and AWS may quote a session token in it."""
    assert found(r"\bfrom exc\b", below("plugins")) == []


def test_no_file_names_one_machine_or_a_registry():
    local = r"[/](home|srv|work|Users)[/]\w"
    assert found(rf"{local}|deb\.debian\.org|pypi\.org|registry\.npmjs|pythonhosted\.org", FILES) == []


def test_no_file_holds_an_access_key():
    key = r"A[KS]IA(?!.{0,15}EXAMPLE)[A-Z0-9]{16}(?![A-Z0-9])"
    assert found(key, below("plugins", "roles", "playbooks", "docs", "extensions", "README.md")) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=str)
def test_links_lead_to_files(path):
    targets = [target.partition("#")[0] for target in LINK.findall(path.read_text()) if "://" not in target]
    assert [target for target in targets if target and not (path.parent / target).exists()] == []


def headings(path: Path) -> set[str]:
    titles = [line.lstrip("# ").lower() for line in path.read_text().splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=str)
def test_headings_that_links_name_exist(path):
    named = [target.split("#") for target in LINK.findall(path.read_text()) if "#" in target and "://" not in target]
    lost = [title for file, title in named if title not in headings(path.parent / file if file else path)]
    assert lost == []


def test_readme_shows_examples_as_they_are():
    """A link to one is followed by what stands in it below the comment at its beginning."""
    shown = re.findall(r"\[docs/examples/([\w.]+)\]\S+:\n\n```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(shown) == 2
    for name, text in shown:
        assert (ROOT / "docs/examples" / name).read_text().split("\n\n", 2)[2] == text


def test_troubleshooting_quotes_what_the_collection_says():
    page = (ROOT / "docs/troubleshooting.md").read_text()
    rows = re.findall(r"^\|([^|]+)\|", page.split("## What the collection says")[1], re.M)
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    source = " ".join(path.read_text() for path in below("plugins", "roles", "playbooks"))
    # A sentence goes on in the next line of the source.
    source = re.sub(r"\s+", " ", re.sub(r'"\s*\n\s*f?"', "", source))
    assert len(quoted) > 10
    assert [text for text in quoted if text not in source] == []


def test_readme_names_every_role_and_plugin():
    text = (ROOT / "README.md").read_text()
    roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}
    kinds = [ROOT / "plugins" / kind for kind in ("modules", "lookup", "filter")]
    plugins = {path.stem for kind in kinds for path in kind.glob("[!_]*.py")}
    assert [name for name in sorted(roles | plugins) if f"`{name}`" not in text] == []


def test_modules_that_change_nothing_have_the_same_attributes():
    modules = [path.read_text() for path in (ROOT / "plugins" / "modules").glob("[!_]*.py")]
    assert sum("\n  - dbops.rds_iam.attributes\n" in text for text in modules) > 5
    assert not [text for text in modules if "description: Changes nothing.\n" in text], "the fragment says it"


def test_packages_import_each_other_as_drawn():
    """CONTRIBUTING.md has a line for each package with those that it imports, which stand below it."""
    lines = re.findall(r"^(_\w+) -> (.+)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    drawn = {package: set(imported.split()) for package, imported in lines}
    utils = ROOT / "plugins" / "module_utils"
    real: dict[str, set[str]] = {}
    for path in utils.rglob("*.py"):
        package = path.relative_to(utils).parts[0].removesuffix(".py")
        imported = re.findall(r"^ *from [\w.]+\.module_utils(?:\.| import )(_\w+)", path.read_text(), re.M)
        real[package] = real.get(package, set()) | (set(imported) - {package})
    assert drawn == {package: imported for package, imported in real.items() if imported}
    order = list(drawn)
    upwards = [(a, b) for a in drawn for b in drawn[a] if b in drawn and order.index(a) > order.index(b)]
    assert upwards == []


def code_lines(path: Path) -> int:
    """Count the lines of code, without comments and documentation."""
    documentation = {
        line
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Expr, ast.Assign)) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Expr) or ast.unparse(node.targets[0]) in ("DOCUMENTATION", "EXAMPLES", "RETURN")
        for line in range(node.lineno, node.end_lineno + 1)
    }
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    with path.open() as source:
        tokens = [token for token in tokenize.generate_tokens(source.readline) if token.type not in blank]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - documentation)


def test_modules_are_short():
    sizes = {path.name: code_lines(path) for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert {name: lines for name, lines in sizes.items() if lines > 150} == {}


def test_functions_are_short():
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in FILES
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno >= 40
    ]
    assert long == []


def tag_lists(data):
    """Yield the lists of tags in a playbook, of its plays and tasks."""
    for one in data if isinstance(data, list) else data.values() if isinstance(data, dict) else ():
        yield from tag_lists(one)
    if isinstance(data, dict) and isinstance(data.get("tags"), list):
        yield set(data["tags"])


def test_each_step_has_a_number_and_a_word_as_tags():
    """The page of the workshop lists both, and no task has one without the other."""
    words = dict(re.findall(r"`(step\d)`, `(\w+)` \|$", (ROOT / "docs/workshop.md").read_text(), re.M))
    assert sorted(words) == [f"step{number}" for number in range(1, 10)]
    for name in ("site", "teardown", "tags"):
        path = ROOT / f"playbooks/{name}.yml"
        lists = list(tag_lists(yaml.safe_load(path.read_text())))
        assert lists and found(r"tags: *step", [path]) == []
        for tags in lists:
            assert {words[tag] for tag in tags & set(words)} == tags - set(words), path
