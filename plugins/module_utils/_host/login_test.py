# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try logins with tokens, and judge their results. Private to this collection."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TypedDict, cast

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import (
    AccessDeniedError,
    ConnectionOptions,
    NoConnectionError,
    check_seconds,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.connectors import connector_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.signing_principal import Keys, Signer, find_signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import resolve_region
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import TokenError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.issue import issue
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.principal import Principal, parse_principal

ALLOWED, DENIED, FAILED, NOT_TRIED = "allowed", "denied", "failed", "not_tried"
_FIRST_PAUSE = 2  # seconds before the second attempt; each further pause is twice as long
_MAX_WAIT = 3600  # seconds
_MAX_KEYS_AGE = 300  # seconds after which credentials are looked for anew, since they may have been renewed


class LoginOptions(TypedDict):
    """An entry of the option logins of rds_iam_ping."""

    endpoint: str
    port: int
    user: str
    region: str | None
    connect_host: str | None
    ca_file: str | None
    expect: str


class PingOptions(TypedDict):
    """The options of rds_iam_ping."""

    logins: list[LoginOptions]
    ca_file: str
    connect_timeout: int  # seconds
    wait_timeout: int  # seconds
    profile: str | None
    principal: str | None


class LoginTest:
    """Tries the logins of rds_iam_ping, and keeps the result of each.

    Raises RdsIamError when it is made with options that cannot be.
    """

    def __init__(self, params: PingOptions) -> None:
        check_seconds("connect_timeout", params["connect_timeout"])
        check_seconds("wait_timeout", params["wait_timeout"], minimum=0, maximum=_MAX_WAIT)
        self.params = params
        self.expected: Principal | None = None if params["principal"] is None else parse_principal(params["principal"])
        self.signer = Signer()
        self._signer_age_from = 0.0  # by time.monotonic()

    def run(self) -> list[LoginResult]:
        """Return the result of each login, in the order of the option.

        Logins that may pass when AWS has spread a change are tried again until C(wait_timeout) is over.
        """
        logins, end = self.params["logins"], time.monotonic() + self.params["wait_timeout"]
        results: dict[int, LoginResult] = {}
        pending, pause = list(range(len(logins))), _FIRST_PAUSE
        while True:
            self.find_signer()
            for index in pending:
                attempts = results[index]["attempts"] if index in results else 0
                results[index] = self._try(logins[index], attempts)
            pending = [index for index in pending if self._may_pass_later(results[index])]
            remaining = end - time.monotonic()
            if not pending or remaining <= 0:
                return [results[index] for index in range(len(logins))]
            time.sleep(min(pause, remaining))
            pause *= 2

    def find_signer(self) -> None:
        """Look for the credentials that sign."""
        self.signer = find_signer(self.params["profile"], self._sts_region(), self.expected)
        self._signer_age_from = time.monotonic()

    def _sts_region(self) -> str | None:
        """Return a Region in which AWS STS can be asked, that of the first login that has one."""
        for login in self.params["logins"]:
            try:
                return resolve_region(login["endpoint"], login["region"])
            except TokenError:  # noqa: PERF203 - the result of the login reports it; mostly the first has a Region
                pass
        return None

    def _try(self, login: LoginOptions, attempts: int) -> LoginResult:
        """Try one login. C(attempts) is the number of earlier ones."""
        if time.monotonic() - self._signer_age_from > _MAX_KEYS_AGE:
            self.find_signer()
        tried_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = self._log_in(login)
        reason = _judge(login, answer, self.signer)
        answer.pop("msg", None)
        result: LoginResult = {
            "endpoint": login["endpoint"],
            "port": login["port"],
            "user": login["user"],
            "expected": login["expect"],
            "as_expected": reason is None,
            "tried_at": tried_at,
            "attempts": attempts + (answer["verdict"] != NOT_TRIED),
            "signer": self.signer.to_result(),
            "client_host": None,
            **answer,
        }
        if reason:
            result["msg"] = reason
        return result

    def _log_in(self, login: LoginOptions) -> LoginResult:
        """Return the verdict with the facts about the session, or with the place and the reason of the failure."""
        keys = self.signer.keys
        if self.signer.obstacle:
            return {"verdict": NOT_TRIED, "failed_at": "credentials", "msg": self.signer.obstacle}
        if not keys:
            return {"verdict": FAILED, "failed_at": "credentials", "msg": self.signer.error or ""}

        def find(_profile: str | None) -> Keys:
            return keys

        options = ConnectionOptions(
            host=login["endpoint"],
            port=login["port"],
            ca_file=login["ca_file"] or self.params["ca_file"],
            connect_host=login["connect_host"],
            timeout=self.params["connect_timeout"],
        )
        try:
            token = issue(login["endpoint"], login["port"], login["user"], login["region"], find=find)
            facts = connector_for(DEFAULT_ENGINE).log_in(options, login["user"], token.secret)
        except AccessDeniedError as exc:
            return cast("LoginResult", {"verdict": DENIED, **exc.to_result(), "client_host": exc.client_host})
        except NoConnectionError as exc:
            return cast("LoginResult", {"verdict": FAILED, **exc.to_result()})
        except RdsIamError as exc:
            return {"verdict": FAILED, "failed_at": "token", "msg": str(exc)}
        return cast("LoginResult", {"verdict": ALLOWED, **facts})

    def _may_pass_later(self, result: LoginResult) -> bool:
        """Return whether AWS may only need time for a change: of a policy, or of a profile that was just attached."""
        if result["as_expected"]:
            return False
        if result.get("failed_at") == "credentials":
            return self.signer.may_change
        return {result["verdict"], result["expected"]} == {ALLOWED, DENIED}


def _judge(login: LoginOptions, answer: LoginResult, signer: Signer) -> str | None:
    """Return the sentence on what to do, or None for a login that went as expected."""
    address, principal = f"{login['endpoint']}:{login['port']}", signer.principal or "the role of this host"
    if answer["verdict"] == ALLOWED != login["expect"]:
        return (
            f"{answer['current_user']} logged in to {address} although it should be refused; check which policies allow"
            f" rds-db:connect to {principal}."
        )
    if answer["verdict"] == ALLOWED and answer["current_user"].rpartition("@")[0] != login["user"]:
        return (
            f"The server at {address} let {login['user']} in as {answer['current_user']}, which is another user, such"
            f" as an anonymous one or one that {login['user']} may be a proxy for, so the login proves nothing about"
            f" {login['user']}; drop that user, or revoke PROXY."
        )
    if answer["verdict"] == login["expect"]:
        return None
    if answer["verdict"] == DENIED:
        return (
            f"{answer['msg']} The account, its plugin, the IAM flag of the database and the policies of {principal} for"
            " rds-db:connect must all allow it."
        )
    return answer["msg"]
