# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IAM policy that lets a role connect as database users. Pure, and private to this collection."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.user_names import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

SID, ACTION = "RdsIamConnect", "rds-db:connect"  # of the statement that this collection writes
INLINE_LIMIT = 10_240  # characters of all inline policies of a role together, white space not counted
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html, pattern of PolicyDocument. Whether IAM
# reads others that are escaped in JSON is not documented.
_NOT_IN_POLICIES = re.compile(r"[^\t\n\r -\xff]")
_PREFIX = re.compile(r"arn:aws[a-z-]*:rds-db:[a-z0-9-]+:\d{12}:dbuser:(?:db|cluster|prx)-[A-Za-z0-9]+")


def _check_name_in_policy(name: str) -> None:
    check_user_name(name)
    other = _NOT_IN_POLICIES.search(name)
    if other:
        raise RdsIamError(
            f"The database user name {name} has {other[0]!a} in it, and IAM documents no characters for a policy but"
            " those of Latin-1; give the user another name."
        )


def connect_policy(databases: list[dict], users: list[str] | None = None) -> dict:
    """The smallest policy that lets its holder connect to the databases as the users, the same for the same input."""
    resources = sorted({f"{prefix}/{user}" for prefix, names in _pairs(databases, users) for user in names})
    document = {
        "Version": "2012-10-17",
        "Statement": [
            _statement(resources),
        ],
    }
    check_size(document)
    return document


def _statement(resources: list[str]) -> dict:
    return {"Sid": SID, "Effect": "Allow", "Action": ACTION, "Resource": resources}


def statements(document: dict) -> list[dict]:
    """Return the statements of a policy document, of which IAM also takes a single one without a list."""
    found = document.get("Statement", [])
    return found if isinstance(found, list) else [found]


def our_statement(document: dict) -> dict | None:
    """Return the statement that this collection wrote; None where there is none, or somebody has changed its form.

    It allows to connect, without a condition, and only its list of resources differs from run to run. A statement that
    somebody narrowed, by a condition for example, is theirs: to write it anew would widen it.
    """
    for statement in statements(document):
        if statement.get("Sid") != SID:
            continue
        resources = statement.get("Resource")
        whole = _statement(resources) == {**statement, "Action": _only(statement.get("Action"))}
        return statement if whole and _texts(resources) is not None else None
    return None


def _only(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _texts(value: object) -> list[str] | None:
    texts = value if isinstance(value, list) else [value]
    return texts if all(isinstance(text, str) for text in texts) else None


@dataclass(frozen=True)
class Merged:
    """An inline policy as a run leaves it.

    C(document) is None where nothing is left of it; C(unaccounted) are the resources in it that are of no database of
    the run, C(pairs) is the number of all its resources.
    """

    document: dict | None
    unaccounted: list[str]
    pairs: int


def merge(document: dict | None, databases: list[dict], purge: bool) -> Merged:
    """Return the inline policy for the databases of a run.

    C(document) is that which is there, with a statement of this collection, or None. Of that statement only the
    resources of these databases change: those of databases that the run does not see, in other accounts, Regions and
    inventories, stay, unless C(purge). Statements of others stay as they are. Each database has a list C(users), which
    may be empty.
    """
    prefixes = tuple(f"{_prefix(database)}/" for database in _listed(databases))
    wanted = {f"{prefix}{user}" for prefix, database in zip(prefixes, databases) for user in _users_of(database)}
    ours = our_statement(document) if document else None
    there = _texts(ours["Resource"]) if ours else []
    unaccounted = [] if purge else sorted({arn for arn in there if not arn.startswith(prefixes)})
    resources = sorted(wanted.union(unaccounted))
    if ours and sorted(there) == resources:
        return Merged(document, unaccounted, len(resources))
    return Merged(_replaced(document, ours, resources), unaccounted, len(resources))


def without_ours(document: dict, databases: list[dict] | None = None) -> dict | None:
    """Return the policy without the statement of this collection; None where nothing is left of it.

    With C(databases) only their resources go, and those of others stay in the statement.
    """
    ours = our_statement(document)
    prefixes = tuple(f"{_prefix(database)}/" for database in databases or ())
    there = _texts(ours["Resource"])
    kept = [arn for arn in there if not arn.startswith(prefixes)] if prefixes else []
    return document if prefixes and kept == there else _replaced(document, ours, kept)


def _replaced(document: dict | None, ours: dict | None, resources: list[str]) -> dict | None:
    """Return the document with these resources in the statement of this collection, which goes where it has none."""
    there = statements(document) if document else []
    new = [_statement(resources)] if resources else []
    place = next((number for number, statement in enumerate(there) if statement is ours), len(there))
    left = [*there[:place], *new, *there[place + 1 :]]
    return {"Version": "2012-10-17", **(document or {}), "Statement": left} if left else None


def _listed(databases: object) -> list[dict]:
    if not isinstance(databases, list) or not databases:
        raise RdsIamError("There are no databases to write a policy for; give a list of database records.")
    return databases


def _pairs(databases: list[dict], users: list[str] | None) -> list[tuple[str, list[str]]]:
    return [(_prefix(database), _users(database, users)) for database in _listed(databases)]


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
        raise _no_users(database)
    for name in names:
        _check_name_in_policy(name)
    return names


def _users_of(database: dict) -> list[str]:
    """Return the list of a database itself, which is empty where nobody may connect to it."""
    return [] if database.get("users") == [] else _users(database, None)


def _no_users(database: dict) -> RdsIamError:
    return RdsIamError(
        f"There are no users to write a policy for ({_shown(database)}); give a list of names, or each database its"
        " own list as users."
    )


def _shown(database: object) -> str:
    name = database.get("identifier") if isinstance(database, dict) else database
    return f"database {name}" if isinstance(name, str) else "no identifier"


def size(document: dict) -> int:
    """Return the number of characters of a policy as IAM counts them, which is without white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def check_size(document: dict) -> None:
    """Refuse a policy that is longer than IAM takes for all inline policies of a role together."""
    counted = size(document)
    if counted <= INLINE_LIMIT:
        return
    ours = our_statement(document)
    pairs = len(ours["Resource"]) if ours else 0
    fit = pairs * INLINE_LIMIT // counted
    raise RdsIamError(
        f"The policy for {pairs} pairs of database and user has {counted} characters without white space, and IAM"
        f" takes {INLINE_LIMIT} for all inline policies of a role together (about {fit} such pairs); split the"
        " hosts over several roles that each connect only to the databases they need, use fewer users, or attach a"
        " managed policy of your own that names a user on all databases (...:dbuser:*/NAME)."
    )
