# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""As AWX runs it: the collection from its archive, ansible-runner with a private data directory, ansible-builder."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from driver import ROOT, build, install, run


def printed(words: str) -> str:
    """The YAML that docs/operations.md prints after the line that ends with these words."""
    page = (ROOT / "docs" / "operations.md").read_text()
    return re.search(rf"{re.escape(words)}:\n\n```yaml\n(.*?)```", page, re.S)[1]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def private(fleet, archive, tmp_path) -> Path:
    """A private data directory as AWX makes it, from a project that has one playbook."""
    install(archive, tmp_path / "project" / "collections")
    (tmp_path / "project" / "login.yml").write_text(printed("needs one playbook"))
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "hosts.json").write_text(Path(fleet.info["inventory"]).read_text())
    (tmp_path / "env").mkdir()
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    (tmp_path / "env" / "envvars").write_text(json.dumps(aws))
    return tmp_path


def test_private_data_directory(fleet, proven, private):
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_INVENTORY"))}
    run("ansible-runner", "run", private, "-p", "login.yml", "--ident", "job", env=mine)
    artifacts = private / "artifacts" / "job"
    assert (artifacts / "rc").read_text() == "0"
    said = (artifacts / "stdout").read_text()
    assert re.search(r"\d+ of \d+ logins were tried, and all are proven", said)
    events = [json.loads(file.read_text()) for file in (artifacts / "job_events").glob("*.json")]
    [stats] = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    assert stats["changed"] == stats["failures"] == stats["dark"] == {}
    # The playbooks and roles are those of the archive.
    paths = {event["event_data"].get("task_path", "").partition(":")[0] for event in events}
    assert {path for path in paths if path.startswith(str(ROOT))} == set()
    assert any(path.startswith(str(private / "project" / "collections")) for path in paths)
    # What AWX keeps of a job holds no password.
    passwords = [database["master_password"] for database in fleet.databases.values()]
    kept = "".join(file.read_text() for file in artifacts.rglob("*") if file.is_file())
    assert [password for password in passwords if password in kept] == []


def built(definition: Path, place: Path) -> str:
    """Return the Containerfile that ansible-builder makes of a definition."""
    run("ansible-builder", "create", "--file", definition, "--context", place, "--output-filename", "Containerfile")
    return (place / "Containerfile").read_text()


def test_execution_environment_of_the_collection(tmp_path):
    built(ROOT / "meta" / "execution-environment.yml", tmp_path)
    assert "PyMySQL" in (tmp_path / "_build" / "requirements.txt").read_text()
    assert "openssh" in (tmp_path / "_build" / "bindep.txt").read_text()


def test_execution_environment_of_a_user(archive, tmp_path):
    """As docs/operations.md prints it; and ansible-builder finds what the installed collection needs."""
    (tmp_path / "execution-environment.yml").write_text(printed("`execution-environment.yml`"))
    (tmp_path / archive.name).write_bytes(archive.read_bytes())
    text = built(tmp_path / "execution-environment.yml", tmp_path / "context")
    [collection] = yaml.safe_load((tmp_path / "context" / "_build" / "requirements.yml").read_text())["collections"]
    # The paths are relative to where the Containerfile goes before it installs the collections.
    assert "COPY _build /build\nWORKDIR /build\n" in text
    assert (tmp_path / "context" / "_build" / collection["name"]).read_bytes() == archive.read_bytes()

    install(archive, tmp_path)
    needs = yaml.safe_load(run("ansible-builder", "introspect", tmp_path).partition("---\n")[2])
    assert any(line.startswith("PyMySQL") and "dbops.rds_iam" in line for line in needs["python"])
    assert any(line.startswith("openssh") for line in needs["system"])
