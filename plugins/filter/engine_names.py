# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines import engine_names as engines
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def engine_names(family: str) -> list[str]:
    try:
        return engines.engine_names(family)
    except RdsIamError as exc:
        raise AnsibleFilterError(str(exc)) from None


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], list[str]]]:
        return {"engine_names": engine_names}
