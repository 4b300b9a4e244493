# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The intervals of polling."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import polling


def test_attempts_grow_and_end_on_time(clock):
    count = sum(1 for _attempt in polling.attempts(60))
    assert clock.pauses[:4] == [0.5, 0.75, 1.125, 1.6875]
    assert max(clock.pauses) == 10
    assert clock.now == 60
    assert count == len(clock.pauses) + 1


def test_no_time_is_one_attempt(clock):
    assert sum(1 for _attempt in polling.attempts(0)) == 1
    assert clock.pauses == []
