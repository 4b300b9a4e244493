# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IAM policy that lets a role connect as database users. Pure, and private to this collection."""

from __future__ import annotations

import json
import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

INLINE_LIMIT = 10_240  # characters of all inline policies of a role together, white space not counted
_NAME_LIMIT = 32  # MySQL's; MariaDB takes longer names, and a fleet may hold both
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html, pattern of PolicyDocument. Whether IAM
# reads others that are escaped in JSON is not documented.
_NOT_IN_POLICIES = re.compile(r"[^\t\n\r -\xff]")
_PREFIX = re.compile(r"arn:aws[a-z-]*:rds-db:[a-z0-9-]+:\d{12}:dbuser:(?:db|cluster|prx)-[A-Za-z0-9]+")


def check_user_name(name: str) -> None:
    """Refuse a database user name that cannot be one, or that a policy would read as more than one."""
    if not isinstance(name, str) or not name:
        raise RdsIamError(f"A database user name must be a text that is not empty, and {name!r} is not.")
    if len(name) > _NAME_LIMIT:
        raise RdsIamError(
            f"The database user name {name} has {len(name)} characters, and MySQL takes {_NAME_LIMIT}; shorten it."
        )
    if re.search(r"[*?]|\$\{", name):
        raise RdsIamError(
            f"The database user name {name} has *, ? or ${{ in it, which an IAM policy reads as a pattern that matches"
            " other users too; give every user by name."
        )
    other = _NOT_IN_POLICIES.search(name)
    if other:
        raise RdsIamError(
            f"The database user name {name} has {other[0]} in it, and IAM takes no characters in a policy but those of"
            " Latin-1; give the user another name."
        )


def connect_policy(databases: list[dict], users: list[str] | None = None) -> dict:
    """The smallest policy that lets its holder connect to the databases as the users, the same for the same input."""
    resources = sorted({f"{prefix}/{user}" for prefix, names in _pairs(databases, users) for user in names})
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "RdsIamConnect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": resources},
        ],
    }
    _check_size(document, len(resources))
    return document


def _pairs(databases: list[dict], users: list[str] | None) -> list[tuple[str, list[str]]]:
    if not isinstance(databases, list) or not databases:
        raise RdsIamError("There are no databases to write a policy for; give a list of database records.")
    return [(_prefix(one), _users(one, users)) for one in databases]


def _prefix(database: dict) -> str:
    prefix = database.get("connect_arn_prefix") if isinstance(database, dict) else None
    if not prefix:
        raise RdsIamError(
            f"A database has no connect_arn_prefix ({_shown(database)}); give the records that the module"
            " dbops.rds_iam.rds_iam_auth or dbops.rds_iam.rds_iam_auth_info returns."
        )
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise RdsIamError(
            f"{prefix!r} is not the start of an rds-db ARN; it must be arn:PARTITION:rds-db:REGION:ACCOUNT:dbuser:ID,"
            " where ID is the resource id of the database (db-..., cluster-... or prx-...), not its name."
        )
    return prefix


def _users(database: dict, users: list[str] | None) -> list[str]:
    names = database.get("users") if users is None else users
    if not isinstance(names, list) or not names:
        raise RdsIamError(
            f"There are no users to write a policy for ({_shown(database)}); give a list of names, or each database its"
            " own list as users."
        )
    for name in names:
        check_user_name(name)
    return names


def _shown(database: object) -> str:
    name = database.get("identifier") if isinstance(database, dict) else database
    return f"database {name}" if isinstance(name, str) else "no identifier"


def _check_size(document: dict, pairs: int) -> None:
    size = len(re.sub(r"\s", "", json.dumps(document)))
    if size > INLINE_LIMIT:
        fit = pairs * INLINE_LIMIT // size
        raise RdsIamError(
            f"The policy for {pairs} pairs of database and user has {size} characters without white space, and IAM"
            f" takes {INLINE_LIMIT} for all inline policies of a role together (about {fit} such pairs); split the"
            " hosts over several roles that each connect only to the databases they need, use fewer users, or attach a"
            " managed policy of your own that names a user on all databases (...:dbuser:*/NAME)."
        )
