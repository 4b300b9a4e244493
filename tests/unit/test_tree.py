# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for the files of the checkout as a whole."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import tomllib
import yaml

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def tracked() -> list[Path]:
    """The files that git keeps or is going to keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for path in (ROOT / name for name in listed.split("\0") if name) if path.is_file()]


FILES = tracked()
REUSE = tomllib.loads((ROOT / "REUSE.toml").read_text())


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


def test_one_place_opens_connections_to_databases():
    drivers = r"pymysql|MySQLdb|mysql\.connector|mariadb\.connect|open_connection|socket\b"
    imports = found(rf"^\s*(import|from)\s+({drivers})", below("plugins", "roles", "playbooks"))
    assert {line.split(":")[0] for line in imports} == {"plugins/module_utils/_mysql.py"}


def test_no_file_names_one_machine_or_a_registry():
    assert found(r"[/](work|farm)[/]|deb\.debian\.org|pypi\.org|registry\.npmjs|pythonhosted\.org", FILES) == []


def test_no_file_holds_an_access_key():
    key = r"A[KS]IA(?!.{0,15}EXAMPLE)[A-Z0-9]{16}(?![A-Z0-9])"
    assert found(key, below("plugins", "roles", "playbooks", "README.md")) == []


def test_every_file_names_its_licence():
    patterns = [pattern for item in REUSE["annotations"] for pattern in item["path"]]
    unlicensed = [
        str(path.relative_to(ROOT))
        for path in FILES
        if "SPDX-License-Identifier: GPL-3.0-or-later" not in path.read_text(errors="replace")[:1000]
        and not any(fnmatch(str(path.relative_to(ROOT)), pattern) for pattern in patterns)
    ]
    assert unlicensed == []


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


def test_aws_modules_are_in_the_action_group():
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["aws"]
    modules = (ROOT / "plugins" / "modules").glob("*.py")
    aws = {path.stem for path in modules if "amazon.aws.common.modules" in path.read_text()}
    assert {name for name in group if isinstance(name, str)} == aws
