# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that RDS gives to the database engines of a family. Pure, and private to this collection.

The API of RDS describes and modifies databases of other engines too, such as Oracle, Neptune and DocumentDB. For those
IAM database authentication means something else: a Neptune cluster then refuses all requests that are not signed
(docs.aws.amazon.com/neptune/latest/userguide/iam-auth-enable.html).
"""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

FAMILIES = {"mysql": ("mysql", "mariadb", "aurora-mysql")}
# The engines whose databases this collection changes.
SUPPORTED = FAMILIES["mysql"]


def engine_names(family: str) -> list[str]:
    """Return the engines of a family. Raises RdsIamError for a family that this collection does not know."""
    if family not in FAMILIES:
        raise RdsIamError(f"There is no family of engines {family}; give one of {', '.join(FAMILIES)}.")
    return list(FAMILIES[family])
