# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conclude a run from the outcomes of all logins of the inventory. Pure, and private to this collection."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult, SignerResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ALLOWED, DENIED, Matrix
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import (
    LIMIT,
    OPTION,
    Outcome,
    RunKind,
    clause,
    outcomes,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import Diagnosis
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import RunState

# By client, database and user.
Diagnoses = Mapping[tuple[str, str, str], Diagnosis]
_MAX_NAMES = 5  # in one sentence; more are counted
_HEADINGS = ("client", "database", "user", "signed by", "CURRENT_USER()", "TLS", "expected", "verdict", "proven")
_NO_LOGIN = "There was no login to prove; set db_users_accounts of the databases, or iam_role_users."


class HostMessage(TypedDict):
    """The message of the last task of a run on one host."""

    proven: bool
    text: str


class Report(TypedDict):
    """The report of a run at its end."""

    table: list[str]
    details: list[str]  # the findings on each login that is not proven, where the sentence does not say it
    sentence: str
    proven: bool  # whether the run may end with status 0
    hosts: dict[str, HostMessage]
    counts: dict[str, int]


def report(
    matrix: Matrix, state: RunState, run: RunKind, diagnoses: Diagnoses, host: str, shows_reasons: bool = True
) -> Report:
    """Return the report of a run at its end.

    host: the host that says it for all of them; those that failed say why
    shows_reasons: whether the sentence has the reasons, or the details above it
    """
    run_outcomes = list(outcomes(matrix, state, run))
    failures = _failures(matrix, state)
    unproven_outcomes = [outcome for outcome in run_outcomes if not outcome.proven and not outcome.exclusion]
    counts = {
        "logins": matrix["total"],
        "tried": sum(outcome.is_tried for outcome in run_outcomes),
        "proven": sum(outcome.proven for outcome in run_outcomes),
        "not_proven": len(unproven_outcomes),
    }
    sentences = _conclude(matrix, run, run_outcomes)
    if unproven_outcomes and shows_reasons:
        sentences.append(
            f"{_count_unproven(matrix['total'], unproven_outcomes)}: {_group_by_reason(unproven_outcomes, diagnoses)}."
        )
    elif unproven_outcomes:
        sentences.append(f"{_count_unproven(matrix['total'], unproven_outcomes)}, for the reasons above.")
    mentioned_hosts = {host for outcome in unproven_outcomes for host in (outcome.login.database, outcome.client)}
    sentences += [f"{name}: {reason}." for name, reason in failures.items() if name not in mentioned_hosts]
    tries_logins = run["has_step"] and run["logs_in"]
    is_enough = counts["tried"] > 0 if tries_logins else matrix["total"] > 0 or not run["has_step"]
    proven, text = is_enough and not failures and not unproven_outcomes, " ".join(sentences)
    hosts = {name: HostMessage(proven=False, text=f"{reason}.") for name, reason in failures.items()}
    hosts[host] = HostMessage(proven=proven, text=text)
    details = [] if shows_reasons else [line for outcome in unproven_outcomes for line in _detail(outcome, diagnoses)]
    return Report(table=_table(run_outcomes), details=details, sentence=text, proven=proven, hosts=hosts, counts=counts)


def _failures(matrix: Matrix, state: RunState) -> dict[str, str]:
    """Return why hosts took part in nothing more, or why their logins are not known, by their name."""
    failures = {name: clause(client.failure) for name, client in state.clients.items() if client.failure}
    for entry in matrix["databases"]:
        database = state.databases.get(entry["name"])
        reason = database and (entry["error"] or database.failure)
        if reason:
            failures[entry["name"]] = clause(reason)
    return failures


def _conclude(matrix: Matrix, run: RunKind, run_outcomes: list[Outcome]) -> list[str]:
    """Return the sentences that count the logins tried and proven, and say why the rest was not to be tried."""
    total, attempt_count = matrix["total"], sum(outcome.is_tried for outcome in run_outcomes)
    if not total:
        return [_NO_LOGIN]
    start = f"0 of {total} logins were tried"
    if not run["has_step"]:
        return [f"{start}, since this run leaves step 9 out."]
    if not run["logs_in"]:
        return [f"{start}: check mode logs in nowhere."]
    if not matrix["limited_clients"]:
        return [f"{start}: --limit {matrix['limit']} leaves out all clients. {_advise_limit(matrix)}"]
    sentences = [_count_proven(total, attempt_count, run_outcomes)]
    beyond_limit = [outcome for outcome in run_outcomes if outcome.exclusion == LIMIT]
    if beyond_limit:
        sentences.append(f"{_count_untried(beyond_limit)}, since --limit leaves out {_name_excluded(beyond_limit)}.")
    option_count = sum(outcome.exclusion == OPTION for outcome in run_outcomes)
    if option_count:
        denied_count = sum(outcome.login.expected == DENIED for outcome in run_outcomes)
        sentences.append(
            f"No denial was tried ({option_count} of {denied_count} are left out by connect_proof_denied=false), so"
            " nothing is known of them."
        )
    return sentences


def _count_proven(total: int, attempt_count: int, run_outcomes: Iterable[Outcome]) -> str:
    proven_outcomes = [outcome for outcome in run_outcomes if outcome.proven]
    allowed_count = sum(outcome.login.expected == ALLOWED for outcome in proven_outcomes)
    kinds = f"{allowed_count} allowed, {len(proven_outcomes) - allowed_count} denied"
    if not proven_outcomes:
        return f"{attempt_count} of {total} logins were tried, and none is proven."
    share = (
        f"{len(proven_outcomes)} are"
        if len(proven_outcomes) < attempt_count
        else "all are"
        if attempt_count == total
        else "all of these are"
    )
    return f"{attempt_count} of {total} logins were tried, and {share} proven: {kinds}."


def _count_untried(excluded_outcomes: list[Outcome]) -> str:
    return "1 was not tried" if len(excluded_outcomes) == 1 else f"{len(excluded_outcomes)} were not tried"


def _name_excluded(excluded_outcomes: Iterable[Outcome]) -> str:
    names = dict.fromkeys(name for outcome in excluded_outcomes for name in outcome.excluded_hosts)
    return ", ".join(names) if len(names) <= _MAX_NAMES else f"{len(names)} hosts"


def _advise_limit(matrix: Matrix) -> str:
    """Return the sentence on the option with which a run tries the logins to the databases of this run."""
    hosts = matrix["limit"]
    # What it excludes would stay excluded, and a colon parts nothing once there is a comma.
    if set(hosts) & set("!&:"):
        hosts = ",".join(matrix["limited_databases"])
    hosts = shlex.quote(f"{hosts},rds_clients")
    return f"Pass --limit {hosts} to try the logins to {_names(matrix['limited_databases'])}."


def _names(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _MAX_NAMES else f"{len(names)} databases"


def _count_unproven(total: int, unproven_outcomes: list[Outcome]) -> str:
    count = len(unproven_outcomes)
    return f"{count} of {total} logins {'is' if count == 1 else 'are'} not proven"


def _group_by_reason(unproven_outcomes: list[Outcome], diagnoses: Diagnoses) -> str:
    """Return each reason once, with all logins that it is about."""
    logins_by_reason = defaultdict(list)
    for outcome in unproven_outcomes:
        has_failed_attempt = outcome.attempt is not None and outcome.attempt.result.get("failed_at")
        reason = clause(_reason(outcome, diagnoses) if has_failed_attempt else outcome.reason)
        logins_by_reason[reason].append(f"{outcome.client} to {outcome.login.database} as {outcome.login.user}")
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in logins_by_reason.items())


def _diagnosis(outcome: Outcome, diagnoses: Diagnoses) -> Diagnosis:
    return diagnoses.get((outcome.client, outcome.login.database, outcome.login.user)) or {}


def _reason(outcome: Outcome, diagnoses: Diagnoses) -> str:
    """Return why a login is not proven: the reason of the doctor, unless the row in mysql.user is a better one."""
    diagnosis = _diagnosis(outcome, diagnoses)
    broken = [check["name"] for check in diagnosis.get("links") or () if check["state"] == "broken"]
    if outcome.is_refused_by_row and broken[:1] in ([], ["login"]):
        return outcome.reason
    return diagnosis.get("reason") or outcome.reason


def _detail(outcome: Outcome, diagnoses: Diagnoses) -> list[str]:
    login = outcome.login
    checks = _diagnosis(outcome, diagnoses).get("links") or ()
    return [
        f"{login.user} on {login.database} from {outcome.client}: {clause(_reason(outcome, diagnoses))}.",
        *(f"  {check['name']:<12} {check['state']:<8} {check['text']}" for check in checks),
    ]


def _table(run_outcomes: Iterable[Outcome]) -> list[str]:
    """Return a line for each login that the run was to try, below the headings; nothing where there is none."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    widths = [len(heading) for heading in _HEADINGS]
    for outcome in run_outcomes:
        if not outcome.exclusion:
            row = _row(outcome)
            rows.append(row)
            widths = list(map(max, widths, map(len, row)))
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] if len(rows) > 1 else []


def _row(outcome: Outcome) -> tuple[str, ...]:
    login, attempt = outcome.login, outcome.attempt
    result: LoginResult = attempt.result if attempt else {}
    signer: SignerResult = attempt.signer if attempt else {}
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
