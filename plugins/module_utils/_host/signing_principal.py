# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the credentials that sign tokens on this host, and the principal whose they are. Private to this collection."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Protocol

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import metadata_service
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import SignerResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credential_sources import (
    FROM_PROFILE,
    describe_remedy,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import (
    FrozenCredentials,
    botocore_session,
    expiry_of,
    find_credentials,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import (
    MissingCredentialsError,
    UnreadableCredentialsError,
)
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
    """Credentials as they are at one moment, in the form that C(issue) takes."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    _expiry_time: datetime | None = None  # under the name that it has in botocore

    def get_frozen_credentials(self) -> Keys:
        return self


@dataclass(frozen=True)
class Signer:
    """Credentials, and the principal whose they are."""

    source: str | None = None  # as botocore calls it; None without credentials
    keys: Keys | None = None
    principal: str | None = None  # an ARN, or the name of the role of the instance profile; None if unknown
    role_name: str | None = None  # None for a principal that is no role, or unknown
    is_expected: bool | None = None  # None where any principal is
    error: str | None = None  # why there are no credentials, or why their principal is unknown
    obstacle: str = ""  # the sentence on why nothing may be signed
    may_change: bool = False  # whether AWS may soon serve other credentials

    def to_result(self) -> SignerResult:
        return {
            "source": self.source,
            "principal": self.principal,
            "role_name": self.role_name,
            "is_expected": self.is_expected,
            "error": self.error,
        }


def find_signer(profile: str | None, region: str | None, expected: Principal | None) -> Signer:
    """Look for credentials anew, and find out whose they are, within 30 seconds.

    profile: a profile of the AWS configuration files; None for the credentials that botocore finds
    region: the Region to ask AWS STS in, whose credentials they are; None to ask nobody. Those of an instance profile
    come with the name of their role.
    expected: the principal that must sign; None for any
    """
    # Only the account tells roles of one name apart.
    role_in_account = expected.name if expected and expected.account else None
    try:
        answer = _child_process.call(_read_credentials, profile, region, role_in_account, seconds=_SECONDS)
    except _child_process.ChildError as exc:
        error = f"AWS credentials could not be read: {exc}; correct what they come from."
        answer = {"error": error, "absent": False}
    if "source" not in answer:
        return Signer(error=answer["error"], is_expected=False if expected else None, may_change=answer["absent"])
    end, account = answer.pop("expires_at"), answer.pop("account")
    access_key, secret_key, token = answer.pop("keys")
    keys = Keys(access_key, secret_key, token, datetime.fromtimestamp(end, timezone.utc) if end else None)
    signer = Signer(keys=keys, **answer)
    return _compare(signer, account, expected) if expected else signer


def find_keys(profile: str | None) -> Keys:
    """Return the credentials of a profile, looked for within 30 seconds. Raises MissingCredentialsError."""
    signer = find_signer(profile, region=None, expected=None)
    if not signer.keys:
        raise MissingCredentialsError(signer.error)
    return signer.keys


def _compare(signer: Signer, account: str | None, expected: Principal) -> Signer:
    """Return the signer with is_expected, and with an obstacle where it is not surely the expected principal."""
    principal, name = None, signer.principal
    if PRINCIPAL_ARN.fullmatch(name or ""):
        principal = parse_principal(name or "")
    elif signer.role_name:
        principal = Principal("role", signer.role_name, account, signer.role_name)
    if principal and not signer.error and expected.is_same(principal):
        return replace(signer, is_expected=True)
    owner = str(principal) if name == signer.role_name else name
    description = f"those of {owner}, and not with those of {expected}"
    if signer.error:
        description = f"which are not known to be those of {expected} ({signer.error})"
    obstacle = (
        f"This host signs with credentials from {signer.source}, {description}, so a login would prove nothing about"
        f" that {expected.kind}; {describe_remedy(signer.source, expected)}."
    )
    return replace(signer, is_expected=False, obstacle=obstacle, may_change=signer.source == FROM_PROFILE)


def _read_credentials(profile: str | None, region: str | None, role_in_account: str | None) -> dict[str, Any]:
    """Return the credentials and the facts about their principal, for C(find_signer). Runs in a child process.

    The result has C(error) and C(absent) alone where there are no credentials.

    role_in_account: the name of a role of which the account is needed, too
    """
    # The environment comes first, and needs nothing of what a session of botocore loads.
    from_environment = "AWS_ACCESS_KEY_ID" in os.environ and not profile
    recorder = None if from_environment else _record_role(profile)
    try:
        credentials = find_credentials(profile)
    except MissingCredentialsError as exc:
        return {"error": str(exc), "absent": not isinstance(exc, UnreadableCredentialsError)}
    keys, end = credentials.get_frozen_credentials(), expiry_of(credentials)
    answer: dict[str, Any] = {
        "source": credentials.method,
        "keys": [keys.access_key, keys.secret_key, keys.token],
        "expires_at": end and end.timestamp(),
        **dict.fromkeys(("principal", "role_name", "account", "error")),
    }
    role_name = recorder.role_name if recorder and credentials.method == FROM_PROFILE else None
    if role_name and ROLE_NAME.fullmatch(role_name):
        answer["principal"] = answer["role_name"] = role_name
        if role_name.lower() != (role_in_account or "").lower():
            return answer
        answer["account"] = metadata_service.read_profile_account()
        if answer["account"]:
            return answer
    arn, answer["error"] = _ask_sts(profile, keys, region)
    if arn:
        session = PRINCIPAL_ARN.fullmatch(arn)
        answer.update(principal=arn, role_name=session and session["role"])
    return answer


class _RoleFetcher(Protocol):
    """Fetches credentials from the instance metadata service, as C(InstanceMetadataFetcher) of botocore does."""

    def retrieve_iam_role_credentials(self) -> dict[str, Any]: ...


class _RoleRecorder:
    """Fetches credentials like the fetcher in it, and keeps the name of their role, which botocore drops."""

    def __init__(self, fetcher: _RoleFetcher) -> None:
        self._fetcher = fetcher
        self.role_name: str | None = None

    def retrieve_iam_role_credentials(self) -> dict[str, Any]:
        metadata = self._fetcher.retrieve_iam_role_credentials()
        self.role_name = metadata.get("role_name")
        return metadata


def _record_role(profile: str | None) -> _RoleRecorder | None:
    """Have the role of the instance profile recorded when its credentials are fetched."""
    try:
        provider = botocore_session(profile).get_component("credential_provider").get_provider(FROM_PROFILE)
        recorder = _RoleRecorder(provider._role_fetcher)
        provider._role_fetcher = recorder
    except Exception:  # without botocore, or with another one: STS is asked, or signing reports the error
        return None
    return recorder


def _ask_sts(profile: str | None, keys: FrozenCredentials, region: str | None) -> tuple[str | None, str | None]:
    """Return the ARN of the principal, or why it is not known. The call needs no permission."""
    if not region:
        return None, "the region to ask AWS STS in is not known"
    try:
        from botocore.config import Config  # noqa: PLC0415 - botocore may be missing

        session = botocore_session(profile)
        # The default of older versions of botocore is the global endpoint, which a private network does not reach.
        session.set_config_variable("sts_regional_endpoints", "regional")
        client = session.create_client(
            "sts",
            region_name=region,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token,
            config=Config(connect_timeout=_STS_TIMEOUT, read_timeout=_STS_TIMEOUT, retries={"total_max_attempts": 1}),
        )
        return client.get_caller_identity()["Arn"], None
    except Exception as exc:
        return None, f"AWS STS does not tell: {aws_reason(exc, 'sts')}"
