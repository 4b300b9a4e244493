# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What SHOW GRANTS of servers says of what a login can pass on."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import login_privileges

# As MySQL 9.7.4 prints them for a user with one role in effect, and MariaDB 10.11.19 for one likewise.
MYSQL = [
    "GRANT SELECT, INSERT, CREATE USER ON *.* TO `m`@`%` WITH GRANT OPTION",
    "GRANT ROLE_ADMIN ON *.* TO `m`@`%` WITH GRANT OPTION",
    "GRANT APPLICATION_PASSWORD_ADMIN,XA_RECOVER_ADMIN ON *.* TO `m`@`%`",
    "REVOKE INSERT, UPDATE ON `mysql`.* FROM `m`@`%`",
    "GRANT UPDATE ON `app`.* TO `m`@`%`",
    "GRANT ALL PRIVILEGES ON `a\\_%`.* TO `m`@`%`",
    "GRANT DELETE, SELECT (`id`, `b,c`), REFERENCES (`a``b ON x`) ON `x`.`t` TO `m`@`%`",
    "GRANT EXECUTE ON PROCEDURE `app`.`p` TO `m`@`%`",
    "GRANT PROXY ON ``@`` TO `m`@`%` WITH GRANT OPTION",
    "GRANT `r1`@`%`,`r 2`@`%` TO `m`@`%` WITH ADMIN OPTION",
]
MARIADB = [
    "GRANT `r1` TO `m`@`%`",
    "GRANT PROCESS, BINLOG MONITOR ON *.* TO `m`@`%` IDENTIFIED BY PASSWORD '*B69027D4' REQUIRE SSL",
    "GRANT DELETE ON `app`.`orders` TO `m`@`%`",
    "GRANT SELECT, READ_ONLY ADMIN ON *.* TO `r1` WITH GRANT OPTION MAX_QUERIES_PER_HOUR 7",
    "GRANT USAGE ON *.* TO `r2`",
    "SET DEFAULT ROLE `r1` FOR `m`@`%`",
    "GRANT INDEX ON `app`.`orders` TO PUBLIC",
]
# As the manual of MySQL 5.7 has them.
MYSQL_57 = [
    "GRANT SELECT, PROCESS ON *.* TO 'm'@'%' WITH GRANT OPTION",
    "GRANT PROXY ON ''@'' TO 'm'@'%' WITH GRANT OPTION",
    "GRANT INSERT ON `app`.* TO 'm'@'%'",
]
ALL = ("", "")


@pytest.mark.parametrize(
    ("lines", "level", "name", "expected"),
    [
        (MYSQL, ALL, "SELECT", True),
        (MYSQL, ALL, "GRANT OPTION", True),
        (MYSQL, ALL, "UPDATE", False),
        (MYSQL, ("app", ""), "UPDATE", True),
        (MYSQL, ("app", "t"), "UPDATE (`x`)", True),
        (MYSQL, ("other", ""), "UPDATE", False),
        (MYSQL, ("mysql", ""), "INSERT", False),
        (MYSQL, ("mysql", ""), "SELECT", True),
        (MYSQL, ("a\\_b", ""), "TRIGGER", True),
        (MYSQL, ("a_b", "t"), "TRIGGER", True),
        (MYSQL, ("axb", "t"), "TRIGGER", False),
        (MYSQL, ALL, "ROLE_ADMIN", True),
        (MYSQL, ALL, "ROLE_ADMIN WITH GRANT OPTION", True),
        (MYSQL, ALL, "XA_RECOVER_ADMIN", False),
        (MYSQL, ("x", "t"), "SELECT (`ID`)", True),
        (MYSQL, ("x", "t"), "REFERENCES (`b,c`)", False),
        (MYSQL, ("x", "t"), "REFERENCES (`a``b ON x`)", True),
        (MYSQL, ("x", "t"), "DELETE", True),
        (MARIADB, ALL, "PROCESS", True),
        (MARIADB, ALL, "BINLOG MONITOR", True),
        (MARIADB, ALL, "READ_ONLY ADMIN", True),
        (MARIADB, ALL, "DELETE", False),
        (MARIADB, ("app", "orders"), "DELETE", True),
        (MARIADB[:3], ALL, "PROCESS", False),
        (MARIADB, ("app", "orders"), "INDEX", True),
        (MYSQL_57, ALL, "PROCESS", True),
        (MYSQL_57, ("app", ""), "INSERT", True),
        (MYSQL_57, ("other", ""), "INSERT", False),
    ],
)
def test_what_can_be_passed_on(lines, level, name, expected):
    assert login_privileges.parse(lines).complete
    assert login_privileges.parse(lines).may_grant(level, name) == expected


def test_what_is_held_and_what_partial_revokes_take():
    login = login_privileges.parse(MYSQL)
    assert login.holds("INSERT") and login.holds("XA_RECOVER_ADMIN") and login.holds("ROLE_ADMIN")
    assert not login.holds("RELOAD")
    assert login.lacks("mysql", "UPDATE") and not login.lacks("app", "UPDATE")


def test_privileges_with_digits_in_their_names():
    """As the master user of Aurora MySQL 2 has them (docs.aws.amazon.com, AuroraMySQL.Integrating.LoadFromS3)."""
    login = login_privileges.parse(["GRANT SELECT, LOAD FROM S3, SELECT INTO S3 ON *.* TO 'm'@'%' WITH GRANT OPTION"])
    assert login.complete and login.may_grant(ALL, "LOAD FROM S3") and not login.may_grant(ALL, "FILE")


def test_root_may_all():
    login = login_privileges.parse(["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"])
    assert login.may_grant(ALL, "SUPER") and login.may_grant(("app", "t"), "SELECT (`id`)") and login.holds("RELOAD")


@pytest.mark.parametrize(
    "line",
    [
        *("GRANT SELECT ON app.* TO m@%", "REVOKE something new", "GRANT  (`) ON *.* TO `m`@`%`"),
        # Names that a task could not give, and a server may have.
        *("GRANT SELECT ON ` app`.* TO `m`@`%`", "GRANT SELECT ON `a\xa0b`.`t` TO `m`@`%`"),
    ],
)
def test_nothing_is_ruled_out_where_a_line_is_not_understood(line):
    login = login_privileges.parse([*MYSQL, line])
    assert not login.complete
    assert login.may_grant(ALL, "SUPER") and login.holds("RELOAD")
