# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep the warnings of one module's test out of the result of the next."""

from __future__ import annotations

import pytest
from ansible.module_utils.common import warnings


@pytest.fixture(autouse=True)
def forget_warnings():
    """Ansible keeps them for the whole process, which for it is one module."""
    yield
    warnings._global_warnings.clear()
