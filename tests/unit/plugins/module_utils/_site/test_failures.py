# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.failures import failure_reason, is_bad


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"failed": True, "msg": "There is\n none."}, "There is none."),
        ({"failed": True, "msg": ["one", "two"]}, "['one', 'two']"),
        (
            {
                "failed": True,
                "msg": "One or more items failed",
                "results": [
                    {"item": 1, "msg": "fine"},
                    {"item": 2, "failed": True, "msg": "No package x."},
                    {"item": 3, "failed": True, "msg": "No package x."},
                    {"item": 4, "unreachable": True, "msg": "No route."},
                ],
            },
            "No package x. No route.",
        ),
        ({"failed": True, "msg": "Interrupted.", "results": []}, "Interrupted."),
        ({"failed": True, "censored": "hidden"}, 'the task "Create it" failed'),
    ],
)
def test_reason(result, reason):
    assert failure_reason(result, "Create it") == reason


def test_a_task_without_a_name():
    assert failure_reason({"failed": True}) == "a task failed without a message"


def test_bad_results():
    assert is_bad({"failed": True}) and is_bad({"unreachable": True})
    assert not is_bad({"failed": False}) and not is_bad({})
