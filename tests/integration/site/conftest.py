# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests that drive the playbooks against a lab. They run inside its network: C(make integration) starts them there."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from driver import Lab, build, install, state_of_the_lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(state_of_the_lab())


@pytest.fixture(scope="module", autouse=True)
def fresh(lab):
    """No file of tests finds what another one has left on clients and databases."""
    lab.reset()


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """A collections path with what a user installs: the archive, and what it depends on."""
    place = tmp_path_factory.mktemp("installed")
    install(build(tmp_path_factory.mktemp("archive")), place)
    amazon = Path(sysconfig.get_path("purelib")) / "ansible_collections/amazon"
    (place / "ansible_collections/amazon").symlink_to(amazon)
    return place


@pytest.fixture(scope="session")
def user(installed) -> dict:
    """The environment of a user, without the checkout, which the environment of the tests has as a collection."""
    return {"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false"}


@pytest.fixture
def with_rights(lab):
    """The environment of an IAM user who has exactly these statements as rights."""
    with lab.with_rights("limited") as with_rights:
        yield with_rights
