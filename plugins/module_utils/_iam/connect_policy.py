# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the IAM policy that lets a role connect as database users. Pure, and private to this collection."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.user_names import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import (
    CONNECT,
    VERSION,
    PolicyDocument,
    StatementElement,
    statements,
)

SID = "RdsIamConnect"  # of the statement that this collection manages
INLINE_LIMIT = 10_240  # characters of all inline policies of a role together, white space not counted
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html, pattern of PolicyDocument. Whether IAM
# reads others that are escaped in JSON is not documented.
_NOT_IN_POLICIES = re.compile(r"[^\t\n\r -\xff]")
_PREFIX = re.compile(r"arn:aws[a-z-]*:rds-db:[a-z0-9-]+:\d{12}:dbuser:(?:db|cluster|prx)-[A-Za-z0-9]+")

# A database as a user gives it, unchecked: identifier, connect_arn_prefix, and users.
DatabaseOption = dict[str, Any]


def connect_policy(databases: list[DatabaseOption], users: list[str] | None = None) -> PolicyDocument:
    """Return the smallest policy that lets a role connect to the databases as the users.

    Without C(users) each database has its own list C(users). The same input has the same result. Raises RdsIamError
    where the input cannot be in a policy, or the policy is too long.
    """
    pairs = [(_arn_prefix(database), _database_users(database, users)) for database in _check_databases(databases)]
    resources = sorted({f"{prefix}/{user}" for prefix, names in pairs for user in names})
    document = {"Version": VERSION, "Statement": [_managed_statement(resources)]}
    check_size(document)
    return document


def _managed_statement(resources: object) -> StatementElement:
    return {"Sid": SID, "Effect": "Allow", "Action": CONNECT, "Resource": resources}


def find_managed_statement(document: PolicyDocument) -> StatementElement | None:
    """Return the statement that this collection manages; None where there is none, or its form was changed.

    It allows to connect, without a condition, and only its list of resources differs from run to run. A statement that
    somebody narrowed, by a condition for example, is theirs: to write it anew would widen it.
    """
    for statement in statements(document):
        if statement.get("Sid") != SID:
            continue
        action = statement.get("Action")
        action = action[0] if isinstance(action, list) and len(action) == 1 else action
        is_managed = _managed_statement(statement.get("Resource")) == {**statement, "Action": action}
        return statement if is_managed and all(isinstance(arn, str) for arn in _resources(statement)) else None
    return None


def managed_resources(document: PolicyDocument | None) -> list[str]:
    """Return the resources of the statement that this collection manages."""
    statement = find_managed_statement(document) if document else None
    return _resources(statement) if statement else []


def _resources(statement: StatementElement) -> list[Any]:
    value = statement.get("Resource")
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class MergedPolicy:
    """An inline policy as a run leaves it.

    C(document) is None where nothing is left of it; C(other_resources) are those in its managed statement that are of
    no database of the run.
    """

    document: PolicyDocument | None
    other_resources: list[str]


def merge_policy(document: PolicyDocument | None, databases: list[DatabaseOption], purge: bool) -> MergedPolicy:
    """Return the inline policy for the databases of a run.

    C(document) is the present one, with a managed statement, or None. Of that statement only the resources of these
    databases change: those of databases that the run does not see, in other accounts, Regions and inventories, stay,
    unless C(purge). Statements of others stay as they are. Each database has a list C(users), which may be empty.
    Raises RdsIamError where the databases cannot be in a policy.
    """
    prefixes = tuple(f"{_arn_prefix(database)}/" for database in _check_databases(databases))
    run_resources = {
        f"{prefix}{user}" for prefix, database in zip(prefixes, databases) for user in _own_users(database)
    }
    present_resources = managed_resources(document)
    other_resources = [] if purge else sorted({arn for arn in present_resources if not arn.startswith(prefixes)})
    resources = sorted(run_resources.union(other_resources))
    if document and find_managed_statement(document) and sorted(present_resources) == resources:
        return MergedPolicy(document, other_resources)
    return MergedPolicy(_replace_resources(document, resources), other_resources)


def remove_resources(document: PolicyDocument, databases: list[DatabaseOption] | None = None) -> PolicyDocument | None:
    """Return a policy without the resources of these databases, or without the managed statement if there are none.

    It is None where nothing is left of it. The document has a managed statement.
    """
    prefixes = tuple(f"{_arn_prefix(database)}/" for database in databases or ())
    present_resources = managed_resources(document)
    resources = [arn for arn in present_resources if not arn.startswith(prefixes)] if prefixes else []
    return document if prefixes and resources == present_resources else _replace_resources(document, resources)


def _replace_resources(document: PolicyDocument | None, resources: list[str]) -> PolicyDocument | None:
    """Return the document with these resources in its managed statement, which goes where there are none."""
    present_statements = statements(document)
    managed_statement = find_managed_statement(document) if document else None
    index = next(
        (i for i, statement in enumerate(present_statements) if statement is managed_statement), len(present_statements)
    )
    replacement = [_managed_statement(resources)] if resources else []
    result = [*present_statements[:index], *replacement, *present_statements[index + 1 :]]
    return {"Version": VERSION, **(document or {}), "Statement": result} if result else None


def _check_databases(databases: object) -> list[DatabaseOption]:
    if not isinstance(databases, list) or not databases:
        raise RdsIamError("There are no databases to write a policy for; give a list of database records.")
    return databases


def _arn_prefix(database: object) -> str:
    prefix = database.get("connect_arn_prefix") if isinstance(database, dict) else None
    if not prefix:
        raise RdsIamError(
            f"A database has no connect_arn_prefix ({_title(database)}); give the records that the module"
            " dbops.rds_iam.rds_iam_auth or dbops.rds_iam.rds_iam_auth_info returns."
        )
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise RdsIamError(
            f"{prefix!r} is not the start of an rds-db ARN; it must be arn:PARTITION:rds-db:REGION:ACCOUNT:dbuser:ID,"
            " where ID is the resource id of the database (db-..., cluster-... or prx-...), not its name."
        )
    return prefix


def _database_users(database: DatabaseOption, users: list[str] | None) -> list[str]:
    """Return the users, or else those in the list of the database itself."""
    names = database.get("users") if users is None else users
    if not isinstance(names, list) or not names:
        raise RdsIamError(
            f"There are no users to write a policy for ({_title(database)}); give a list of names, or each database its"
            " own list as users."
        )
    for name in names:
        _check_user_name(name)
    return names


def _own_users(database: DatabaseOption) -> list[str]:
    """Return the list of a database itself, which is empty where nobody may connect to it."""
    return [] if database.get("users") == [] else _database_users(database, None)


def _check_user_name(name: str) -> None:
    check_user_name(name)
    match = _NOT_IN_POLICIES.search(name)
    if match:
        raise RdsIamError(
            f"The database user name {name} has {match[0]!a} in it, and IAM documents no characters for a policy but"
            " those of Latin-1; give the user another name."
        )


def _title(database: object) -> str:
    name = database.get("identifier") if isinstance(database, dict) else database
    return f"database {name}" if isinstance(name, str) else "no identifier"


def size(document: PolicyDocument) -> int:
    """Return the number of characters of a policy as IAM counts them, which is without white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def check_size(document: PolicyDocument) -> None:
    """Refuse a policy that is longer than IAM takes for all inline policies of a role together."""
    characters = size(document)
    if characters <= INLINE_LIMIT:
        return
    pairs = len(managed_resources(document))
    fitting_pairs = pairs * INLINE_LIMIT // characters
    raise RdsIamError(
        f"The policy for {pairs} pairs of database and user has {characters} characters without white space, and IAM"
        f" takes {INLINE_LIMIT} for all inline policies of a role together (about {fitting_pairs} such pairs); split"
        " the hosts over several roles that each connect only to the databases they need, use fewer users, or attach a"
        " managed policy of your own that names a user on all databases (...:dbuser:*/NAME)."
    )
