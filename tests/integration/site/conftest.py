# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests that drive the playbooks against a lab. They run inside its network: C(make integration) starts them there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from driver import Lab, state_of_the_lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(state_of_the_lab())
