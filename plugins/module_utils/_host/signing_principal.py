# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the credentials that sign tokens on this host, and the principal whose they are. Private to this collection."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import metadata_service
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import credentials, errors
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credential_sources import FROM_PROFILE, remedy
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.principal import (
    PRINCIPAL_ARN,
    ROLE_NAME,
    Principal,
    parse_principal,
)

_SECONDS = 30  # for all that credentials are looked for in: files, programs, services, and AWS STS
_STS_TIMEOUT = 5  # seconds


@dataclass(frozen=True)
class Keys:
    """Credentials as they are at one moment, in the form that C(signer.sign) takes."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    _expiry_time: datetime | None = None

    def get_frozen_credentials(self) -> Keys:
        return self


@dataclass(frozen=True)
class Signer:
    """Credentials, and whose they are."""

    source: str | None = None  # as botocore calls it; None without credentials
    keys: Keys | None = None
    principal: str | None = None
    role_name: str | None = None
    is_expected: bool | None = None  # None where any principal is
    error: str | None = None  # why there are no credentials, or why it is not known whose they are
    obstacle: str = ""  # the sentence on why nothing may be signed
    may_change: bool = False  # whether AWS may soon serve others

    def shown(self) -> dict:
        """Return what may be told of it."""
        return {name: getattr(self, name) for name in ("source", "principal", "role_name", "is_expected", "error")}


def look(profile: str | None, region: str | None, expected: Principal | None) -> Signer:
    """Look for credentials anew, and find out whose they are.

    Those of an instance profile come with the name of their role. For all others AWS STS in C(region) is asked, and
    nobody where there is no region.
    """
    # Only the account tells roles of one name apart.
    name = expected.name if expected and expected.account else None
    try:
        found = _child_process.call(_find, profile, region, name, seconds=_SECONDS)
    except _child_process.ChildError as exc:
        found = {"error": f"AWS credentials could not be read: {exc}; correct what they come from.", "absent": False}
    if "source" not in found:
        return Signer(error=found["error"], is_expected=False if expected else None, may_change=found["absent"])
    end, account = found.pop("expires_at"), found.pop("account")
    keys = Keys(*found.pop("keys"), datetime.fromtimestamp(end, timezone.utc) if end else None)
    signer = Signer(keys=keys, **found)
    return _judge(signer, account, expected) if expected else signer


def _judge(signer: Signer, account: str | None, expected: Principal) -> Signer:
    principal = None
    if PRINCIPAL_ARN.fullmatch(signer.principal or ""):
        principal = parse_principal(signer.principal)
    elif signer.role_name:
        principal = Principal("role", signer.role_name, account, signer.role_name)
    if principal and not signer.error and expected.is_same(principal):
        return replace(signer, is_expected=True)
    of = str(principal) if signer.principal == signer.role_name else signer.principal
    whose = f"those of {of}, and not with those of {expected}"
    if signer.error:
        whose = f"which are not known to be those of {expected} ({signer.error})"
    obstacle = (
        f"This host signs with credentials from {signer.source}, {whose}, so a login would prove nothing about that"
        f" {expected.kind}; {remedy(signer.source, expected)}."
    )
    return replace(signer, is_expected=False, obstacle=obstacle, may_change=signer.source == FROM_PROFILE)


def _find(profile: str | None, region: str | None, role_with_account: str | None) -> dict:
    """Return credentials and what is known of their principal, for C(look). Runs in a child process."""
    # The environment comes first, and needs nothing of what a session of botocore loads.
    served = _Remembering(None) if "AWS_ACCESS_KEY_ID" in os.environ and not profile else _remember_role(profile)
    try:
        found = credentials.find_credentials(profile)
    except errors.NoCredentials as exc:
        return {"error": str(exc), "absent": not isinstance(exc, errors.UnreadableCredentials)}
    keys, end = found.get_frozen_credentials(), credentials.credentials_end(found)
    known = {
        "source": found.method,
        "keys": [keys.access_key, keys.secret_key, keys.token],
        "expires_at": end and end.timestamp(),
        **dict.fromkeys(("principal", "role_name", "account", "error")),
    }
    role = served.role_name if found.method == FROM_PROFILE and ROLE_NAME.fullmatch(served.role_name or "") else None
    if role:
        known["principal"] = known["role_name"] = role
        if role.lower() != (role_with_account or "").lower():
            return known
        known["account"] = metadata_service.profile_account()
        if known["account"]:
            return known
    arn, known["error"] = _ask_sts(profile, keys, region)
    if arn:
        session = PRINCIPAL_ARN.fullmatch(arn)
        known.update(principal=arn, role_name=session and session["role"])
    return known


class _Remembering:
    """Fetches what the metadata service serves, as botocore does, and keeps whose it is, which botocore forgets."""

    def __init__(self, fetcher):
        self._fetcher = fetcher
        self.role_name = None

    def retrieve_iam_role_credentials(self) -> dict:
        metadata = self._fetcher.retrieve_iam_role_credentials()
        self.role_name = metadata.get("role_name")
        return metadata


def _remember_role(profile: str | None) -> _Remembering:
    """Have the role of the instance profile remembered when its credentials are fetched."""
    try:
        provider = credentials.botocore_session(profile).get_component("credential_provider").get_provider(FROM_PROFILE)
        provider._role_fetcher = _Remembering(provider._role_fetcher)
        return provider._role_fetcher
    except Exception:  # without botocore, or with another one: STS is asked, or what is wrong is said by whoever signs
        return _Remembering(None)


def _ask_sts(profile: str | None, keys, region: str | None) -> tuple[str | None, str | None]:
    """Return the ARN of the principal, or why it is not known. The call needs no permission."""
    if not region:
        return None, "the region to ask AWS STS in is not known"
    try:
        from botocore.config import Config

        session = credentials.botocore_session(profile)
        # The default of older versions of botocore is the global endpoint, which a private network does not reach.
        session.set_config_variable("sts_regional_endpoints", "regional")
        once = Config(connect_timeout=_STS_TIMEOUT, read_timeout=_STS_TIMEOUT, retries={"total_max_attempts": 1})
        client = session.create_client(
            "sts",
            region_name=region,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
            config=once,
        )
        return client.get_caller_identity()["Arn"], None
    except Exception as exc:
        return None, f"AWS STS does not tell: {aws_reason(exc, 'sts')}"
