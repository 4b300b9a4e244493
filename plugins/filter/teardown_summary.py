# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._site import teardown_summary as summary
from ansible_collections.dbops.rds_iam.plugins.plugin_utils.filter_errors import as_filter


def teardown_summary(facts: summary.TeardownFacts) -> list[str]:
    return summary.render(summary.summarize(facts), facts["check"])


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"teardown_summary": as_filter(teardown_summary)}
