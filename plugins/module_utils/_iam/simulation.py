# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the answer of iam:SimulatePrincipalPolicy. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import ABSENT, RequestContext


@dataclass(frozen=True)
class Simulation:
    """The decision on one database user, and its grounds.

    C(missing_keys) are the keys of conditions that the simulator had no value for, although a login may have one.
    C(allowed_by_organization) is None where the account is in no organization, C(allowed_by_boundary) where the role
    has no boundary.
    """

    decision: str  # allowed, explicitDeny or implicitDeny
    missing_keys: tuple[str, ...] = ()
    allowed_by_organization: bool | None = None
    allowed_by_boundary: bool | None = None


def read_results(results: list[dict[str, Any]], context: RequestContext) -> dict[str, Simulation]:
    """Return the simulations in C(EvaluationResults) by the ARN of the database user.

    AWS puts the missing context values of a request with resources below C(ResourceSpecificResults)
    (https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html). A key that is never sent with a
    login is not missing: the simulator takes it as absent, which it is.
    """
    simulations = {}
    for result in results:
        if result.get("EvalResourceName"):
            simulations[result["EvalResourceName"]] = _simulation(result["EvalDecision"], (result,), context)
        for resource in result.get("ResourceSpecificResults") or []:
            decision = resource["EvalResourceDecision"]
            simulations[resource["EvalResourceName"]] = _simulation(decision, (resource, result), context)
    return simulations


def _simulation(decision: str, answers: tuple[dict[str, Any], ...], context: RequestContext) -> Simulation:
    """Return a simulation from the answer on a resource, and that on all resources for what the first does not say."""
    keys = dict.fromkeys(answers[0].get("MissingContextValues") or [])
    return Simulation(
        decision,
        tuple(key for key in keys if context.get(key) is not ABSENT),
        _detail(answers, "OrganizationsDecisionDetail", "AllowedByOrganizations"),
        _detail(answers, "PermissionsBoundaryDecisionDetail", "AllowedByPermissionsBoundary"),
    )


def _detail(answers: tuple[dict[str, Any], ...], name: str, member: str) -> bool | None:
    return next((answer[name][member] for answer in answers if member in (answer.get(name) or {})), None)
