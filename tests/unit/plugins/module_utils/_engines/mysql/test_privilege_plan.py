# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of GRANT and REVOKE. tests/integration/servers has the same asked of servers."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import privilege_plan as plan
from hypothesis import given, settings
from hypothesis import strategies as st

WHO = "'app'@'%'"
GRANTABLE = "ROLE_ADMIN WITH GRANT OPTION"


def levels(given_levels):
    return {tuple(level.split(".")): frozenset(names) for level, names in given_levels.items()}


def sql(before, after, **means):
    statements = plan.plan_privileges(levels(before), levels(after), plan.Capabilities(**means))
    return [statement.sql(WHO) for statement in statements]


@pytest.mark.parametrize(
    ("before", "after", "statements"),
    [
        ({}, {".": ["PROCESS"]}, ["GRANT PROCESS ON *.* TO 'app'@'%'"]),
        ({"app.": ["SELECT"]}, {"app.": ["SELECT"]}, []),
        ({"app.": ["SELECT", "GRANT OPTION"]}, {"app.": ["SELECT"]}, ["REVOKE GRANT OPTION ON `app`.* FROM 'app'@'%'"]),
        ({}, {"app.": ["GRANT OPTION"]}, ["GRANT USAGE ON `app`.* TO 'app'@'%' WITH GRANT OPTION"]),
        (
            {"app.t": ["SELECT (`ID`)", "SELECT (`b`)"]},
            {"app.t": ["SELECT (`id`)"]},
            ["REVOKE SELECT (`b`) ON `app`.`t` FROM 'app'@'%'"],
        ),
    ],
)
def test_what_differs_and_no_more(before, after, statements):
    assert sql(before, after) == statements


def test_columns_of_a_table_stay_by_way_of_its_database():
    before, after = {"a_p.t": ["SELECT", "DELETE"]}, {"a_p.t": ["SELECT (`id`)"], "b.": ["SELECT"]}
    assert sql(before, after) == [
        "GRANT SELECT ON `a\\_p`.* TO 'app'@'%'",
        "GRANT SELECT ON `b`.* TO 'app'@'%'",
        "REVOKE DELETE, SELECT ON `a_p`.`t` FROM 'app'@'%'",
        "GRANT SELECT (`id`) ON `a_p`.`t` TO 'app'@'%'",
        "REVOKE SELECT ON `a\\_p`.* FROM 'app'@'%'",
    ]
    assert "GRANT SELECT ON `a_p`.* TO 'app'@'%'" in sql(before, after, literal=True)


@pytest.mark.parametrize(
    "wider", [{".": ["SELECT"]}, {"app.": ["SELECT"]}, {"ap%.": ["SELECT"]}], ids=["all", "database", "pattern"]
)
def test_no_way_is_made_where_one_is(wider):
    before, after = {"app.t": ["SELECT"], **wider}, {"app.t": ["SELECT (`id`)"], **wider}
    assert not any("GRANT SELECT ON `app`.*" in statement for statement in sql(before, after))


def test_the_way_hides_nothing_that_a_pattern_gives():
    before, after = {"app.t": ["SELECT"], "ap%.": ["DELETE"]}, {"app.t": ["SELECT (`id`)"], "ap%.": ["DELETE"]}
    assert sql(before, after)[0] == "GRANT DELETE, SELECT ON `app`.* TO 'app'@'%'"
    assert sql(before, after)[-1] == "REVOKE DELETE, SELECT ON `app`.* FROM 'app'@'%'"


def test_without_the_privilege_on_the_database_there_is_no_way():
    before, after = {"app.t": ["SELECT"]}, {"app.t": ["SELECT (`id`)"]}
    assert sql(before, after, may_grant=lambda level, _name: bool(level[1])) == [
        "REVOKE SELECT ON `app`.`t` FROM 'app'@'%'",
        "GRANT SELECT (`id`) ON `app`.`t` TO 'app'@'%'",
    ]


def test_patterns_are_granted_from_the_narrow_to_the_wide_and_revoked_the_other_way():
    patterns = ["a%.", "ap_.", "app.", "app\\_.", "%."]
    narrow_first = ["app", "app\\_", "ap_", "a%", "%"]
    state = {pattern: ["SELECT"] for pattern in patterns}
    assert [one.split("`")[1] for one in sql({}, state)] == narrow_first
    assert [one.split("`")[1] for one in sql(state, {})] == ["%", "a%", "ap_", "app", "app\\_"]


def test_databases_are_granted_last_and_revoked_first():
    state = {".": ["SELECT"], "app.": ["SELECT"], "app.t": ["SELECT"]}
    assert [one.split()[3] for one in sql({}, state)] == ["*.*", "`app`.`t`", "`app`.*"]
    assert [one.split()[3] for one in sql(state, {})] == ["`app`.*", "`app`.`t`", "*.*"]


@pytest.mark.parametrize(
    ("before", "after", "statements"),
    [
        ([GRANTABLE], ["ROLE_ADMIN"], ["REVOKE GRANT OPTION ON *.* FROM 'app'@'%'", "FLUSH PRIVILEGES"]),
        (
            [GRANTABLE, "SELECT", "GRANT OPTION"],
            ["ROLE_ADMIN"],
            ["REVOKE GRANT OPTION, SELECT ON *.* FROM 'app'@'%'", "FLUSH PRIVILEGES"],
        ),
        (["ROLE_ADMIN"], [GRANTABLE], ["GRANT ROLE_ADMIN ON *.* TO 'app'@'%' WITH GRANT OPTION"]),
        # As MySQL shows it after REVOKE GRANT OPTION, until it reads its tables again.
        (["ROLE_ADMIN", GRANTABLE], [GRANTABLE], ["GRANT ROLE_ADMIN ON *.* TO 'app'@'%' WITH GRANT OPTION"]),
        (
            ["ROLE_ADMIN", GRANTABLE],
            ["ROLE_ADMIN"],
            ["REVOKE GRANT OPTION ON *.* FROM 'app'@'%'", "FLUSH PRIVILEGES"],
        ),
        (["ROLE_ADMIN", GRANTABLE], [], ["REVOKE ROLE_ADMIN ON *.* FROM 'app'@'%'"] * 2),
        (
            [GRANTABLE, "SELECT", "GRANT OPTION"],
            [GRANTABLE],
            [
                "REVOKE GRANT OPTION, SELECT ON *.* FROM 'app'@'%'",
                "GRANT ROLE_ADMIN ON *.* TO 'app'@'%' WITH GRANT OPTION",
            ],
        ),
    ],
)
def test_grant_options_of_dynamic_privileges(before, after, statements):
    assert sql({".": before}, {".": after}) == statements


def test_the_grant_option_alone_without_the_privilege_to_reload():
    assert sql({".": [GRANTABLE]}, {".": ["ROLE_ADMIN"]}, may_reload=False) == [
        "REVOKE ROLE_ADMIN ON *.* FROM 'app'@'%'",
        "GRANT ROLE_ADMIN ON *.* TO 'app'@'%'",
    ]


@pytest.mark.parametrize(
    ("pattern", "database", "literal", "expected"),
    [
        ("app", "app", False, True),
        ("a%", "app", False, True),
        ("a_p", "axp", False, True),
        ("a\\_p", "a_p", False, True),
        ("a\\_p", "axp", False, False),
        ("a_p", "axp", True, False),
        ("a_p", "a_p", True, True),
        ("a.p", "axp", False, False),
        ("App", "app", False, False),
    ],
)
def test_databases_that_a_pattern_stands_for(pattern, database, literal, expected):
    assert plan.matches(pattern, database, literal) == expected


TABLE, COLUMN = ("ab", "t"), "SELECT (`c`)"
NAMES = ["SELECT", "INSERT", "GRANT OPTION"]
STATES = st.tuples(
    st.dictionaries(
        st.sampled_from(["", "%", "a%", "ab"]).map(lambda database: (database, "")),
        st.frozensets(st.sampled_from(NAMES), min_size=1),
    ),
    st.frozensets(st.sampled_from([*NAMES, COLUMN])),
).map(lambda parts: {**parts[0], **({TABLE: parts[1]} if parts[1] else {})})


def effective(state):
    """What a server lets do on the table: what the levels give, and of those of databases the closest one."""
    closest = next((state[name, ""] for name in ("ab", "a%", "%") if state.get((name, ""))), frozenset())
    names = state.get(("", ""), frozenset()) | closest | state.get(TABLE, frozenset())
    return names | ({COLUMN} if "SELECT" in names else set())


def after_statement(state, statement):
    """What a user holds then; the columns of a table go with its privilege."""
    held = state.get(statement.level, frozenset())
    if isinstance(statement, plan.Grant):
        return {**state, statement.level: held | statement.names}
    gone = statement.names | ({COLUMN} if "SELECT" in statement.names else set())
    return {**state, statement.level: held - gone}


@settings(max_examples=400, derandomize=True, database=None)
@given(STATES, STATES)
def test_no_step_has_less_than_both_ends(before, after):
    state = before
    for statement in plan.plan_privileges(before, after):
        state = after_statement(state, statement)
        assert effective(before) & effective(after) <= effective(state), statement
    assert {level: names for level, names in state.items() if names} == after
