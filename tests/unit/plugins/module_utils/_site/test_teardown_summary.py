# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.teardown_summary import (
    iam_auth_keep_reason,
    render,
    summarize,
)

FLAG = "IAMDatabaseAuthenticationEnabled"
OURS = "dbops.rds_iam"
CHANGED, UNCHANGED = {"changed": True}, {"changed": False}
UNREACHABLE = {"unreachable": True, "msg": "Failed to connect to the host via ssh:\n no route."}


def record(enabled=True, managed_by=OURS, **pending):
    return {"iam_auth_enabled": enabled, "managed_by": managed_by, "pending": pending}


def detached(*instance_ids, **more):
    return {"instances": [{"instance_id": one, "before": "app", "after": None, **more} for one in instance_ids]}


def user(name, outcome="done", reason="", statements=()):
    """The entry of a database user in the result of rds_iam_db_user."""
    changed = bool(statements)
    entry = {"name": name, "host": "%", "state": "absent", "changed": changed, "outcome": outcome, "reason": reason}
    return {**entry, "statements": list(statements), "sessions": []}


APP = user("app", statements=["DROP USER 'app'@'%'"])


def dropped(*users, **more):
    return {"users": list(users) or [APP], "iam_database_users_remaining": 0, **more}


def searched(matched):
    """The results of the tasks that look for rds-mysql, where the search matched or there was no file."""
    stat = {"skipped": True, "changed": False} if matched else {"changed": False, "stat": {"exists": False}}
    return {"changed": False, "matched": matched}, stat


OWN, NO_STAT = searched(1)
NOT_FOUND, NO_FILE = searched(0)
FOREIGN = {"changed": False, "stat": {"exists": True, "path": "/usr/local/bin/rds-mysql"}}
SKIPPED = {"changed": False, "skipped": True}


REMOVED = [{"kind": kind, "name": "app", "outcome": "removed"} for kind in ("policy", "instance_profile", "role")]
EVERYTHING = {
    "check": False,
    "hosts": ["web", "shop", "orders"],
    "left_out": [],
    "clients": ["web", "shop"],
    "instance_ids": ["i-1", "i-2"],
    "wrapper_searches": [OWN, OWN],
    "foreign_wrappers": [NO_STAT, NO_STAT],
    "wrappers": [CHANGED, CHANGED],
    "bundles": [CHANGED, UNCHANGED],
    "instance_profile_name": "app",
    "instance_profile": {"name": "app", "managed_by": OURS},
    "attachment": detached("i-1", "i-2"),
    "attachment_plan": {},
    "role_name": "app",
    "role": {"changed": True, "outcomes": REMOVED},
    "databases": ["orders"],
    "infos": [{"databases": [record()]}],
    "users": [dropped()],
    "flags": [{"changed": True, "in_effect": True}],
}


def rows(**changes):
    return {(row.kind, row.name): (row.outcome, row.reason) for row in summarize({**EVERYTHING, **changes})}


def of(found, what):
    return {name: row for (kind, name), row in found.items() if kind == what}


ATTACHED = "instance profile app on the EC2 instance"


def test_everything_is_removed():
    assert rows() == {
        ("rds-mysql", "web, shop"): ("removed", ""),
        (ATTACHED, "web, shop"): ("removed", ""),
        ("inline policy", "app"): ("removed", ""),
        ("instance profile", "app"): ("removed", ""),
        ("IAM role", "app"): ("removed", ""),
        ("database users of orders", "app@%"): ("removed", ""),
        ("CA bundle", "web"): ("removed", ""),
        ("CA bundle", "shop"): ("was not there", ""),
        ("IAM database authentication", "orders"): ("removed", ""),
        ("packages", "web, shop"): ("stays", "programs of the host may use them"),
    }


def test_the_table():
    lines = render(summarize(EVERYTHING), check=True)
    assert lines[0].split() == ["resource", "of", "outcome", "reason"]
    assert lines[1].split("  ")[0] == "rds-mysql" and lines[1].endswith("would be removed")
    assert "packages" in lines[-1] and "would stay" in lines[-1]
    column = lines[0].index("outcome")
    assert {line[column - 2 : column] for line in lines} == {"  "}
    assert [line for line in lines if line != line.rstrip()] == []


NO_STEP_7 = {name: [{}, {}] for name in ("wrapper_searches", "foreign_wrappers", "wrappers")}


def test_nothing_was_run():
    """As with --tags of a step that is none."""
    nothing = {"bundles": [{}, {}], "attachment": {}, "role": {}, "users": [{}], "flags": [{}]}
    found = rows(**NO_STEP_7, **nothing, instance_profile={})
    assert {outcome for outcome, _why in found.values()} == {"stays"}
    assert of(found, "rds-mysql") == {"web, shop": ("stays", "this run did not come to step 7")}
    assert of(found, "IAM role") == {"app": ("stays", "this run did not come to steps 5 and 4")}
    assert of(found, "database users of orders") == {"all": ("stays", "this run did not come to step 3")}
    assert (
        of(found, "IAM database authentication")["orders"][1]
        == "other database users may use it (IAM database users remaining: unknown)"
    )


def test_limit_leaves_hosts_out():
    found = rows(
        hosts=["web"],
        left_out=["shop", "orders"],
        wrapper_searches=[OWN, {}],
        foreign_wrappers=[NO_STAT, {}],
        wrappers=[CHANGED, {}],
        attachment=detached("i-1"),
        role={},
        users=[{}],
        infos=[{}],
        flags=[{}],
    )
    assert of(found, "rds-mysql") == {"web": ("removed", ""), "shop": ("stays", "--limit leaves it out")}
    assert of(found, ATTACHED) == {"web": ("removed", ""), "shop": ("stays", "--limit leaves it out")}
    assert of(found, "IAM role") == {"app": ("stays", "this run leaves out shop, orders")}
    assert of(found, "IAM database authentication") == {"orders": ("stays", "--limit leaves it out")}


def test_hosts_that_fail():
    found = rows(
        wrapper_searches=[UNREACHABLE, OWN],
        foreign_wrappers=[{}, NO_STAT],
        wrappers=[{}, CHANGED],
        attachment=detached("i-1", "i-2", error="EC2 does not show it."),
        role={"failed": True, "msg": "Failed to delete the IAM role app: no."},
        users=[{"failed": True, "msg": "refused", "users": []}],
        flags=[{"failed": True, "msg": "the time is up"}],
    )
    assert of(found, "rds-mysql")["web"] == ("stays", "Failed to connect to the host via ssh: no route")
    assert of(found, ATTACHED) == {"web, shop": ("stays", "EC2 does not show it")}
    assert of(found, "inline policy")["app"] == ("stays", "Failed to delete the IAM role app: no")
    assert of(found, "database users of orders") == {"all": ("stays", "refused")}
    assert of(found, "IAM database authentication") == {"orders": ("stays", "the time is up")}


def test_a_database_that_could_not_be_read():
    found = rows(infos=[{"failed": True, "msg": "There is no DB instance orders."}], users=[{}], flags=[{}])
    assert of(found, "IAM database authentication") == {"orders": ("stays", "There is no DB instance orders")}


def test_a_foreign_profile():
    plan = {"instances": [{"instance_id": "i-1", "before": "app"}, {"instance_id": "i-2", "before": "other"}]}
    foreign = {"instance_profile": {"name": "app", "managed_by": None}, "attachment": {}, "attachment_plan": plan}
    stays = [{"kind": "role", "name": "app", "outcome": "stays", "reason": "it is also used by x"}]
    found = rows(**foreign, role={"changed": False, "outcomes": stays})
    why = "the instance profile was not created by dbops.rds_iam"
    assert of(found, ATTACHED) == {"web": ("stays", why), "shop": ("was not there", "")}
    assert of(found, "IAM role") == {"app": ("stays", "it is also used by x")}


def test_there_is_no_profile():
    missing = [{"kind": "role", "name": "app", "outcome": "missing", "reason": None}]
    found = rows(instance_profile=None, attachment={}, role={"changed": False, "outcomes": missing})
    assert of(found, ATTACHED) == {"web, shop": ("was not there", "")}
    assert of(found, "IAM role") == {"app": ("was not there", "")}


def test_database_users():
    gone = {**user("ended"), "changed": True, "sessions": [{"id": 1, "ended": True}]}
    found = of(rows(users=[dropped(APP, user("gone"), gone)]), "database users of orders")
    assert found == {"app@%": ("removed", ""), "gone@%, ended@%": ("was not there", "")}
    failed = user("half", "failed", statements=APP["statements"])
    half = dropped(APP, failed, user("late", "not_tried"), user("legacy", "kept", "it was there before"))
    del half["iam_database_users_remaining"]
    found = of(rows(users=[{**half, "failed": True, "msg": "lost"}]), "database users of orders")
    stays = {"half@%, late@%": ("stays", "lost"), "legacy@%": ("stays", "it was there before")}
    assert found == {"app@%": ("removed", ""), **stays}


def test_database_users_that_are_left():
    why = "these need it: the view `theirs`.`relies`"
    found = rows(users=[dropped(APP, user("owner", "kept", f"{why}."), iam_database_users_remaining=1)], flags=[{}])
    assert of(found, "database users of orders") == {"app@%": ("removed", ""), "owner@%": ("stays", why)}
    assert (
        of(found, "IAM database authentication")["orders"][1]
        == "other database users may use it (IAM database users remaining: 1)"
    )


def test_database_users_that_check_mode_could_not_read():
    unread = dropped(user("app"), user("report"))
    del unread["iam_database_users_remaining"]
    found = of(rows(check=True, users=[unread], flags=[{}]), "database users of orders")
    assert found == {"app@%, report@%": ("unknown", "check mode could not read the database users")}


def test_a_file_of_others_in_place_of_rds_mysql():
    searches = {"wrapper_searches": [NOT_FOUND, NOT_FOUND], "wrappers": [SKIPPED, SKIPPED]}
    found = of(rows(**searches, foreign_wrappers=[FOREIGN, NO_FILE]), "rds-mysql")
    why = "/usr/local/bin/rds-mysql is not a program that the role dbops.rds_iam.connect wrote"
    assert found == {"web": ("stays", why), "shop": ("was not there", "")}
    failed = {"failed": True, "msg": "Permission denied."}
    found = of(rows(**searches, foreign_wrappers=[failed, NO_FILE]), "rds-mysql")
    assert found == {"web": ("stays", "Permission denied"), "shop": ("was not there", "")}


def test_a_ca_bundle_of_others():
    why = "/etc/ssl/rds/global-bundle.pem stays: it has no mark of dbops.rds_iam, so it was there before"
    found = of(rows(bundles=[{"changed": False, "msg": f"{why}."}, CHANGED]), "CA bundle")
    assert found == {"web": ("stays", why), "shop": ("removed", "")}


def test_a_flag_that_was_off():
    skipped = {"changed": False, "skipped": True}  # the task that waits
    assert of(rows(flags=[skipped]), "IAM database authentication") == {"orders": ("removed", "")}
    marked = {"infos": [{"databases": [record(enabled=False)]}], "flags": [skipped]}
    assert of(rows(**marked), "IAM database authentication") == {"orders": ("was not there", "")}
    off = {"infos": [{"databases": [record(False, None)]}], "flags": [{}]}
    assert of(rows(**off), "IAM database authentication") == {"orders": ("was not there", "")}


def test_many_hosts_are_one_line():
    clients = [f"web{number:02}" for number in range(12)]
    many = {"clients": clients, "instance_ids": clients, "wrappers": [CHANGED] * 12, "bundles": [CHANGED] * 12}
    searches = {"wrapper_searches": [OWN] * 12, "foreign_wrappers": [NO_STAT] * 12}
    found = rows(**many, **searches, attachment=detached(*clients))
    assert of(found, "rds-mysql") == {f"{', '.join(clients[:10])} and 2 more": ("removed", "")}


def test_what_is_missing_is_named():
    with pytest.raises(RdsIamError, match="lacks wrappers, flags"):
        summarize({name: fact for name, fact in EVERYTHING.items() if name not in ("wrappers", "flags")})


@pytest.mark.parametrize(
    ("found", "users_remaining", "reason"),
    [
        (record(), 0, ""),
        (record(enabled=False), 0, ""),
        (record(enabled=False, **{FLAG: True}), 0, ""),
        (record(), 2, "other database users may use it (IAM database users remaining: 2)"),
        (record(), None, "other database users may use it (IAM database users remaining: unknown)"),
        (record(managed_by=None), 0, "did not switch it on: the database has no tag ManagedBy=dbops.rds_iam"),
        (record(managed_by="terraform"), 0, "did not switch it on: the database has the tag ManagedBy=terraform"),
        (record(enabled=False, managed_by=None, **{FLAG: True}), 0, "has no tag"),
        (record(enabled=False, managed_by=None), 0, "it is off already"),
        (record(enabled=False, managed_by="terraform"), None, "it is off already"),
        (record(managed_by=None, **{FLAG: False}), 0, "it is being switched off already"),
    ],
)
def test_why_a_flag_stays(found, users_remaining, reason):
    said = iam_auth_keep_reason(found, users_remaining)
    assert (reason in said) if reason else said == ""


def test_an_instance_profile_that_holds_another_role_by_now_stays_attached():
    profile = {"name": "app", "managed_by": OURS, "role_name": "web"}
    found = of(rows(instance_profile=profile, attachment={}, attachment_plan=detached("i-1", "i-2")), ATTACHED)
    assert found == {"web, shop": ("stays", "the role web is in the instance profile by now")}
