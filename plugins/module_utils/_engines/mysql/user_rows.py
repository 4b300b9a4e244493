# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of mysql.user as modules return them. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable

ANONYMOUS = ""


def user_rows(accounts: dict, names: Iterable[str]) -> list[dict]:
    """Return the rows that a server may pick for a login with one of the names, by name and host.

    C(accounts) is what C(user_reader.read_accounts) returns. The anonymous user matches any name. Roles of MariaDB are
    left out, since nobody can log in as one; those of MySQL are rows that a login can match, and are locked.
    """
    wanted = {ANONYMOUS, *names}
    rows = [accounts[key] for key in sorted(accounts) if accounts[key].name in wanted]
    return [to_row(account) for account in rows if account.host or not account.role]


def to_row(account) -> dict:
    """Return what decides about logins of one database user."""
    return {
        "name": account.name,
        "host": account.host,
        "plugin": account.logs_in_with,
        "iam": account.is_iam,
        "locked": account.locked,
        "expired": account.expired,
        "require": account.require,
        "managed": account.managed,
    }
