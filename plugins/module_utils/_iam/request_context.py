# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The condition keys of a request, as far as they are known before it is made. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html, limitations: keys that IAM
# database authentication does not support. They are absent from the request.
NEVER_SENT = frozenset(
    {"aws:referer", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:useragent", "aws:vpcsourceip"}
)
_TAG = "aws:PrincipalTag/"
# The longest session of a role.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html#id_roles_update-session-duration
_LONGEST_SESSION = timedelta(hours=12)


@dataclass(frozen=True)
class Values:
    """The key is in the request, with these values."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class NotBefore:
    """The key is in the request, with a time that is this one or a later one."""

    moment: datetime


@dataclass(frozen=True)
class State:
    """A key without a known value."""

    name: str


ABSENT = State("absent")  # not in the request
UNKNOWN = State("unknown")  # in it or not, with whatever value
# Who makes the request chooses the value.
MET = State("met")  # and chooses the one that is asked for
AVOIDED = State("avoided")  # and chooses another


@dataclass(frozen=True)
class RequestContext:
    """What is known of the keys of a request, by their names in lower case; any other key is unknown."""

    keys: Mapping[str, object] = field(default_factory=lambda: dict.fromkeys(NEVER_SENT, ABSENT))
    tags: Mapping[str, str] | None = None  # all tags of the principal; None if they are not known

    def get(self, key: str) -> object:
        """Return Values, NotBefore, or a State; key names are case-insensitive."""
        name = key.lower()
        if self.tags is not None and name.startswith(_TAG.lower()) and name not in self.keys:
            return ABSENT
        return self.keys.get(name, UNKNOWN)

    def entries(self) -> list[dict]:
        """Return what is known as ContextEntries of iam:SimulatePrincipalPolicy."""
        named = {name: self.keys.get(name.lower()) for name in _SIMULATED}
        named.update({_TAG + tag: Values((value,)) for tag, value in (self.tags or {}).items()})
        return [
            {
                "ContextKeyName": name,
                "ContextKeyValues": list(value.values),
                "ContextKeyType": _SIMULATED.get(name, "string"),
            }
            for name, value in named.items()
            if isinstance(value, Values)
        ]


# The keys to give to the simulator, with their types.
_SIMULATED = {
    "aws:PrincipalArn": "string",
    "aws:PrincipalAccount": "string",
    "aws:PrincipalType": "string",
    "aws:PrincipalIsAWSService": "boolean",
}


def login_context(
    kind: str,
    name: str,
    arn: str,
    unique_id: str | None = None,
    tags: dict[str, str] | None = None,
    now: datetime | None = None,
) -> RequestContext:
    """Return what is known of a login by an IAM C(role) or C(user), signed by the principal itself.

    C(tags) is None where the tags are not known, or where a session may have others. Which values a principal has:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable. Keys that AWS
    does not document for rds-db:connect, as aws:RequestedRegion and aws:SecureTransport, are unknown.
    """
    now = now or datetime.now(timezone.utc)
    keys = dict.fromkeys(NEVER_SENT, ABSENT)
    keys["aws:principalarn"] = Values((arn,))
    keys["aws:principalaccount"] = Values((arn.split(":")[4],)) if arn.count(":") > 4 else UNKNOWN
    keys["aws:principaltype"] = Values(("AssumedRole" if kind == "role" else "User",))
    keys["aws:principalisawsservice"] = Values(("false",))
    keys["aws:currenttime"] = keys["aws:epochtime"] = NotBefore(now)
    if kind == "role":
        keys["aws:username"] = ABSENT
        keys["aws:tokenissuetime"] = NotBefore(now - _LONGEST_SESSION)
    else:
        keys["aws:username"] = Values((name,))
        if unique_id:
            keys["aws:userid"] = Values((unique_id,))
    keys.update({(_TAG + tag).lower(): Values((value,)) for tag, value in (tags or {}).items()})
    return RequestContext(keys, tags)
