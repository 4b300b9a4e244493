# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.teardown_summary import iam_auth_keep_reason


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"iam_auth_keep_reason": iam_auth_keep_reason}
