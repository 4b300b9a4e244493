# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try logins with tokens, and judge what comes of them. Private to this collection."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import (
    AccessDeniedError,
    ConnectionOptions,
    NoConnectionError,
    check_seconds,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.connectors import connector_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import signing_principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import errors
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer as token_signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import region_of
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.principal import Principal, parse_principal

ALLOWED, DENIED, FAILED, NOT_TRIED = "allowed", "denied", "failed", "not_tried"
_FIRST_PAUSE = 2  # seconds before the second attempt; each further pause is twice as long
_LONGEST_WAIT = 3600
_KEYS_AGE = 300  # seconds after which credentials are looked for anew, since they may have been renewed


def check_options(params: dict) -> Principal | None:
    """Return the principal that must sign. Raises RdsIamError for options that cannot be."""
    check_seconds("connect_timeout", params["connect_timeout"])
    check_seconds("wait_timeout", params["wait_timeout"], minimum=0, maximum=_LONGEST_WAIT)
    return None if params["principal"] is None else parse_principal(params["principal"])


class LoginTest:
    """Tries the logins of C(params), those of the module rds_iam_ping, and keeps a record of each."""

    def __init__(self, params: dict):
        self.params = params
        self.expected = check_options(params)
        self.signer, self._looked_at = None, 0.0

    def run(self) -> list[dict]:
        """Return the record of each login, as the module documents it."""
        logins, end = self.params["logins"], time.monotonic() + self.params["wait_timeout"]
        records, pending, pause = {}, range(len(logins)), _FIRST_PAUSE
        while True:
            self.look()
            for index in pending:
                attempts = records.get(index, {}).get("attempts", 0)
                records[index] = self._try(logins[index], attempts)
            pending = [index for index in pending if self._may_pass_by_itself(records[index])]
            left = end - time.monotonic()
            if not pending or left <= 0:
                return [records[index] for index in range(len(logins))]
            time.sleep(min(pause, left))
            pause *= 2

    def look(self) -> None:
        """Look for the credentials that sign."""
        self.signer = signing_principal.look(self.params["profile"], self._region(), self.expected)
        self._looked_at = time.monotonic()

    def _region(self) -> str | None:
        """Return a region in which AWS STS can be asked."""
        for login in self.params["logins"]:
            try:
                return region_of(login["endpoint"], login["region"])
            except RdsIamError:
                pass  # the login itself says it
        return None

    def _try(self, login: dict, attempts: int) -> dict:
        if time.monotonic() - self._looked_at > _KEYS_AGE:
            self.look()
        tried_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = self._log_in(login)
        reason = _judge(login, answer, self.signer)
        answer.pop("msg", None)
        return {
            **{name: login[name] for name in ("endpoint", "port", "user")},
            "expected": login["expect"],
            "as_expected": reason is None,
            "tried_at": tried_at,
            "attempts": attempts + (answer["verdict"] != NOT_TRIED),
            "signer": self.signer.shown(),
            "client_host": None,
            **answer,
            **({"msg": reason} if reason else {}),
        }

    def _log_in(self, login: dict) -> dict:
        """Return the verdict of one login with what the server said, or where and why the login failed."""
        target = {name: login[name] for name in ("endpoint", "port", "user")}
        if self.signer.obstacle:
            return {"verdict": NOT_TRIED, "failed_at": "credentials", "msg": self.signer.obstacle}
        if not self.signer.keys:
            return {"verdict": FAILED, "failed_at": "credentials", "msg": self.signer.error}
        try:
            token = token_signer.sign(self.signer.keys, region=region_of(target["endpoint"], login["region"]), **target)
            options = ConnectionOptions(
                host=target["endpoint"],
                port=target["port"],
                ca_file=login["ca_file"] or self.params["ca_file"],
                connect_host=login["connect_host"],
                timeout=self.params["connect_timeout"],
            )
            facts = connector_for(DEFAULT_ENGINE).log_in(options, target["user"], token)
            return {"verdict": ALLOWED, **facts}
        except AccessDeniedError as exc:
            return {"verdict": DENIED, **exc.to_result(), "client_host": exc.client_host}
        except NoConnectionError as exc:
            return {"verdict": FAILED, **exc.to_result()}
        except (RdsIamError, errors.TokenError) as exc:
            return {"verdict": FAILED, "failed_at": "token", "msg": str(exc)}

    def _may_pass_by_itself(self, record: dict) -> bool:
        """Tell what only waits for AWS to spread a change: a policy, or the credentials of a profile just attached."""
        if record["as_expected"]:
            return False
        if record.get("failed_at") == "credentials":
            return self.signer.may_change
        return {record["verdict"], record["expected"]} == {ALLOWED, DENIED}


def _judge(login: dict, answer: dict, signer: signing_principal.Signer) -> str | None:
    """Return the sentence on what to do, or None for a login that went as expected."""
    where, principal = f"{login['endpoint']}:{login['port']}", signer.principal or "the role of this host"
    if answer["verdict"] == ALLOWED != login["expect"]:
        return (
            f"{answer['current_user']} logged in to {where} although it should be refused; check which policies allow"
            f" rds-db:connect to {principal}."
        )
    if answer["verdict"] == ALLOWED and answer["current_user"].rpartition("@")[0] != login["user"]:
        return (
            f"The server at {where} let {login['user']} in as {answer['current_user']}, which is another user, such as"
            f" an anonymous one or one that {login['user']} may be a proxy for, so the login proves nothing about"
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
