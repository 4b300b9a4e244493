# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The calls that the modules make, counted: the client refuses every other one."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.modules import rds_iam_auth, rds_iam_auth_info

FLAG = "IAMDatabaseAuthenticationEnabled"
OFFER = {"Engine": "mysql", "EngineVersion": "8.0.42", "DBInstanceClass": "db.t4g.small"}
ARN = "arn:aws:rds:eu-west-1:123456789012:db:orders"
OURS, TERRAFORM = ({"Key": "ManagedBy", "Value": value} for value in ("dbops.rds_iam", "terraform"))


def raw(enabled, status="available", member_of=None, tags=(), **pending):
    member = {"DBClusterIdentifier": member_of} if member_of else {}
    return {
        **OFFER,
        **member,
        "DBInstanceIdentifier": "orders",
        "DBInstanceArn": ARN,
        "DbiResourceId": "db-ABC",
        "DBInstanceStatus": status,
        "MasterUsername": "admin",
        "PendingModifiedValues": pending,
        "TagList": list(tags),
        FLAG: enabled,
    }


def raw_cluster(enabled, **more):
    return {
        "DBClusterIdentifier": "billing",
        "DBClusterArn": "arn:aws:rds:eu-west-1:123456789012:cluster:billing",
        "DbClusterResourceId": "cluster-XYZ",
        "Engine": "aurora-mysql",
        "EngineVersion": "8.0.mysql_aurora.3.10.0",
        "Status": "available",
        "TagList": [],
        FLAG: enabled,
        **more,
    }


def read(*args, **kwargs):
    return "describe_db_instances", {"DBInstanceIdentifier": "orders"}, {"DBInstances": [raw(*args, **kwargs)]}


def read_cluster(*args, **kwargs):
    answer = {"DBClusters": [raw_cluster(*args, **kwargs)]}
    return "describe_db_clusters", {"DBClusterIdentifier": "billing"}, answer


def modify(answer, enabled=True, now=True):
    parameters = {
        "DBInstanceIdentifier": "orders",
        "EnableIAMDatabaseAuthentication": enabled,
        "ApplyImmediately": now,
    }
    return "modify_db_instance", parameters, answer if isinstance(answer, tuple) else {"DBInstance": answer}


def mark(arn=ARN, answer=None):
    return "add_tags_to_resource", {"ResourceName": arn, "Tags": [OURS]}, answer or {}


def mark_after_reading(*args, answer=None, **kwargs):
    """AddTagsToResource overwrites a tag, so that the tags are read once more before it."""
    return read(*args, **kwargs) if args else read(False), mark(answer=answer)


def unmark(answer=None):
    return "remove_tags_from_resource", {"ResourceName": ARN, "TagKeys": ["ManagedBy"]}, answer or {}


def offers(*answers, **asked):
    supported = [{"SupportsIAMDatabaseAuthentication": answer} for answer in answers]
    return "describe_orderable_db_instance_options", asked or OFFER, {"OrderableDBInstanceOptions": supported}


def run(run_module, stubbed, *calls, check=False, **options):
    options = {"db_instance_identifier": "orders", **options}
    options = {name: value for name, value in options.items() if value is not None}
    return run_module(rds_iam_auth, stubbed("rds", *calls), check=check, **options)


def test_unchanged_is_one_call(run_module, stubbed):
    result = run(run_module, stubbed, read(True))
    assert not result["changed"]
    assert result["in_effect"] and result["database"]["iam_auth_enabled"]
    shown = {"iam_auth_enabled": True, "managed_by": None, "pending": {}}
    assert result["diff"]["before"] == result["diff"]["after"] == shown


def test_unchanged_cluster_is_one_call(run_module, stubbed):
    names = {"db_instance_identifier": None, "db_cluster_identifier": "billing"}
    assert not run(run_module, stubbed, read_cluster(True), **names)["changed"]


def test_on_waits_for_the_flag(run_module, stubbed, clock):
    applying = {FLAG: True}
    result = run(
        run_module,
        stubbed,
        read(False),
        offers(False, True),
        *mark_after_reading(),
        modify(raw(False, **applying)),
        read(False, "modifying", **applying),
        read(False, "configuring-iam-database-auth"),
        read(True, "configuring-iam-database-auth"),
        read(True, tags=[OURS]),
    )
    assert result["changed"]
    assert result["database"]["iam_auth_enabled"]
    assert result["database"]["managed_by"] == "dbops.rds_iam"
    assert result["database"]["pending"] == {}
    assert clock.pauses == [0.5, 0.75, 1.125]


def test_off_asks_for_no_support(run_module, stubbed, clock):
    result = run(run_module, stubbed, read(True), modify(raw(False), enabled=False), enabled=False)
    assert result["changed"] and not result["database"]["iam_auth_enabled"]
    assert clock.pauses == []


def test_without_wait_the_answer_is_reported(run_module, stubbed, clock):
    calls = read(False), offers(True), *mark_after_reading(), modify(raw(False, **{FLAG: True}))
    result = run(run_module, stubbed, *calls, wait=False)
    assert result["changed"] and not result["database"]["iam_auth_enabled"]
    assert result["database"]["pending"] == {FLAG: True}
    assert not result["in_effect"]


def test_not_now_is_pending_and_not_enabled(run_module, stubbed):
    calls = read(False), offers(True), *mark_after_reading(), modify(raw(False, **{FLAG: True}), now=False)
    result = run(run_module, stubbed, *calls, apply_immediately=False)
    assert result["changed"] and not result["database"]["iam_auth_enabled"]
    shown = {"iam_auth_enabled": False, "managed_by": "dbops.rds_iam", "pending": {FLAG: True}}
    assert result["diff"]["after"] == shown


def test_pending_is_not_sent_again(run_module, stubbed):
    assert not run(run_module, stubbed, read(False, **{FLAG: True}), apply_immediately=False)["changed"]


def test_pending_is_applied_now(run_module, stubbed, clock):
    """Without a mark: somebody else has switched it on."""
    calls = read(False, **{FLAG: True}), offers(True), modify(raw(True))
    database = run(run_module, stubbed, *calls)["database"]
    assert (database["iam_auth_enabled"], database["managed_by"]) == (True, None)


def test_pending_is_taken_back(run_module, stubbed, clock):
    result = run(run_module, stubbed, read(True, **{FLAG: False}), modify(raw(True)))
    assert result["changed"] and result["database"]["pending"] == {}


@pytest.mark.parametrize("status", ["modifying", "configuring-iam-database-auth"])
def test_what_is_being_switched_is_only_waited_for(run_module, stubbed, clock, status):
    result = run(run_module, stubbed, read(False, status, **{FLAG: True}), read(True))
    assert not result["changed"] and result["database"]["iam_auth_enabled"]


def test_what_waits_for_the_window_while_rds_applies_something_else_is_sent_afterwards(run_module, stubbed, clock):
    waiting = {FLAG: True}
    calls = read(False, "modifying", **waiting), read(False, "modifying", **waiting), read(False, **waiting)
    result = run(run_module, stubbed, *calls, offers(True), modify(raw(True)))
    assert result["changed"] and result["in_effect"]
    calls = read(False, "modifying", **waiting), read(False, AllocatedStorage=40, **waiting)
    assert "AllocatedStorage=40" in run(run_module, stubbed, *calls)["msg"], "it would set off what waits with it"


@pytest.mark.parametrize("check", [True, False])
def test_others_pending_are_refused_before_any_change(run_module, stubbed, check):
    result = run(run_module, stubbed, read(False, AllocatedStorage=40), check=check)
    assert result["failed"] and "AllocatedStorage=40" in result["msg"]
    assert not result["timed_out"]


def test_others_pending_are_applied_if_told(run_module, stubbed, clock):
    calls = read(False, AllocatedStorage=40), offers(True), *mark_after_reading(), modify(raw(True))
    assert run(run_module, stubbed, *calls, apply_pending=True)["changed"]


def test_check_mode_sends_nothing(run_module, stubbed):
    result = run(run_module, stubbed, read(False), offers(True), check=True)
    assert result["changed"]
    assert result["diff"]["after"] == {"iam_auth_enabled": True, "managed_by": "dbops.rds_iam", "pending": {}}
    result = run(run_module, stubbed, read(True, tags=[OURS]), check=True, enabled=False)
    assert result["changed"]
    assert result["diff"]["after"] == {"iam_auth_enabled": False, "managed_by": None, "pending": {}}


def test_member_of_a_cluster(run_module, stubbed):
    result = run(run_module, stubbed, read(False, member_of="billing"))
    assert "use db_cluster_identifier: billing" in result["msg"]


def test_cluster_asks_for_support_without_a_class(run_module, stubbed, clock):
    asked = {"Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.10.0"}
    sent = {"DBClusterIdentifier": "billing", "EnableIAMDatabaseAuthentication": True, "ApplyImmediately": True}
    result = run(
        run_module,
        stubbed,
        read_cluster(False),
        offers(True, **asked),
        read_cluster(False),
        mark(raw_cluster(False)["DBClusterArn"]),
        ("modify_db_cluster", sent, {"DBCluster": raw_cluster(True)}),
        db_instance_identifier=None,
        db_cluster_identifier="billing",
    )
    assert result["database"]["connect_arn_prefix"].endswith(":dbuser:cluster-XYZ")


def test_multi_az_cluster_asks_for_support_of_its_class(run_module, stubbed):
    more = {"DBClusterInstanceClass": "db.m6gd.large", "Engine": "mysql"}
    asked = {"Engine": "mysql", "EngineVersion": "8.0.mysql_aurora.3.10.0", "DBInstanceClass": "db.m6gd.large"}
    names = {"db_instance_identifier": None, "db_cluster_identifier": "billing"}
    calls = read_cluster(False, **more), offers(True, **asked)
    assert run(run_module, stubbed, *calls, check=True, **names)["changed"]


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([offers(False), offers(False, True, Engine="mysql", EngineVersion="8.0.42")], "other instance classes"),
        (
            [
                offers(False),
                offers(False, Engine="mysql", EngineVersion="8.0.42"),
                offers(False, True, Engine="mysql"),
            ],
            "other versions of mysql support it",
        ),
        (
            [offers(False), offers(False, Engine="mysql", EngineVersion="8.0.42"), offers(False, Engine="mysql")],
            "no version of the engine mysql supports it",
        ),
        ([offers(), offers(Engine="mysql", DBInstanceClass="db.t4g.small")], "does not offer mysql 8.0.42 on db.t4g"),
    ],
)
def test_no_support(run_module, stubbed, answers, sentence):
    result = run(run_module, stubbed, read(False), *answers)
    assert result["failed"] and sentence in result["msg"]


def test_a_version_no_longer_sold_is_judged_by_its_class(run_module, stubbed):
    unknown = ("describe_orderable_db_instance_options", OFFER, ("InvalidParameterValue", "Cannot find version"))
    calls = read(False), unknown, offers(True, Engine="mysql", DBInstanceClass="db.t4g.small")
    assert run(run_module, stubbed, *calls, check=True)["changed"]


def test_busy_database_is_tried_again(run_module, stubbed, clock):
    busy = modify(("InvalidDBInstanceState", "Instance is backing up"))
    assert run(run_module, stubbed, read(False), offers(True), *mark_after_reading(), busy, busy, modify(raw(True)))[
        "changed"
    ]
    assert clock.pauses == [0.5, 0.75]


def test_busy_database_without_wait_fails_at_once(run_module, stubbed, clock):
    busy = modify(("InvalidDBInstanceState", "Instance is backing up."))
    result = run(run_module, stubbed, read(False), offers(True), *mark_after_reading(), busy, unmark(), wait=False)
    assert result["timed_out"]
    assert result["msg"] == (
        "Failed to switch IAM database authentication on for the DB instance orders: Instance is backing up"
        " (InvalidDBInstanceState); run again when its status allows changes, or raise wait_timeout."
    )


def test_time_out_says_what_it_waited_for(run_module, stubbed, clock):
    still = {FLAG: True}
    result = run(
        run_module,
        stubbed,
        read(False),
        offers(True),
        *mark_after_reading(),
        modify(raw(False, **still)),
        read(False, "modifying", **still),
        read(False, "modifying", **still),
        read(False, "modifying", **still),
        wait_timeout=1,
    )
    assert result["timed_out"] and result["changed"]
    assert result["msg"] == (
        "IAM database authentication of the DB instance orders is still not on when the time is up: the flag is off,"
        " the change to on is pending, the status is modifying; run again to go on waiting, or raise wait_timeout."
    )


def test_only_waiting_sends_nothing(run_module, stubbed, clock):
    """RDS answers "available", with the change pending, for a while after it has accepted it."""
    waiting = {FLAG: True}
    reads = read(False, **waiting), read(False, "modifying", **waiting), read(True)
    result = run(run_module, stubbed, read(False, **waiting), *reads, only_wait=True)
    assert result["in_effect"] and not result["changed"]
    assert clock.pauses == [0.5, 0.75]
    result = run(run_module, stubbed, read(False, **waiting), *reads[:1] * 3, only_wait=True, wait_timeout=1)
    assert result["timed_out"] and not result["changed"]
    assert not run(run_module, stubbed, read(False, **waiting), only_wait=True, check=True)["in_effect"]


def test_the_mark_goes_with_the_flag(run_module, stubbed, clock):
    calls = read(True, tags=[OURS]), modify(raw(False, tags=[OURS]), enabled=False), unmark()
    result = run(run_module, stubbed, *calls, enabled=False)
    assert (result["changed"], result["database"]["managed_by"]) == (True, None)


def test_a_mark_that_a_run_left_is_taken_away(run_module, stubbed, clock):
    """That run was killed after it had sent the change."""
    assert run(run_module, stubbed, read(False, tags=[OURS]), unmark(), enabled=False)["changed"]
    calls = read(True, "modifying", tags=[OURS], **{FLAG: False}), read(False, tags=[OURS])
    assert run(run_module, stubbed, *calls, unmark(), enabled=False)["changed"]


def test_an_order_needs_no_mark(run_module, stubbed, clock):
    assert run(run_module, stubbed, read(True), modify(raw(False), enabled=False), enabled=False)["changed"]
    calls = read(True, tags=[TERRAFORM]), modify(raw(False, tags=[TERRAFORM]), enabled=False)
    assert run(run_module, stubbed, *calls, enabled=False)["database"]["managed_by"] == "terraform"


@pytest.mark.parametrize("mine", [OURS, TERRAFORM])
def test_a_mark_that_is_there_is_not_written(run_module, stubbed, clock, mine):
    calls = read(False, tags=[mine]), offers(True), modify(raw(True, tags=[mine]))
    assert run(run_module, stubbed, *calls)["database"]["managed_by"] == mine["Value"]


def test_no_mark_where_the_flag_was_on(run_module, stubbed, clock):
    """A pending change away from it is taken back."""
    result = run(run_module, stubbed, read(True, **{FLAG: False}), modify(raw(True)))
    assert result["changed"] and result["database"]["managed_by"] is None


DENIED = "AccessDenied", "User: arn:aws:iam::1:user/u is not authorized to perform: rds:{} on resource: " + ARN


def denied(action):
    return DENIED[0], DENIED[1].format(action)


def test_without_the_mark_nothing_is_switched_on(run_module, stubbed, clock):
    result = run(
        run_module, stubbed, read(False), offers(True), *mark_after_reading(answer=denied("AddTagsToResource"))
    )
    assert result["msg"].startswith("Failed to set the tag ManagedBy=dbops.rds_iam on the DB instance orders: ")
    assert "is not allowed rds:AddTagsToResource" in result["msg"] and not result["changed"]


def test_the_mark_is_taken_back_where_the_change_fails(run_module, stubbed, clock):
    refused = modify(denied("ModifyDBInstance"))
    result = run(run_module, stubbed, read(False), offers(True), *mark_after_reading(), refused, unmark())
    assert "is not allowed rds:ModifyDBInstance" in result["msg"] and not result["changed"]
    stays = unmark(denied("RemoveTagsFromResource"))
    result = run(run_module, stubbed, read(False), offers(True), *mark_after_reading(), refused, stays)
    assert "is not allowed rds:ModifyDBInstance" in result["msg"]
    assert "besides, the tag ManagedBy that this run has set stays. Failed to remove the tag" in result["msg"]


def test_tags_that_are_not_described_are_read(run_module, stubbed, clock):
    operation, asked, answer = read(False)
    del answer["DBInstances"][0]["TagList"]
    described, begin = (operation, asked, answer), ((operation, asked, answer), offers(True))
    asked = {"ResourceName": ARN}
    theirs = "list_tags_for_resource", asked, {"TagList": [TERRAFORM]}
    result = run(run_module, stubbed, *begin, described, theirs, modify(raw(True, tags=[TERRAFORM])))
    assert result["database"]["managed_by"] == "terraform"
    none = "list_tags_for_resource", asked, {"TagList": []}
    result = run(run_module, stubbed, *begin, described, none, mark(), modify(raw(True)))
    assert result["database"]["managed_by"] == "dbops.rds_iam"
    hidden = "list_tags_for_resource", asked, denied("ListTagsForResource")
    assert "rds:ListTagsForResource" in run(run_module, stubbed, *begin, described, hidden)["msg"]


def test_a_mark_that_came_in_between_stays(run_module, stubbed, clock):
    calls = read(False), offers(True), read(False, tags=[TERRAFORM]), modify(raw(True, tags=[TERRAFORM]))
    assert run(run_module, stubbed, *calls)["database"]["managed_by"] == "terraform"


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("engine", ["neptune", "docdb", "postgres", "aurora-postgresql", "oracle-ee", "aurora"])
def test_other_engines(run_module, stubbed, engine, check, enabled):
    """As RDS describes them: a Neptune cluster, recorded, also supports IAM database authentication."""
    operation, asked, answer = read_cluster(not enabled, Engine=engine)
    names = {"db_instance_identifier": None, "db_cluster_identifier": "billing"}
    options = {"check": check, "enabled": enabled, **names}
    result = run(run_module, stubbed, (operation, asked, answer), **options)
    assert result["msg"] == (
        f"The DB cluster billing runs {engine}, and this collection switches IAM database authentication of mysql,"
        " mariadb, aurora-mysql only, since that of other engines is another matter; nothing was changed."
    )


def test_an_instance_of_another_engine(run_module, stubbed):
    operation, asked, answer = read(False, member_of="graph")
    answer["DBInstances"][0]["Engine"] = "neptune"
    assert "runs neptune" in run(run_module, stubbed, (operation, asked, answer))["msg"]


def test_unknown_instance(run_module, stubbed):
    gone = "describe_db_instances", {"DBInstanceIdentifier": "orders"}, ("DBInstanceNotFound", "not found")
    other = "describe_db_clusters", {"DBClusterIdentifier": "orders"}, ("DBClusterNotFoundFault", "not found")
    result = run(run_module, stubbed, gone, other)
    assert result["msg"].startswith("There is no DB instance orders in the region eu-west-1; check the name")


def test_unknown_cluster_that_is_an_instance(run_module, stubbed):
    gone = "describe_db_clusters", {"DBClusterIdentifier": "orders"}, ("DBClusterNotFoundFault", "not found")
    names = {"db_instance_identifier": None, "db_cluster_identifier": "orders"}
    result = run(run_module, stubbed, gone, read(True), **names)
    assert "so use db_instance_identifier" in result["msg"]


def test_denied(run_module, stubbed):
    denied = "describe_db_instances", {"DBInstanceIdentifier": "orders"}, ("AccessDenied", "no")
    assert "not allowed rds:DescribeDBInstances;" in run(run_module, stubbed, denied)["msg"]


@pytest.mark.parametrize("names", [{"db_instance_identifier": ""}, {"db_instance_identifier": None}])
def test_no_identifier(run_module, stubbed, names):
    result = run(run_module, stubbed, **names)
    assert result["failed"] and "db_instance_identifier" in result["msg"]


def test_info_of_one(run_module, stubbed):
    result = run_module(rds_iam_auth_info, stubbed("rds", read(True)), db_instance_identifier="orders")
    assert [one["identifier"] for one in result["databases"]] == ["orders"]


def test_info_of_a_member_names_the_cluster(run_module, stubbed):
    client = stubbed("rds", read(True, member_of="billing"), read_cluster(True))
    (record,) = run_module(rds_iam_auth_info, client, db_instance_identifier="orders")["databases"]
    assert record["cluster_identifier"] == "billing"
    assert record["connect_arn_prefix"].endswith(":dbuser:cluster-XYZ")


def test_info_of_all(run_module, stubbed):
    clusters = "describe_db_clusters", {}, {"DBClusters": [raw_cluster(True)]}
    first = "describe_db_instances", {}, {"DBInstances": [raw(True, member_of="billing")], "Marker": "more"}
    second = "describe_db_instances", {"Marker": "more"}, {"DBInstances": [raw(False)]}
    databases = run_module(rds_iam_auth_info, stubbed("rds", clusters, first, second))["databases"]
    assert [one["kind"] for one in databases] == ["cluster", "instance", "instance"]
    assert [one["resource_id"] for one in databases] == ["cluster-XYZ", "db-ABC", "db-ABC"]
    prefixes = [one["connect_arn_prefix"].rsplit(":", 1)[-1] for one in databases]
    assert prefixes == ["cluster-XYZ", "cluster-XYZ", "db-ABC"]
