# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three-valued logic: yes, no, or unknown with what is missing. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """C(value) is None where it cannot be known, and C(missing) then names what would have to be known."""

    value: bool | None
    missing: tuple[str, ...] = ()

    @property
    def possible(self) -> bool:
        return self.value is not False


YES, NO = Truth(True), Truth(False)


def unknown(*missing: str) -> Truth:
    return Truth(None, missing)


def every(truths: Iterable[Truth]) -> Truth:
    """Return the conjunction: no if one is no, else unknown if one is, else yes."""
    return _until(False, truths)


def some(truths: Iterable[Truth]) -> Truth:
    """Return the disjunction: yes if one is yes, else unknown if one is, else no."""
    return _until(True, truths)


def _until(decisive: bool, truths: Iterable[Truth]) -> Truth:
    undecided = []
    for truth in truths:
        if truth.value is decisive:
            return truth
        if truth.value is None:
            undecided.append(truth)
    if not undecided:
        return NO if decisive else YES
    return Truth(None, tuple(dict.fromkeys(key for truth in undecided for key in truth.missing)))


def negated(truth: Truth) -> Truth:
    return truth if truth.value is None else NO if truth.value else YES
