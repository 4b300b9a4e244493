# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conclude what a run has proven, out of all logins of the inventory. Pure, and private to this collection."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ALLOWED, DENIED, Matrix
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import (
    LIMIT,
    OPTION,
    Outcome,
    RunKind,
    clause,
    outcomes,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import RunState

# What rds_iam_doctor returns for a login, by client, database and user.
Diagnoses = Mapping[tuple[str, str, str], Mapping[str, Any]]
_MOST_NAMES = 5  # in one sentence; more are counted
_HEADINGS = ("client", "database", "user", "signed by", "CURRENT_USER()", "TLS", "expected", "verdict", "proven")
_NO_LOGIN = "There was no login to prove; set db_users_accounts of the databases, or iam_role_users."


class HostMessage(TypedDict):
    """What the last task of a run says on one host."""

    proven: bool
    text: str


class Report(TypedDict):
    """What a run says at its end."""

    table: list[str]
    details: list[str]  # the findings on each login that is not proven, where the sentence does not say it
    sentence: str
    proven: bool  # whether the run may end with status 0
    hosts: dict[str, HostMessage]
    counts: dict[str, int]


def report(
    matrix: Matrix, state: RunState, run: RunKind, diagnoses: Diagnoses, host: str, shows_reasons: bool = True
) -> Report:
    """Return what a run says at its end.

    host: the host that says it for all of them; those that failed say why
    shows_reasons: whether the sentence has the reasons, or the details above it
    """
    every_outcome = list(outcomes(matrix, state, run))
    faults = _faults(matrix, state)
    unproven = [outcome for outcome in every_outcome if not outcome.proven and not outcome.excuse]
    counts = {
        "logins": matrix["total"],
        "tried": sum(outcome.is_tried for outcome in every_outcome),
        "proven": sum(outcome.proven for outcome in every_outcome),
        "not_proven": len(unproven),
    }
    sentences = _conclude(matrix, run, every_outcome)
    if unproven and shows_reasons:
        sentences.append(f"{_are_unproven(matrix['total'], unproven)}: {_grouped(unproven, diagnoses)}.")
    elif unproven:
        sentences.append(f"{_are_unproven(matrix['total'], unproven)}, for the reasons above.")
    named = {outcome.login.database for outcome in unproven} | {outcome.client for outcome in unproven}
    sentences += [f"{name}: {reason}." for name, reason in faults.items() if name not in named]
    is_asked = run["has_step"] and run["logs_in"]
    is_enough = counts["tried"] > 0 if is_asked else matrix["total"] > 0 or not run["has_step"]
    proven, text = is_enough and not faults and not unproven, " ".join(sentences)
    hosts = {name: HostMessage(proven=False, text=f"{reason}.") for name, reason in faults.items()}
    hosts[host] = HostMessage(proven=proven, text=text)
    details = [] if shows_reasons else [line for outcome in unproven for line in _detail(outcome, diagnoses)]
    return Report(
        table=_table(every_outcome), details=details, sentence=text, proven=proven, hosts=hosts, counts=counts
    )


def _faults(matrix: Matrix, state: RunState) -> dict[str, str]:
    """Return why hosts took part in nothing more, or why their logins are not known, by their name."""
    faults = {name: clause(client.failure) for name, client in state.clients.items() if client.failure}
    for entry in matrix["databases"]:
        database = state.databases.get(entry["name"])
        why = database and (entry["error"] or database.failure)
        if why:
            faults[entry["name"]] = clause(why)
    return faults


def _conclude(matrix: Matrix, run: RunKind, every_outcome: list[Outcome]) -> list[str]:
    """Return the sentences on how many logins were tried and are proven, and why the others were not to be tried."""
    total, tried = matrix["total"], sum(outcome.is_tried for outcome in every_outcome)
    if not total:
        return [_NO_LOGIN]
    excused = defaultdict(list)
    for outcome in every_outcome:
        excused[outcome.excuse].append(outcome)
    none = f"0 of {total} logins were tried"
    if not run["has_step"]:
        return [f"{none}, since this run leaves step 9 out."]
    if not run["logs_in"]:
        return [f"{none}: check mode logs in nowhere."]
    if not matrix["limited_clients"]:
        return [f"{none}: --limit {matrix['limit']} leaves out all clients. {_what_to_pass(matrix)}"]
    sentences = [_counted(total, tried, every_outcome)]
    if excused[LIMIT]:
        sentences.append(f"{_not_tried(excused[LIMIT])}, since --limit leaves out {_left_out(excused[LIMIT])}.")
    if excused[OPTION]:
        denied = sum(outcome.login.expected == DENIED for outcome in every_outcome)
        sentences.append(
            f"No denial was tried ({len(excused[OPTION])} of {denied} are left out by connect_proof_denied=false), so"
            " nothing is known of them."
        )
    return sentences


def _counted(total: int, tried: int, every_outcome: Iterable[Outcome]) -> str:
    proven = [outcome for outcome in every_outcome if outcome.proven]
    allowed = sum(outcome.login.expected == ALLOWED for outcome in proven)
    kinds = f"{allowed} allowed, {len(proven) - allowed} denied"
    if not proven:
        return f"{tried} of {total} logins were tried, and none is proven."
    which = f"{len(proven)} are" if len(proven) < tried else "all are" if tried == total else "all of these are"
    return f"{tried} of {total} logins were tried, and {which} proven: {kinds}."


def _not_tried(outcomes_of: list[Outcome]) -> str:
    return "1 was not tried" if len(outcomes_of) == 1 else f"{len(outcomes_of)} were not tried"


def _left_out(outcomes_of: Iterable[Outcome]) -> str:
    names = dict.fromkeys(name for outcome in outcomes_of for name in outcome.left_out)
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} hosts"


def _what_to_pass(matrix: Matrix) -> str:
    """Say with which option a run tries the logins to the databases that this run was about."""
    hosts = matrix["limit"]
    # What it excludes would stay excluded, and a colon parts nothing once there is a comma.
    if set(hosts) & set("!&:"):
        hosts = ",".join(matrix["limited_databases"])
    hosts = shlex.quote(f"{hosts},rds_clients")
    return f"Pass --limit {hosts} to try the logins to {_names(matrix['limited_databases'])}."


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} databases"


def _are_unproven(total: int, unproven: list[Outcome]) -> str:
    return f"{len(unproven)} of {total} logins {'is' if len(unproven) == 1 else 'are'} not proven"


def _grouped(unproven: list[Outcome], diagnoses: Diagnoses) -> str:
    """Return each reason once, with all logins that it is about."""
    grouped = defaultdict(list)
    for outcome in unproven:
        answered = outcome.attempt is not None and outcome.attempt.result.get("failed_at")
        reason = clause(_reason(outcome, diagnoses) if answered else outcome.reason)
        grouped[reason].append(f"{outcome.client} to {outcome.login.database} as {outcome.login.user}")
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in grouped.items())


def _diagnosis(outcome: Outcome, diagnoses: Diagnoses) -> Mapping[str, Any]:
    return diagnoses.get((outcome.client, outcome.login.database, outcome.login.user)) or {}


def _reason(outcome: Outcome, diagnoses: Diagnoses) -> str:
    """Return why a login is not proven: what the doctor found, unless that is less than what mysql.user shows."""
    diagnosis = _diagnosis(outcome, diagnoses)
    broken = [link["name"] for link in diagnosis.get("links") or () if link["state"] == "broken"]
    if outcome.is_refused_by_row and broken[:1] in ([], ["login"]):
        return outcome.reason
    return diagnosis.get("reason") or outcome.reason


def _detail(outcome: Outcome, diagnoses: Diagnoses) -> list[str]:
    login = outcome.login
    lines = [f"{login.user} on {login.database} from {outcome.client}: {clause(_reason(outcome, diagnoses))}."]
    for link in _diagnosis(outcome, diagnoses).get("links") or ():
        lines.append(f"  {link['name']:<12} {link['state']:<8} {link['text']}")
    return lines


def _table(every_outcome: Iterable[Outcome]) -> list[str]:
    """Return a line for each login that the run was to try, below the headings; nothing where there is none."""
    rows = [_row(outcome) for outcome in every_outcome if not outcome.excuse]
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (_HEADINGS, *rows)]


def _row(outcome: Outcome) -> tuple[str, ...]:
    login, attempt = outcome.login, outcome.attempt
    result = attempt.result if attempt else {}
    signer = attempt.signer if attempt else {}
    return (
        outcome.client,
        login.database,
        login.user,
        signer.get("role_name") or signer.get("principal") or "-",
        result.get("current_user") or "-",
        result.get("tls_version") or "-",
        login.expected,
        (attempt.verdict if attempt else "not_tried").replace("_", " "),
        "yes" if outcome.proven else "NOT PROVEN",
    )
