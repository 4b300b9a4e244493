# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold the result of one check of a login. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

OK, BROKEN, UNKNOWN = "ok", "broken", "unknown"


@dataclass(frozen=True)
class Check:
    """The result of one check of a login.

    C(state) is C(OK), C(BROKEN) or C(UNKNOWN). C(text) says what the check saw, and C(repair) how to repair it where it
    is broken; both are parts of a sentence, without the full stop. C(fact) is the part of C(text) that is certain,
    where the rest is a guess at the cause.
    """

    name: str
    state: str
    text: str
    repair: str = ""
    fact: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the check as the modules return it."""
        return {"name": self.name, "state": self.state, "text": self.text, "repair": self.repair}
