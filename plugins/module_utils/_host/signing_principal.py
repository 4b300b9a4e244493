# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the credentials that sign tokens on this host, and the principal whose they are. Private to this collection."""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import metadata_service
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer as token_signer

# The name of an instance profile as a source of credentials, in botocore.
FROM_PROFILE = "iam-role"
_SECONDS = 30  # for all that credentials are looked for in: files, programs, services, and AWS STS
_STS_TIMEOUT = 5  # seconds
_ROLE = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ARN = re.compile(
    r"arn:aws[\w-]*:(?:iam::(?P<account>\d{12}):(?P<kind>role|user)/(?:[!-~]+/)?(?P<name>[\w+=,.@-]+)"
    r"|sts::(?P<session_account>\d{12}):assumed-role/(?P<role>[\w+=,.@-]+)/[\w+=,.@-]+)",
    re.ASCII,
)
# What brings sources about, by their names in botocore: variables, and files, with the variable that names another one.
_VARIABLES = {
    "env": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    "assume-role-with-web-identity": "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN",
    "container-role": "AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
}
_FILES = {
    "shared-credentials-file": ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    **dict.fromkeys(
        ("assume-role", "config-file", "custom-process", "login", "sso"), ("AWS_CONFIG_FILE", "~/.aws/config")
    ),
    "ec2-credentials-file": ("AWS_CREDENTIAL_FILE", "~"),
    "boto-config": ("BOTO_CONFIG", "~/.boto"),
}


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
class Principal:
    """An IAM role or IAM user. The account is None where only the name of a role is known."""

    kind: str
    name: str
    account: str | None
    text: str

    def __str__(self) -> str:
        account = f" of the account {self.account}" if self.account and self.text == self.name else ""
        return f"the IAM {self.kind} {self.text}{account}"

    def is_same(self, other: Principal) -> bool:
        """Compare by what IAM holds unique: the name within the account, whatever its path and its case.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: names are not distinguished by case.
        """
        accounts = {self.account, other.account} - {None}
        return self.kind == other.kind and self.name.lower() == other.name.lower() and len(accounts) < 2


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


def parse_principal(text: str) -> Principal:
    """Read the name of an IAM role, or the ARN of a role, of a session of a role, or of an IAM user."""
    arn = _ARN.fullmatch(text)
    if arn:
        account = arn["account"] or arn["session_account"]
        return Principal(arn["kind"] or "role", arn["name"] or arn["role"], account, text)
    if not _ROLE.fullmatch(text):
        raise RdsIamError(
            f"The principal {text!r} is neither the name of an IAM role nor the ARN of an IAM role or IAM user; give"
            " one of these, such as app-rds or arn:aws:iam::123456789012:role/app-rds."
        )
    return Principal("role", text, None, text)


def look(profile: str | None, region: str | None, expected: Principal | None) -> Signer:
    """Look for credentials anew, and find out whose they are.

    Those of an instance profile come with the name of their role. For all others AWS STS in C(region) is asked, and
    nobody where there is no region.
    """
    # Only the account tells roles of one name apart.
    name = expected.name if expected and expected.account else None
    try:
        found = _child_process.call(_find, profile, region, name, seconds=_SECONDS)
    except _child_process.ChildFailed as exc:
        found = {"error": f"AWS credentials could not be read: {exc}; correct what they come from.", "absent": False}
    if "source" not in found:
        return Signer(error=found["error"], is_expected=False if expected else None, may_change=found["absent"])
    end, account = found.pop("expires_at"), found.pop("account")
    keys = Keys(*found.pop("keys"), datetime.fromtimestamp(end, timezone.utc) if end else None)
    signer = Signer(keys=keys, **found)
    return _judge(signer, account, expected) if expected else signer


def _judge(signer: Signer, account: str | None, expected: Principal) -> Signer:
    principal = None
    if _ARN.fullmatch(signer.principal or ""):
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
        f" {expected.kind}; {_remedy(signer.source, expected)}."
    )
    return replace(signer, is_expected=False, obstacle=obstacle, may_change=signer.source == FROM_PROFILE)


def _find(profile: str | None, region: str | None, role_with_account: str | None) -> dict:
    """Return credentials and what is known of their principal, for C(look). Runs in a child process."""
    # The environment comes first, and needs nothing of what a session of botocore loads.
    served = _Remembering(None) if "AWS_ACCESS_KEY_ID" in os.environ and not profile else _remember_role(profile)
    try:
        found = token_signer.credentials(profile)
    except token_signer.NoCredentials as exc:
        return {"error": str(exc), "absent": not isinstance(exc, token_signer.UnreadableCredentials)}
    keys, end = found.get_frozen_credentials(), token_signer.credentials_end(found)
    known = {
        "source": found.method,
        "keys": [keys.access_key, keys.secret_key, keys.token],
        "expires_at": end and end.timestamp(),
        **dict.fromkeys(("principal", "role_name", "account", "error")),
    }
    role = served.role_name if found.method == FROM_PROFILE and _ROLE.fullmatch(served.role_name or "") else None
    if role:
        known["principal"] = known["role_name"] = role
        if role.lower() != (role_with_account or "").lower():
            return known
        known["account"] = metadata_service.profile_account()
        if known["account"]:
            return known
    arn, known["error"] = _ask_sts(profile, keys, region)
    if arn:
        session = _ARN.fullmatch(arn)
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
        provider = token_signer._session(profile).get_component("credential_provider").get_provider(FROM_PROFILE)
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

        session = token_signer._session(profile)
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


def _remedy(source: str, expected: Principal) -> str:
    """Return what to do about credentials of this source, without the end of the sentence."""
    if source == FROM_PROFILE:
        return (
            f"attach the instance profile of {expected.name} to this host (role dbops.rds_iam.role_attachment), or wait"
            " until the instance metadata service serves it"
        )
    user, instead = pwd.getpwuid(os.geteuid()).pw_name, "or name the principal that is to sign"
    if source in _VARIABLES:
        where = "/etc/environment, env_keep and env_file of sudo, and environment in the play can set them"
        return f"take {_VARIABLES[source]} out of the environment of {user} ({where}), {instead}"
    if source in _FILES:
        variable, default = _FILES[source]
        file = os.path.expanduser(os.environ.get(variable) or default)
        named = " (profile $AWS_PROFILE)" if os.environ.get("AWS_PROFILE") else ""
        return f"remove them from {file}{named} of {user}, {instead}"
    return f"remove what they come from, {instead}"
