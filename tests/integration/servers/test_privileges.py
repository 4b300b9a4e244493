# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Privileges on every level, compared with an account that root gave them to by hand."""

from __future__ import annotations

import database
import mysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GRANT_OPTION = "GRANT OPTION"
GLOBAL = ["PROCESS", "SELECT", "CREATE USER", GRANT_OPTION]
DYNAMIC = ["ROLE_ADMIN", "XA_RECOVER_ADMIN"]
LEVELS = {
    "app.*": ["SELECT", "INSERT", "LOCK TABLES", "EXECUTE", GRANT_OPTION],
    "app\\_%.*": ["SELECT", "EVENT"],
    "app.orders": ["SELECT", "UPDATE", "SELECT (id)", "UPDATE (id)", "UPDATE (item)", "CREATE VIEW", GRANT_OPTION],
}

only_mysql = pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")


@st.composite
def privileges(draw, is_mysql):
    levels = {"*.*": GLOBAL + DYNAMIC * is_mysql, **LEVELS}
    chosen = draw(st.sets(st.sampled_from(sorted(levels))))
    return {level: draw(st.lists(st.sampled_from(levels[level]), min_size=1, unique=True)) for level in sorted(chosen)}


def test_from_any_privileges_to_any_others(server):
    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(first=privileges(server.is_mysql), then=privileges(server.is_mysql))
    def change(first, then):
        server.sql("DROP USER IF EXISTS app@'%'")
        for wanted in (first, then):
            server.settled([{"name": "app", "privileges": wanted}])
            assert server.comparable("app") == server.by_hand(wanted)

    change()


@only_mysql
@pytest.mark.parametrize(
    "drift",
    [
        "REVOKE GRANT OPTION ON *.* FROM app@'%'",
        "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO app@'%' WITH GRANT OPTION",
        "REVOKE ROLE_ADMIN ON *.* FROM app@'%'",
    ],
)
@pytest.mark.parametrize("names", [["ROLE_ADMIN", GRANT_OPTION], ["PROCESS", "ROLE_ADMIN", GRANT_OPTION]])
def test_drift_of_dynamic_privileges(server, drift, names):
    """Each has a grant option of its own, which REVOKE GRANT OPTION leaves in disorder."""
    server.sql(f"GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO {server.master}@'%' WITH GRANT OPTION")
    wanted = {"*.*": names}
    server.settled([{"name": "app", "privileges": wanted}])
    server.sql(drift)
    assert server.settled([{"name": "app", "privileges": wanted}])["changed"]
    assert server.comparable("app") == server.by_hand(wanted)
    server.sql("REVOKE GRANT OPTION ON *.* FROM app@'%'")
    server.settled([{"name": "app", "privileges": {"*.*": ["ROLE_ADMIN"]}}])
    assert server.grants("app") == {"GRANT ROLE_ADMIN ON *.*"}


@pytest.mark.parametrize("level", ["app.*", "app.orders"])
def test_all_is_what_the_server_calls_all(server, level):
    user = {"name": "app", "privileges": {level: ["all privileges"]}}
    result = server.settled([user])
    shown = result["diff"]["after"]["'app'@'%'"]["privileges"][level]
    on = "`app`.*" if level == "app.*" else "`app`.`orders`"
    if not server.is_mysql:  # its master user cannot pass on one of them
        server.sql(f"GRANT {', '.join(shown)}, DELETE HISTORY ON {on} TO twin@'%' IDENTIFIED BY 'x'")
        assert server.grants("twin") == {f"GRANT ALL PRIVILEGES ON {on}"}, "all but one"
        server.sql(f"GRANT DELETE HISTORY ON *.* TO {server.master}@'%' WITH GRANT OPTION")
        try:
            server.settled([user])
        finally:
            server.sql(f"REVOKE DELETE HISTORY ON *.* FROM {server.master}@'%'")
    assert server.grants("app") == {f"GRANT ALL PRIVILEGES ON {on}"}


def test_every_privilege_of_the_master_user(server):
    names = [*database.ENGINES[server.engine].MASTER_PRIVILEGES.split(", "), GRANT_OPTION]
    assert len(names) > 20
    server.settled([{"name": "app", "privileges": {"*.*": names}}])
    assert server.grants("app") == server.grants(mysql.ROLE if server.is_mysql else server.master)


@pytest.mark.parametrize(
    ("given_as", "shown_as"),
    [
        ("replication  client", {"GRANT REPLICATION CLIENT ON *.*", "GRANT BINLOG MONITOR ON *.*"}),
        ("Create Temporary Table", {"GRANT CREATE TEMPORARY TABLES ON *.*"}),
        ("usage", set()),
    ],
)
def test_other_names_of_privileges(server, given_as, shown_as):
    server.settled([{"name": "app", "privileges": {"*.*": [given_as]}}])
    assert server.grants("app") <= shown_as and bool(server.grants("app")) == bool(shown_as)


def test_columns_have_no_case(server):
    server.settled([{"name": "app", "privileges": {"app.orders": ["SELECT (ID, Item)"]}}])
    left = server.run([{"name": "app", "privileges": {"app.orders": ["SELECT (id)"]}}])
    assert left["sent"] == ["REVOKE SELECT (`Item`) ON `app`.`orders` FROM 'app'@'%'"], "id is ID"
    assert {grant.lower() for grant in server.grants("app")} == {"grant select (`id`) on `app`.`orders`"}


def test_privileges_on_what_is_gone(server):
    server.sql("CREATE TABLE app.gone (id INT)")
    server.settled([{"name": "app", "privileges": {"app.gone": ["SELECT", "UPDATE (id)"]}}])
    server.sql("DROP TABLE app.gone")
    assert server.grants("app"), "they stay when the table goes"
    server.settled([{"name": "app", "privileges": {}}])
    assert server.grants("app") == set()


@pytest.mark.parametrize(
    ("given_as", "words"),
    [
        ({"app.*": ["SELEKT"]}, "has no privilege SELEKT that can be granted on app.*"),
        ({"app.orders": ["EXECUTE"]}, "has no privilege EXECUTE that can be granted on app.orders"),
        ({"app.*": ["PROCESS"]}, "has no privilege PROCESS that can be granted on app.*"),
        ({"*.*": ["PROXY"]}, "has no privilege PROXY that can be granted on *.*"),
    ],
)
def test_what_no_server_can_grant_is_refused_before_anything_is_sent(server, given_as, words):
    result = server.run([{"name": "first"}, {"name": "app", "privileges": given_as}], fails=True)
    assert words in result["msg"] and server.name in result["msg"] and "'app'@'%'" in result["msg"]
    assert result["sent"] == []


@only_mysql
def test_partial_revokes_are_not_compared(server):
    server.sql(
        "SET GLOBAL partial_revokes = ON",
        "CREATE USER app@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL",
        "GRANT SELECT ON *.* TO app@'%'",
        "REVOKE SELECT ON app.* FROM app@'%'",
    )
    try:
        result = server.run([{"name": "app", "privileges": {"*.*": ["SELECT"]}}], fails=True)
        assert "partial revokes" in result["msg"] and result["sent"] == []
        assert not server.run([{"name": "app"}])["changed"]
        server.settled([{"name": "app", "state": "absent"}])
    finally:
        server.sql("DROP USER IF EXISTS app@'%'", "SET GLOBAL partial_revokes = OFF")


def test_a_server_that_keeps_names_in_lower_case(lower_case_server):
    user = {"name": "app", "privileges": {"App.*": ["SELECT"], "APP.Orders": ["UPDATE (ID)"]}}
    lower_case_server.settled([user])
    assert "GRANT SELECT ON `app`.*" in lower_case_server.grants("app")
    user["privileges"] = {"app.*": ["SELECT"], "APP.*": ["INSERT"]}
    result = lower_case_server.run([user], fails=True)
    assert "given twice" in result["msg"]
    assert result["sent"] == []
