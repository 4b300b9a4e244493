# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Predict the condition keys of a request before it is made. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Union

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html, limitations: keys that IAM
# database authentication does not support. They are absent from the request.
NEVER_SENT = frozenset(
    {"aws:referer", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:useragent", "aws:vpcsourceip"}
)
_TAG = "aws:PrincipalTag/"
# The longest session of a role.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html#id_roles_update-session-duration
_LONGEST_SESSION = timedelta(hours=12)
_ARN_ACCOUNT = 4  # the index of the account among the parts of an ARN


@dataclass(frozen=True)
class Values:
    """The key is in the request, with these values."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class NotBefore:
    """The key is in the request, with a time that is this one or a later one."""

    moment: datetime


@dataclass(frozen=True)
class KeyState:
    """The key has no known value."""

    name: str


ABSENT = KeyState("absent")  # not in the request
UNKNOWN = KeyState("unknown")  # in it or not, with whatever value
# The caller chooses the value.
MET = KeyState("met")  # and chooses the one that is asked for
AVOIDED = KeyState("avoided")  # and chooses another

ContextKey = Union[Values, NotBefore, KeyState]


@dataclass(frozen=True)
class RequestContext:
    """The keys of a request by their names in lower case, as far as they are known; all others are unknown."""

    keys: Mapping[str, ContextKey] = field(default_factory=lambda: dict.fromkeys(NEVER_SENT, ABSENT))
    tags: Mapping[str, str] | None = None  # all tags of the principal; None if they are not known

    def get(self, key: str) -> ContextKey:
        """Return a key; key names are case-insensitive."""
        name = key.lower()
        if self.tags is not None and name.startswith(_TAG.lower()) and name not in self.keys:
            return ABSENT
        return self.keys.get(name, UNKNOWN)

    def entries(self) -> list[dict[str, Any]]:
        """Return the keys with known values as ContextEntries of iam:SimulatePrincipalPolicy."""
        keys: dict[str, ContextKey | None] = {name: self.keys.get(name.lower()) for name in _SIMULATED}
        keys.update({_TAG + tag: Values((value,)) for tag, value in (self.tags or {}).items()})
        return [
            {
                "ContextKeyName": name,
                "ContextKeyValues": list(value.values),
                "ContextKeyType": _SIMULATED.get(name, "string"),
            }
            for name, value in keys.items()
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
    """Return the context of a login by an IAM C(role) or C(user), signed by the principal itself.

    C(kind) is role or user, C(unique_id) that of the user, and C(now) the time of the login. C(tags) is None where the
    tags are not known, or where a session may have others. Which values a principal has:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable. Keys that AWS
    does not document for rds-db:connect, as aws:RequestedRegion and aws:SecureTransport, are unknown.
    """
    now = now or datetime.now(timezone.utc)
    arn_parts = arn.split(":")
    keys: dict[str, ContextKey] = dict.fromkeys(NEVER_SENT, ABSENT)
    keys["aws:principalarn"] = Values((arn,))
    keys["aws:principalaccount"] = UNKNOWN
    if len(arn_parts) > _ARN_ACCOUNT + 1:
        keys["aws:principalaccount"] = Values((arn_parts[_ARN_ACCOUNT],))
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
