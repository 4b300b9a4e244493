# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the grants of an account, from what AWS and the servers say. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import (
    Database,
    Grant,
    Instance,
    Principal,
    UserRecord,
    user_title,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.login_obstacle import login_obstacle
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import EC2_SERVICES
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_permissions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import is_pattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import Trustee
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import YES
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items


def find_grants(
    principals: list[Principal], databases: list[Database], instances: list[Instance] | None
) -> list[Grant]:
    """Return the grants of the principals on the databases.

    C(instances) are those of the Region of the databases; None where they could not be read.
    """
    databases = [database for database in databases if database.takes_iam_logins]
    region = databases[0].record["region"] if databases else ""
    grants = []
    for principal in principals:
        credentials = _check_credentials(principal, instances, region)
        for database in databases:
            for user in _candidate_users(principal, database):
                target = database.target(user)
                if principal.permissions.reach(target.arn, target.is_pattern):
                    permission = check_permissions(target, str(principal), principal.permissions)
                    checks = [_check_flag(database), credentials, permission, _check_user(database, user)]
                    grants.append(Grant(principal, database, user, checks))
    return grants


def _candidate_users(principal: Principal, database: Database) -> list[str]:
    """Return the users that are worth a look: those that exist, and those that the statements name."""
    names: dict[str, None] = {}
    for statement in principal.connect_statements:
        if "NotResource" in statement.raw:
            names["*"] = None
        names.update(dict.fromkeys(statement.resources.users(database.prefix)))
    if not names:
        return []
    if database.users is None:
        return list(names)
    return list(dict.fromkeys([*database.iam_users, *(name for name in names if not is_pattern(name))]))


def _check_flag(database: Database) -> Check:
    record = database.record
    subject, pending_value = f"IAM database authentication of the {title(record)}", record["pending"].get(FLAG)
    pending = "" if pending_value is None else f", and a change to {'on' if pending_value else 'off'} is pending"
    if record["iam_auth_enabled"]:
        return Check("iam_auth", PASSED, f"{subject} is on{pending}")
    return Check("iam_auth", FAILED, f"{subject} is off{pending}")


def _check_credentials(principal: Principal, instances: list[Instance] | None, region: str) -> Check:
    """Check whether somebody has credentials of the principal."""
    if principal.kind == "user":
        return _check_user_credentials(principal)
    if principal.trustees is None:
        return Check("credentials", UNKNOWN, f"the trust policy of {principal} was not read")
    services = [trustee for trustee in principal.trustees if trustee.kind == "Service"]
    holding_instances = [
        instance.name for instance in instances or [] if instance.instance_profile in principal.instance_profiles
    ]
    if holding_instances and any(trustee.name in EC2_SERVICES and trustee.truth == YES for trustee in services):
        return Check("credentials", PASSED, f"EC2 instances have it: {', '.join(holding_instances)}")
    certain_trustees = [
        trustee.name for trustee in principal.trustees if trustee.kind != "Service" and trustee.truth == YES
    ]
    if certain_trustees:
        return Check("credentials", PASSED, f"{', '.join(certain_trustees)} may assume it")
    doubts = [
        _explain_doubt(trustee, principal, holding_instances, instances, region) for trustee in principal.trustees
    ]
    if doubts:
        return Check("credentials", UNKNOWN, "; ".join(doubts))
    return Check("credentials", FAILED, f"the trust policy of {principal} lets nobody assume it")


def _explain_doubt(
    trustee: Trustee,
    principal: Principal,
    holding_instances: list[str],
    instances: list[Instance] | None,
    region: str,
) -> str:
    """Explain why it is not known whether a principal that may assume a role does so."""
    if trustee.truth != YES:
        is_held = holding_instances and trustee.name in EC2_SERVICES
        addition = f"; EC2 instances have it: {', '.join(holding_instances)}" if is_held else ""
        keys = ", ".join(trustee.truth.missing)
        return f"{trustee.name} may assume it under conditions that cannot be judged ({keys}){addition}"
    if trustee.name not in EC2_SERVICES:
        return f"{trustee.name} may assume it, and what has the role there was not looked at"
    if instances is None:
        return "the EC2 instances could not be read"
    if not principal.instance_profiles:
        return f"{trustee.name} may assume it, and it is in no instance profile, in which it could be put"
    return (
        f"no EC2 instance in {region} has {principal}; other Regions were not looked at, and instances may start later"
    )


def _check_user_credentials(principal: Principal) -> Check:
    """Check whether an IAM user has credentials to sign with.

    With a console password CloudShell gives credentials of the user:
    https://docs.aws.amazon.com/cloudshell/latest/userguide/welcome.html
    """
    credentials = principal.credentials
    active_keys = credentials.active_keys
    if active_keys:
        keys = "an active access key" if active_keys == 1 else f"{active_keys} active access keys"
        return Check("credentials", PASSED, f"{principal} has {keys}")
    if active_keys is None or credentials.console_password is None:
        return Check("credentials", UNKNOWN, f"{principal}: {credentials.unread_reason}")
    if credentials.console_password:
        message = (
            f"{principal} has no active access key, but a console password, with which CloudShell gives credentials"
        )
        return Check("credentials", UNKNOWN, message)
    return Check("credentials", FAILED, f"{principal} has neither an active access key nor a console password")


def _check_user(database: Database, name: str) -> Check:
    """Check whether the server lets the user of this name in with a token.

    Of several users of one name the server takes the one whose host fits the client best
    (https://dev.mysql.com/doc/refman/8.4/en/connection-access.html), so where they differ it depends on the client.
    """
    if database.users is None:
        return Check(
            "database_user", UNKNOWN, f"the accounts of {database.name} were not seen: {database.unread_reason}"
        )
    users = [user for user in database.users if user["name"] == name]
    anonymous_users = [user for user in database.users if user["name"] == ""]
    narrow_anonymous_users = [user for user in anonymous_users if user["host"] != "%"]
    if not users and not anonymous_users:
        return Check("database_user", FAILED, f"{database.name} has no account {name}")
    obstacles = {user_title(user): login_obstacle(user) for user in users}
    usable_users = [user for user, obstacle in obstacles.items() if not obstacle]
    if users and not narrow_anonymous_users:
        if len(usable_users) == len(users):
            return Check("database_user", PASSED, f"{database.name} has {list_items(usable_users)} for IAM logins")
        if not usable_users and all(map(_is_certain, users)):
            reasons = [f"{user} {obstacle}" for user, obstacle in obstacles.items()]
            return Check("database_user", FAILED, f"on {database.name} the account {list_items(reasons, '; ')}")
    texts = [f"{user} {obstacle or 'takes IAM logins'}" for user, obstacle in obstacles.items()]
    texts += [f"{user_title(user)} may stand in its place" for user in narrow_anonymous_users or anonymous_users]
    dependence = "; which of them counts depends on the client's address" if len(texts) > 1 else ""
    return Check("database_user", UNKNOWN, f"on {database.name} {'; '.join(texts)}{dependence}")


def _is_certain(user: UserRecord) -> bool:
    """Return whether it is known how a user logs in: of several plugins IAM may be one."""
    return user["plugin"] not in ("several plugins", "several factors")
