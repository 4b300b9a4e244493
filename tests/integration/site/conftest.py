# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests that drive the playbooks against a lab. They run inside its network: C(make integration) starts them there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from driver import Lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    state = os.environ.get("LAB_STATE")
    if not state:
        pytest.fail("These tests run inside a lab; start them with: make integration")
    return Lab(Path(state))
