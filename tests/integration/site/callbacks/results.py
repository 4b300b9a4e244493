# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the result of each task to a file, a line of JSON each, for tests that look at all of it."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: results
type: aggregate
short_description: Write the result of each task to a file
description: One line of JSON for each result, in the file that the environment variable RESULTS names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "results"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result):
        task = result._task
        with open(os.environ["RESULTS"], "a") as stream:
            line = {"host": result._host.name, "action": task.action, "name": task.name, "result": result._result}
            print(json.dumps(line), file=stream)
