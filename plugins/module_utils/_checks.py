# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold the result of one check of a login. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"


@dataclass(frozen=True)
class Check:
    """The result of one check of a login.

    C(status) is C(PASSED), C(FAILED) or C(UNKNOWN). C(message) says what the check saw, and C(remedy) what to do where
    it failed; both are parts of a sentence, without the full stop. C(fact) is the part of C(message) that is certain,
    where the rest is a guess at the cause.
    """

    name: str
    status: str
    message: str
    remedy: str = ""
    fact: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the check as the modules return it."""
        return {"name": self.name, "status": self.status, "message": self.message, "remedy": self.remedy}
