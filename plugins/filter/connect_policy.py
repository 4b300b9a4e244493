# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.connect_policy import connect_policy
from ansible_collections.dbops.rds_iam.plugins.plugin_utils.filter_errors import as_filter


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"connect_policy": as_filter(connect_policy)}
