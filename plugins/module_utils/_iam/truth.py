# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reckon with three truth values: yes, no, or unknown with what is missing. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """A truth value. C(value) is None where it cannot be known; C(missing) then names what would have to be known."""

    value: bool | None
    missing: tuple[str, ...] = ()

    @property
    def possible(self) -> bool:
        """Tell whether it is yes or unknown."""
        return self.value is not False


YES, NO = Truth(True), Truth(False)


def unknown(*missing: str) -> Truth:
    return Truth(None, missing)


def all_of(truths: Iterable[Truth]) -> Truth:
    """Return the conjunction: no if an operand is no, else unknown if an operand is, else yes."""
    return _combine(False, truths)


def any_of(truths: Iterable[Truth]) -> Truth:
    """Return the disjunction: yes if an operand is yes, else unknown if an operand is, else no."""
    return _combine(True, truths)


def _combine(decisive_value: bool, truths: Iterable[Truth]) -> Truth:
    undecided_truths = []
    for truth in truths:
        if truth.value is decisive_value:
            return truth
        if truth.value is None:
            undecided_truths.append(truth)
    if not undecided_truths:
        return NO if decisive_value else YES
    return Truth(None, tuple(dict.fromkeys(key for truth in undecided_truths for key in truth.missing)))


def negate(truth: Truth) -> Truth:
    if truth.value is None:
        return truth
    return NO if truth.value else YES
