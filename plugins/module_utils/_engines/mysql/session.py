# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The session in which database users are read and changed. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection, DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection_errors import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

CHARACTER_SET = "utf8mb4"
# Names go over in UTF-8, whatever the server makes of the handshake, and of its init_connect. Drivers differ in whether
# they say so once more. All statements are written for this sql_mode, where doubling is all the quoting there is.
# What servers limit for all sessions would cut off or refuse what is read of many users.
# Without NO_AUTO_CREATE_USER, which MySQL has dropped, a GRANT to a user that is gone makes one without a password.
SETTINGS = (
    f"SET NAMES {CHARACTER_SET}, SESSION sql_mode = IF(VERSION() REGEXP '^5[.]|MariaDB',"
    " 'NO_BACKSLASH_ESCAPES,NO_AUTO_CREATE_USER', 'NO_BACKSLASH_ESCAPES'), SESSION sql_quote_show_create = 1,"
    " SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1"
)
_TRAITS = (
    "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@lower_case_table_names,"
    " VERSION() LIKE '%MariaDB%', 0 /*!80016 + @@partial_revokes */, 0 /*!80021 + 1 */"
)


def prepare(connection: Connection, database: str) -> Traits:
    """Set the session up, and return the traits of the server.

    database: the name of the database in messages

    Raises RdsIamError where names would not arrive as sent.
    """
    send(connection, SETTINGS)
    [(client, link, results, lower_case, mariadb, literal, attributes)] = rows(connection, _TRAITS)
    if {client, link, results} != {CHARACTER_SET}:
        raise RdsIamError(
            f"{database} speaks {client}, {link} and {results} after SET NAMES {CHARACTER_SET}, so names could become"
            " others; connect to the database itself, and not through a proxy that changes this."
        )
    return Traits(bool(mariadb), bool(attributes), bool(lower_case), bool(literal))


def send(connection: Connection, statement: str) -> None:
    """Send a statement whose result does not matter. Raises what rows() raises."""
    rows(connection, statement)


def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, with bytes as text.

    Raises the driver's error where the server refuses, and RdsIamError where the driver cannot read what it answers.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return [tuple(map(_to_text, row)) if bytes in map(type, row) else row for row in cursor.fetchall()]
    except Exception as exc:  # drivers let out whatever comes up in them
        if isinstance(exc, DriverError):
            raise
        raise RdsIamError(
            f"The answer of {connection.server_address} cannot be read ({type(exc).__name__}: {server_error(exc)[1]});"
            " see whether all names of its users are text, and update PyMySQL."
        ) from None


def _to_text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
