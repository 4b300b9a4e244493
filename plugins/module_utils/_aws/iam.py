# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the calls of IAM that read, with their failures in one sentence. Private to this collection.

In each function C(operation) is a method of the client, as C(get_role), C(task) completes "Failed to ...", and
C(arguments) are those of the call. Each raises NoSuchEntityError, or another RdsIamError where the call fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

if TYPE_CHECKING:
    from botocore.client import BaseClient


class NoSuchEntityError(RdsIamError):
    """IAM has nothing of the name that a call gives."""


def get(client: BaseClient, operation: str, task: str, **arguments: object) -> dict[str, Any]:
    """Return the answer of an operation."""
    with _failures_of(task):
        answer: dict[str, Any] = getattr(client, operation)(**arguments)
    return answer


def get_pages(client: BaseClient, operation: str, task: str, **arguments: object) -> list[dict[str, Any]]:
    """Return all pages of the answer of an operation."""
    with _failures_of(task):
        return list(client.get_paginator(operation).paginate(**arguments))


def get_items(client: BaseClient, operation: str, key: str, task: str, **arguments: object) -> list[Any]:
    """Return what all pages of the answer of an operation list below a key."""
    return [item for page in get_pages(client, operation, task, **arguments) for item in page[key]]


@contextmanager
def _failures_of(task: str) -> Iterator[None]:
    try:
        yield
    except AWS_ERRORS as exc:
        error = aws_error(task, exc, "iam")
        raise (NoSuchEntityError(str(error)) if error_code(exc) == "NoSuchEntity" else error) from None
