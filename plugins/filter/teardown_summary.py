# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site import teardown_summary as summary


def teardown_summary(facts: summary.TeardownFacts) -> list[str]:
    try:
        return summary.render(summary.summarize(facts), facts["check"])
    except RdsIamError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[[summary.TeardownFacts], list[str]]]:
        return {"teardown_summary": teardown_summary}
