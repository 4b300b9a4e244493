# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No moment of a run in which a user may do less than before and after it.

What a user may do is asked of the server itself, after each statement of the module: procedures that run as the user
try it. What a server makes of the statements is not modelled here.
"""

from __future__ import annotations

import contextlib
import re
from itertools import product

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import user_writer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

GRANT_OPTION = "GRANT OPTION"
DATABASES = ["app", "app_x", "appx"]
TABLE = "(id INT, item VARCHAR(9))"
COLUMNS = ["SELECT (id)", "SELECT (item)", "UPDATE (item)", "INSERT (id, item)", "REFERENCES (id)"]
ON_TABLE = ["SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", GRANT_OPTION]
LEVELS = {
    "*.*": ["SELECT", "DELETE", "PROCESS", "CREATE USER", GRANT_OPTION],
    "ap%.*": ["SELECT", "INSERT", "UPDATE", "DELETE"],
    "app_x.*": ["SELECT", "INSERT", "UPDATE", "EXECUTE"],
    "app\\_%.*": ["SELECT", "UPDATE", "DELETE"],
    "app\\_x.*": ["SELECT", "INSERT", GRANT_OPTION],
    "app.*": ["SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE", GRANT_OPTION],
    "app.orders_x": ON_TABLE + COLUMNS,
    "app_x.orders_x": ON_TABLE + COLUMNS,
}
DYNAMIC = ["ROLE_ADMIN", "XA_RECOVER_ADMIN"]
ACTIONS = {
    "select_id": "SELECT COUNT(id) INTO @count FROM {0}",
    "select_item": "SELECT COUNT(item) INTO @count FROM {0}",
    "insert": "INSERT INTO {0} (id, item) SELECT 1, 'x' FROM DUAL WHERE FALSE",
    "update": "UPDATE {0} SET item = 'x' LIMIT 0",
    "delete": "DELETE FROM {0} LIMIT 0",
    "grant_select": "GRANT SELECT ON {0} TO somebody@'%'",
    "grant_column": "GRANT SELECT (id) ON {0} TO somebody@'%'",
}
DENIED = "1044, 1142, 1143, 1227, 1370"


def attempt(action, database):
    """A part of the procedure: what is denied is not told, and any other error is one."""
    return (
        f"BEGIN DECLARE EXIT HANDLER FOR {DENIED} BEGIN END; {ACTIONS[action].format(f'{database}.orders_x')};"
        f" SET told = CONCAT(told, ' {action}_{database}'); END;"
    )


@pytest.fixture
def try_all(server):
    """A function that tries what the user app may do, as that user, and returns the names of what goes."""
    attempts = " ".join(attempt(action, database) for action, database in product(ACTIONS, DATABASES))
    server.sql("CREATE DATABASE probes", "CREATE USER somebody@'%'", f"CREATE TABLE app.orders_x {TABLE}")
    for database in DATABASES[1:]:
        server.sql(f"CREATE DATABASE {database}", f"CREATE TABLE {database}.orders_x {TABLE}")
    server.sql(
        "CREATE DEFINER=app@'%' PROCEDURE probes.try_all() SQL SECURITY DEFINER"
        f" BEGIN DECLARE told TEXT DEFAULT ''; {attempts} SELECT told; END"
    )
    yield lambda: set(server.sql("CALL probes.try_all()")[0][0].split())
    for database in ("probes", *DATABASES[1:]):
        server.sql(f"DROP DATABASE IF EXISTS {database}")
    server.sql("DROP TABLE app.orders_x")


def global_names(server):
    """Privileges on *.*, each dynamic one with its grant option."""
    result = set()
    for grant in server.grants("app"):
        match = re.match(r"GRANT (.*?) ON \*\.\*(.*)", grant)
        names = set(re.split(", ?", match[1])) if match else set()
        option = match and "GRANT OPTION" in match[2]
        result |= names | ({f"{name} WITH" for name in names if "_" in name} | {GRANT_OPTION} if option else set())
    return result - {"USAGE"}


@contextlib.contextmanager
def after_each_statement(look):
    """Call look after each statement that the module sends to change something."""
    send = user_writer.send

    def send_and_look(connection, statement):
        send(connection, statement)
        look(statement)

    user_writer.send = send_and_look
    try:
        yield
    finally:
        user_writer.send = send


@st.composite
def privileges(draw, is_mysql):
    levels = {**LEVELS, "*.*": LEVELS["*.*"] + DYNAMIC * is_mysql}
    chosen = draw(st.sets(st.sampled_from(sorted(levels)), max_size=4))
    return {level: draw(st.lists(st.sampled_from(levels[level]), min_size=1, unique=True)) for level in sorted(chosen)}


TABLE_TO_COLUMNS = ({"app.orders_x": ["SELECT", "UPDATE"]}, {"app.orders_x": ["SELECT (id)", "UPDATE (item)"]})
UNDER_A_PATTERN = (
    {"ap%.*": ["SELECT", "DELETE"], "app_x.orders_x": ["UPDATE"]},
    {"ap%.*": ["SELECT", "DELETE"], "app_x.orders_x": ["UPDATE (item)"]},
)
WIDE_TO_NARROW = ({"ap%.*": ["SELECT"]}, {"app_x.*": ["INSERT"], "app\\_x.*": ["SELECT"]})
NARROW_TO_WIDE = ({"app\\_x.*": ["INSERT"], "app\\_%.*": ["SELECT"]}, {"ap%.*": ["INSERT"]})
NARROW_UNDER_ALL = ({"*.*": ["SELECT", "INSERT"], "app\\_x.*": ["SELECT"]}, {"ap%.*": ["SELECT", "INSERT"]})
WIDE_TO_TABLE = ({"ap%.*": ["SELECT"]}, {"app\\_x.*": ["INSERT"], "app_x.orders_x": ["SELECT"]})
COLUMNS_TO_TABLE = ({"app.orders_x": ["SELECT (id)"]}, {"app.orders_x": ["SELECT", GRANT_OPTION]})
TABLE_TO_DATABASE = (
    {"app.orders_x": ["SELECT", "DELETE", GRANT_OPTION]},
    {"app.*": ["SELECT", "DELETE", GRANT_OPTION]},
)
GLOBAL_TO_TABLE = ({"*.*": ["SELECT", GRANT_OPTION]}, {"app.orders_x": ["SELECT (item)", GRANT_OPTION]})


def test_no_moment_with_less_than_before_and_after(server, try_all):
    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(first=privileges(server.is_mysql), then=privileges(server.is_mysql))
    @example(*TABLE_TO_COLUMNS)
    @example(*UNDER_A_PATTERN)
    @example(*WIDE_TO_NARROW)
    @example(*NARROW_TO_WIDE)
    @example(*NARROW_UNDER_ALL)
    @example(*WIDE_TO_TABLE)
    @example(*COLUMNS_TO_TABLE)
    @example(*TABLE_TO_DATABASE)
    @example(*GLOBAL_TO_TABLE)
    def change(first, then):
        server.sql("DROP USER IF EXISTS app@'%'")
        server.run([{"name": "app", "privileges": first}])
        server.sql("GRANT EXECUTE ON PROCEDURE probes.try_all TO app@'%'")
        moments = [("before", try_all(), global_names(server))]

        def look(statement):
            moments.append((statement, try_all(), global_names(server)))

        with after_each_statement(look):
            sent = server.settled([{"name": "app", "privileges": then}])["sent"]
        server.sql("REVOKE EXECUTE ON PROCEDURE probes.try_all FROM app@'%'")
        assert server.comparable("app") == server.by_hand(then)
        (_what, actions_before, names_before), (_last, actions_after, names_after) = moments[0], moments[-1]
        for statement, actions, names in moments:
            seen.update(actions)
            assert actions_before & actions_after <= actions, (statement, sent)
            assert names_before & names_after <= names, (statement, sent)
        verbs = [statement.split()[0] for statement in sent]
        if not any("(" in name for names in then.values() for name in names):
            assert verbs == sorted(verbs), "all that is granted is granted first"

    seen = set()
    change()
    assert len(seen) == len(ACTIONS) * len(DATABASES), "each action was allowed at some moment"


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
@pytest.mark.parametrize("again", [[], ["PROCESS"]])
def test_the_grant_option_of_dynamic_privileges_alone(server, again):
    """MySQL cannot revoke it alone."""
    held = ["ROLE_ADMIN", "XA_RECOVER_ADMIN", *again]
    server.run([{"name": "app", "privileges": {"*.*": [*held, GRANT_OPTION]}}])
    moments = []
    with after_each_statement(lambda statement: moments.append(global_names(server))):
        result = server.settled([{"name": "app", "privileges": {"*.*": held}}])
    assert result["sent"] == ["REVOKE GRANT OPTION ON *.* FROM 'app'@'%'"]
    assert all(set(held) <= names for names in moments)
    assert server.comparable("app") == server.by_hand({"*.*": held})


def test_a_failure_leaves_at_most_too_much(server, monkeypatch):
    """The connection is lost after any number of statements; the user then has no less than before and after."""
    before = {"app.*": ["SELECT", "INSERT"], "app.orders": ["SELECT"]}
    after = {"app.orders": ["SELECT (id)", "INSERT"], "*.*": ["PROCESS"]}
    send, users = user_writer.send, [{"name": "app", "privileges": after}]
    for number in range(1, 9):
        server.sql("DROP USER IF EXISTS app@'%'")
        server.run([{"name": "app", "privileges": before}])
        count = 0

        def lose(connection, statement, number=number):
            nonlocal count
            count += 1
            if count == number:
                connection._force_close()
            send(connection, statement)

        monkeypatch.setattr(user_writer, "send", lose)
        done = count == 0 and number > len(server.run(users, check=True)["users"][0]["statements"])
        if done:
            break
        server.run(users, fails=True)
        monkeypatch.setattr(user_writer, "send", send)
        has_table = any(re.match(r"GRANT (.*, )?SELECT.* ON `app`", grant) for grant in server.grants("app"))
        has_insert = any(re.match(r"GRANT .*INSERT.* ON `app`", grant) for grant in server.grants("app"))
        assert has_table and has_insert, (number, server.grants("app"))
        server.settled(users)
    else:
        pytest.fail("the plan has more statements than this test tries")
