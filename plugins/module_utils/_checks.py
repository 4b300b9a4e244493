# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result of a check between a host and a database. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

OK, BROKEN, UNKNOWN = "ok", "broken", "unknown"


@dataclass(frozen=True)
class Check:
    """What was found by one check, without the full stop, and for what is broken what repairs it.

    C(fact) is the part of C(text) that is certain, where the rest is a guess at the cause.
    """

    name: str
    state: str
    text: str
    repair: str = ""
    fact: str = ""

    def shown(self) -> dict:
        return {"name": self.name, "state": self.state, "text": self.text, "repair": self.repair}
