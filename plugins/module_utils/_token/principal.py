# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IAM role or IAM user whose credentials sign a token. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
PRINCIPAL_ARN = re.compile(
    r"arn:aws[\w-]*:(?:iam::(?P<account>\d{12}):(?P<kind>role|user)/(?:[!-~]+/)?(?P<name>[\w+=,.@-]+)"
    r"|sts::(?P<session_account>\d{12}):assumed-role/(?P<role>[\w+=,.@-]+)/[\w+=,.@-]+)",
    re.ASCII,
)


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

    def is_same(self, principal: Principal) -> bool:
        """Compare by what IAM holds unique: the name within the account, whatever its path and its case.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: names are not distinguished by case.
        """
        same_account = self.account == principal.account or None in (self.account, principal.account)
        return self.kind == principal.kind and self.name.lower() == principal.name.lower() and same_account


def parse_principal(text: str) -> Principal:
    """Read the name of an IAM role, or the ARN of a role, of a session of a role, or of an IAM user."""
    arn = PRINCIPAL_ARN.fullmatch(text)
    if arn:
        account = arn["account"] or arn["session_account"]
        return Principal(arn["kind"] or "role", arn["name"] or arn["role"], account, text)
    if not ROLE_NAME.fullmatch(text):
        raise RdsIamError(
            f"The principal {text!r} is neither the name of an IAM role nor the ARN of an IAM role or IAM user; give"
            " one of these, such as app-rds or arn:aws:iam::123456789012:role/app-rds."
        )
    return Principal("role", text, None, text)
