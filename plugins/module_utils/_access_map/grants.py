# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find who may log in where, from what AWS and the servers say. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Database, Grant, Host, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_permissions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import is_pattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import EC2, Trustee
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import YES
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items


def find_grants(principals: list[Principal], databases: list[Database], hosts: list[Host] | None) -> list[Grant]:
    """Return all of them; C(hosts) is None where the EC2 instances could not be read."""
    databases = [database for database in databases if database.takes_iam_logins]
    region = databases[0].record["region"] if databases else ""
    found = []
    for principal in principals:
        holder = _holder(principal, hosts, region)
        for database in databases:
            for user in _candidates(principal, database):
                target = database.target(user)
                if principal.permissions.reach(target.arn, target.is_pattern):
                    permission = check_permissions(target, str(principal), principal.permissions)
                    links = [_flag(database), holder, permission, _account(database, user)]
                    found.append(Grant(principal, database, user, links))
    return found


def _candidates(principal: Principal, database: Database) -> list[str]:
    """The users that are worth a look: those that exist, and those that the statements name."""
    named = {}
    for statement in principal.connecting:
        if "NotResource" in statement.raw:
            named["*"] = None
        named.update(dict.fromkeys(statement.resources.users(database.prefix)))
    if not named:
        return []
    if database.accounts is None:
        return list(named)
    return list(dict.fromkeys([*database.iam_users, *(name for name in named if not is_pattern(name))]))


def _flag(database: Database) -> Check:
    record, what = database.record, f"IAM database authentication of the {title(database.record)}"
    pending = record["pending"].get(FLAG)
    waiting = "" if pending is None else f", and a change to {'on' if pending else 'off'} is pending"
    if record["iam_auth_enabled"]:
        return Check("flag", OK, f"{what} is on{waiting}")
    return Check("flag", BROKEN, f"{what} is off{waiting}")


def _holder(principal: Principal, hosts: list[Host] | None, region: str) -> Check:
    if principal.kind == "user":
        return _signing_user(principal)
    if principal.trustees is None:
        return Check("holder", UNKNOWN, f"the trust policy of {principal} was not read")
    ec2 = [one for one in principal.trustees if one.kind == "Service" and one.name in EC2]
    people = [one for one in principal.trustees if one.kind != "Service"]
    holding = [host.name for host in hosts or [] if host.profile in principal.profiles]
    if holding and YES in [one.truth for one in ec2]:
        return Check("holder", OK, f"EC2 instances have it: {', '.join(holding)}")
    certain = [one.name for one in people if one.truth == YES]
    if certain:
        return Check("holder", OK, f"{', '.join(certain)} may assume it")
    doubts = [_not_seen(one, principal, holding, hosts, region) for one in principal.trustees]
    if doubts:
        return Check("holder", UNKNOWN, "; ".join(doubts))
    return Check("holder", BROKEN, f"the trust policy of {principal} lets nobody assume it")


def _not_seen(trustee: Trustee, principal: Principal, holding: list[str], hosts: list[Host] | None, region: str) -> str:
    """Why it is not known whether a principal that may assume a role does so."""
    if trustee.truth != YES:
        also = f"; EC2 instances have it: {', '.join(holding)}" if holding and trustee.name in EC2 else ""
        keys = ", ".join(trustee.truth.missing)
        return f"{trustee.name} may assume it under conditions that cannot be judged ({keys}){also}"
    if trustee.name not in EC2:
        return f"{trustee.name} may assume it, and what has the role there was not looked at"
    if hosts is None:
        return "the EC2 instances could not be read"
    if not principal.profiles:
        return f"{trustee.name} may assume it, and it is in no instance profile, in which it could be put"
    return (
        f"no EC2 instance in {region} has {principal}; other Regions were not looked at, and instances may start later"
    )


def _signing_user(principal: Principal) -> Check:
    """Whether an IAM user has credentials to sign with.

    With a console password CloudShell gives credentials of the user:
    https://docs.aws.amazon.com/cloudshell/latest/userguide/welcome.html
    """
    credentials = principal.credentials
    if credentials.active_keys:
        keys = (
            "an active access key" if credentials.active_keys == 1 else f"{credentials.active_keys} active access keys"
        )
        return Check("holder", OK, f"{principal} has {keys}")
    if credentials.active_keys is None or credentials.console_password is None:
        return Check("holder", UNKNOWN, f"{principal}: {credentials.unread}")
    if credentials.console_password:
        text = f"{principal} has no active access key, but a console password, with which CloudShell gives credentials"
        return Check("holder", UNKNOWN, text)
    return Check("holder", BROKEN, f"{principal} has neither an active access key nor a console password")


def _account(database: Database, user: str) -> Check:
    """Whether the server lets the user in with a token.

    Of several accounts of one name the server takes the one whose host fits the client best
    (https://dev.mysql.com/doc/refman/8.4/en/connection-access.html), so where they differ it depends on the client.
    """
    if database.accounts is None:
        return Check("account", UNKNOWN, f"the accounts of {database.name} were not seen: {database.unseen}")
    rows = [one for one in database.accounts if one["name"] == user]
    anonymous = [one for one in database.accounts if one["name"] == "" and one["host"] != "%"]
    if not rows and not any(one["name"] == "" for one in database.accounts):
        return Check("account", BROKEN, f"{database.name} has no account {user}")
    obstacles = {_shown(one): _obstacle(one) for one in rows}
    usable = [row for row, obstacle in obstacles.items() if not obstacle.text]
    if rows and len(usable) == len(rows) and not anonymous:
        return Check("account", OK, f"{database.name} has {list_items(usable)} for IAM logins")
    if rows and not usable and not anonymous and all(obstacle.is_certain for obstacle in obstacles.values()):
        reasons = [f"{row} {obstacle.text}" for row, obstacle in obstacles.items()]
        return Check("account", BROKEN, f"on {database.name} the account {list_items(reasons, '; ')}")
    texts = [f"{row} {obstacle.text or 'takes IAM logins'}" for row, obstacle in obstacles.items()]
    texts += [f"{_shown(one)} may stand in its place" for one in anonymous or database.accounts if one["name"] == ""]
    which = "; which of them counts depends on the client's address" if len(texts) > 1 else ""
    return Check("account", UNKNOWN, f"on {database.name} {'; '.join(texts)}{which}")


def _shown(account: dict) -> str:
    return f"'{account['name']}'@'{account['host']}'"


@dataclass(frozen=True)
class Obstacle:
    """Why an account does not let a token in; C(text) is empty if it does."""

    text: str = ""
    is_certain: bool = True


def _obstacle(account: dict) -> Obstacle:
    if not account["iam"]:
        # IAM may be one of them.
        certain = account["plugin"] not in ("several plugins", "several factors")
        return Obstacle(f"logs in with {account['plugin']}", certain)
    if account["locked"]:
        return Obstacle("is locked")
    if account["require"] not in ("NONE", "SSL"):
        return Obstacle(
            f"requires a client certificate ({account['require']}), which a login with a token does not have"
        )
    if account.get("expired"):
        return Obstacle("has an expired password, and lets nobody do anything until it is changed")
    return Obstacle()
