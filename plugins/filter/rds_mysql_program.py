# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.rds_mysql_program import rds_mysql_program


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"rds_mysql_program": rds_mysql_program}
