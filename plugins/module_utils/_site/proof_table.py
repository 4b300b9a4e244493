# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the table of the proof, a line for each login. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult, SignerResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import Outcome


def proof_table(run_outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line for each login that the run was to try, below the headings; nothing where there is none."""
    rows = [list(_COLUMNS)]
    widths = [len(heading) for heading in _COLUMNS]
    for outcome in run_outcomes:
        if not outcome.exclusion:
            row = [cell(outcome) for cell in _COLUMNS.values()]
            rows.append(row)
            widths = list(map(max, widths, map(len, row)))
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] if len(rows) > 1 else []


def _result(outcome: Outcome) -> LoginResult:
    return outcome.attempt.result if outcome.attempt else {}


def _signer(outcome: Outcome) -> str:
    signer: SignerResult = outcome.attempt.signer if outcome.attempt else {}
    return signer.get("role_name") or signer.get("principal") or "-"


def _verdict(outcome: Outcome) -> str:
    return (outcome.attempt.verdict if outcome.attempt else "not_tried").replace("_", " ")


# By heading, the text that a column has for a login.
_COLUMNS: dict[str, Callable[[Outcome], str]] = {
    "client": lambda outcome: outcome.client,
    "database": lambda outcome: outcome.login.database,
    "user": lambda outcome: outcome.login.user,
    "signed by": _signer,
    "CURRENT_USER()": lambda outcome: _result(outcome).get("current_user") or "-",
    "TLS": lambda outcome: _result(outcome).get("tls_version") or "-",
    "expected": lambda outcome: outcome.login.expected,
    "verdict": _verdict,
    "proven": lambda outcome: "yes" if outcome.proven else "NOT PROVEN",
}
