# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that RDS gives to the database engines of a family. Pure, and private to this collection.

The API of RDS describes and modifies databases of other engines too, such as Oracle, Neptune and DocumentDB. For those
IAM database authentication means something else: a Neptune cluster then refuses all requests that are not signed
(docs.aws.amazon.com/neptune/latest/userguide/iam-auth-enable.html).
"""

from __future__ import annotations

import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

FAMILIES = {"mysql": ("mysql", "mariadb", "aurora-mysql")}
# The engines whose databases this collection changes.
SUPPORTED = tuple(engine for family in FAMILIES.values() for engine in family)
# The engine of a database of which RDS has said nothing; a login of rds_iam_ping does not name one either.
DEFAULT_ENGINE = "mysql"
# The engines whose users this collection reads; aurora is the name of Aurora MySQL version 1.
_WITH_READABLE_USERS = (*SUPPORTED, "aurora")
# The engines that rds-db:connect is not for.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.RDS_Fea_Regions_DB-eng.Feature.IamDatabaseAuthentication.html
# Neptune has its own actions, and DocumentDB its own way:
# https://docs.aws.amazon.com/neptune/latest/userguide/iam-auth.html
# https://docs.aws.amazon.com/documentdb/latest/developerguide/iam-identity-auth.html
_WITHOUT_IAM_LOGINS = re.compile(r"(custom-)?(oracle|sqlserver|db2)\b.*|neptune|docdb")


def engine_names(family: str) -> list[str]:
    """Return the engines of a family. Raises RdsIamError for a family that this collection does not know."""
    if family not in FAMILIES:
        raise RdsIamError(f"There is no family of engines {family}; give one of {', '.join(FAMILIES)}.")
    return list(FAMILIES[family])


def has_readable_users(engine: str) -> bool:
    """Return whether this collection reads the users of databases of an engine, by the name that RDS gives to it."""
    return engine in _WITH_READABLE_USERS


def has_iam_logins(engine: str) -> bool:
    """Return whether rds-db:connect is for an engine, by the name that RDS gives to it."""
    return not _WITHOUT_IAM_LOGINS.fullmatch(engine)
