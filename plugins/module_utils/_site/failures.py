# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say in one sentence why a task failed. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def failure_reason(result: Mapping[str, Any], task: str = "") -> str:
    """Return why a task failed, from its result: the messages of all items that failed, each of them once.

    result: what Ansible keeps of the task, also of one that did not reach its host
    task: its name, for a result without a message
    """
    messages = dict.fromkeys(filter(None, (" ".join(str(message).split()) for message in _messages(result))))
    if messages:
        return " ".join(messages)
    return f'the task "{task}" failed' if task else "a task failed without a message"


def is_bad(result: Mapping[str, Any]) -> bool:
    """Return whether a result is that of a task that failed or did not reach its host."""
    return bool(result.get("failed") or result.get("unreachable"))


def _messages(result: Mapping[str, Any]) -> Iterator[Any]:
    items = [item for item in result.get("results") or () if isinstance(item, Mapping) and is_bad(item)]
    for item in items:
        yield from _messages(item)
    if not items:
        yield result.get("msg") or ""
