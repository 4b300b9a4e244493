# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.client_parts import client_parts

PROGRAM = "#!/usr/bin/python3 -I\n"
# By sha256sum of coreutils.
CHECKSUM = "a06ced6c1e6bba945224534952aa5f99812043e2a1c9c9984986da400bfcfcee"
COMPLETE = {"client_program": "/usr/bin/mysql", "missing": [], "program": {"checksum": CHECKSUM, "mode": "0755"}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, ["client", "program"]),
        ({"missing": ["libraries"]}, ["program"]),
        ({"program": None}, ["client"]),
        ({"program": {"checksum": CHECKSUM, "mode": "0644"}}, ["client"]),
        ({"program": {"checksum": CHECKSUM.upper(), "mode": "0755"}}, ["client"]),
    ],
)
def test_parts(changes, parts):
    assert client_parts({**COMPLETE, **changes}, PROGRAM) == parts


def test_a_client_that_could_not_be_examined_has_nothing_in_place():
    assert client_parts({"failed": False, "msg": "/bin/sh: 1: /usr/bin/python3: not found"}, PROGRAM) == []


def test_a_client_that_was_not_reached():
    with pytest.raises(RdsIamError, match="Connection refused"):
        client_parts({"unreachable": True, "msg": "Connection refused"}, PROGRAM)
