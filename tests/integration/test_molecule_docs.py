# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/molecule.md, done as printed: in a project outside of the checkout, with the collection from its archive."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs/molecule.md").read_text()
FILES = re.findall(r"`([\w/]+\.yml)` [^`]*\n```yaml\n(.*?)^```$", PAGE, re.M | re.S)
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S))
LAB_UP = "lab up --state .lab"


@pytest.fixture
def project():
    """A project beside the checkout. The path is short, as the lab's sockets need it."""
    parent = Path(tempfile.mkdtemp(prefix="molecule-"))
    parent.chmod(0o755)
    (parent / "rds_iam").symlink_to(CHECKOUT)
    # In place of Galaxy: the collection that ours depends on.
    installed = parent / "installed/ansible_collections"
    installed.mkdir(parents=True)
    (installed / "amazon").symlink_to(Path(sysconfig.get_path("purelib")) / "ansible_collections/amazon")
    (parent / "project").mkdir()
    yield parent / "project"
    subprocess.run([CHECKOUT / "tests/lab/lab", "down", "--state", parent / "project/.lab"], check=True)
    shutil.rmtree(parent)


def test_the_page_works_as_printed(project):
    scenario = ["molecule/default/molecule.yml", "molecule/default/verify.yml"]
    assert [name for name, _text in FILES] == ["playbook.yml", *scenario]
    for name, text in FILES:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    assert f"{LAB_UP}\n" in COMMANDS
    # With both engines where the page says that they are to be had.
    engines = " --engine both" if platform.freedesktop_os_release()["ID"] == "debian" else ""
    process = subprocess.run(
        ["bash", "-euxc", COMMANDS.replace(LAB_UP, LAB_UP + engines)],
        cwd=project,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(project.parent / "installed")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    output = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout)
    assert process.returncode == 0, output
    assert set(re.findall(r"default ➜ (\w+): Executed: Successful", output)) == {"converge", "idempotence", "verify"}
    # The roles that ran are those of the archive, not those of the checkout. Molecule breaks long lines.
    roles = re.findall(r"included:\s*(\S+)/roles/", re.sub(r"\n\s*│ {1,3}", "", output))
    assert set(roles) == {str(project / "collections/ansible_collections/dbops/rds_iam")}
