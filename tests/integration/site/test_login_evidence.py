# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evidence of a login: whose credentials signed it, which server decided, and as whom it was let in."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import threading
from pathlib import Path

import pymysql
import pytest

ROLE, POLICY, ACCOUNT = "rds-iam-lab", "rds-iam-connect", "123456789012"
OPS = f"arn:aws:iam::{ACCOUNT}:user/ops"
FETCH = """
import json, sys
sys.path.append("/opt/dbops-rds-iam/lib/python3.%d/site-packages" % sys.version_info[1])
import botocore.session
keys = botocore.session.get_session().get_credentials().get_frozen_credentials()
print(json.dumps([keys.access_key, keys.secret_key, keys.token]))
"""


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")
    yield
    lab.good("site.yml")
    lab.good("teardown.yml")


def arn(lab, user, database="orders"):
    return f"arn:aws:rds-db:{lab.info['region']}:{ACCOUNT}:dbuser:{lab.databases[database]['resource_id']}/{user}"


def document(*resources):
    allow = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": list(resources)}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


@pytest.fixture
def policy(lab):
    """A function that writes the policy of the role anew; at its end it is as the site wrote it."""
    iam = lab.aws("iam")
    before = iam.get_role_policy(RoleName=ROLE, PolicyName=POLICY)["PolicyDocument"]

    def put(*resources):
        iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=document(*resources))

    yield put
    iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=json.dumps(before))


@pytest.fixture
def ops(lab):
    """The keys of an IAM user who may log in to orders as app."""
    iam = lab.aws("iam")
    iam.create_user(UserName="ops")
    iam.put_user_policy(UserName="ops", PolicyName="app", PolicyDocument=document(arn(lab, "app")))
    key = iam.create_access_key(UserName="ops")["AccessKey"]
    yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    iam.delete_access_key(UserName="ops", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="ops", PolicyName="app")
    iam.delete_user(UserName="ops")


@pytest.fixture
def ping(lab, tmp_path):
    """Run the module on client1, as root, with these variables in its environment; return what it returns."""

    def ping(logins, environment=None, **options):
        orders = {key: lab.databases["orders"][key] for key in ("endpoint", "port")}
        options = {"ca_file": lab.bundle("client1"), "logins": [{**orders, **login} for login in logins], **options}
        task = {"dbops.rds_iam.rds_iam_ping": options, "failed_when": False, "environment": environment or {}}
        play = {"hosts": "client1", "gather_facts": False, "become": True, "tasks": [task]}
        # Several at once, each with files of its own.
        place = tmp_path / threading.current_thread().name
        place.mkdir(exist_ok=True)
        (place / "play.json").write_text(json.dumps([play]))
        (place / "results").write_text("")
        lab.good(
            str(place / "play.json"),
            RESULTS=str(place / "results"),
            ANSIBLE_CALLBACK_PLUGINS=str(Path(__file__).with_name("callbacks")),
            ANSIBLE_CALLBACKS_ENABLED="results",
        )
        return json.loads((place / "results").read_text())["result"]

    return ping


@pytest.fixture
def diagnose(lab):
    """Return what the doctor says of the logins of client1 to orders, as the ping returned them."""

    def diagnose(result) -> list[dict]:
        client = {"name": "client1", "instance_id": lab.clients["client1"]["instance_id"]}
        if "host" in result:
            client["host_facts"] = result["host"]
        logins = [
            {
                "client": "client1",
                "database": "orders",
                "user": login["user"],
                "expect": login["expected"],
                "login_result": login,
            }
            for login in result["logins"]
        ]
        databases = [{"name": "orders", "db_instance_identifier": "orders"}]
        options = {"logins": logins, "clients": [client], "databases": databases, "fail": False}
        return lab.result("localhost", "rds_iam_doctor", options)["logins"]

    return diagnose


def statuses(diagnosis: dict) -> dict[str, str]:
    return {check["name"]: check["status"] for check in diagnosis["checks"]}


def as_root(lab, command, **options):
    process = lab.ssh("client1", f"{lab.sudo}sh -c {shlex.quote(command)}", **options)
    assert process.returncode == 0, process.stderr
    return process.stdout


@contextlib.contextmanager
def shared_file(lab, keys):
    lines = ["[default]", *(f"{name.lower()} = {value}" for name, value in keys.items())]
    as_root(lab, "mkdir -p /root/.aws; cat > /root/.aws/credentials", input="\n".join(lines))
    yield {}
    as_root(lab, "rm -r /root/.aws")


@contextlib.contextmanager
def process(lab, keys):
    fields = {"Version": 1, "AccessKeyId": keys["AWS_ACCESS_KEY_ID"], "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"]}
    as_root(lab, "mkdir -p /root/.aws; cat > /root/.aws/keys.json", input=json.dumps(fields))
    text = "[profile sso]\ncredential_process = cat /root/.aws/keys.json\n"
    as_root(lab, "cat > /root/.aws/config", input=text)
    yield {"AWS_PROFILE": "sso"}
    as_root(lab, "rm -r /root/.aws")


@contextlib.contextmanager
def variables(lab, keys):
    yield keys


FOREIGN = {
    "shared-credentials-file": (shared_file, "remove them from /root/.aws/credentials of root"),
    "custom-process": (process, "remove them from /root/.aws/config (profile $AWS_PROFILE) of root"),
    "env": (variables, "take AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN out of the environment"),
}
LOGINS = [{"user": "app"}, {"user": "report", "expect": "denied"}]


@pytest.mark.parametrize("source", FOREIGN)
def test_a_login_with_the_keys_of_somebody_else_proves_nothing(lab, ops, policy, ping, diagnose, source):
    """The role may do the opposite of what is expected: only with these keys all goes as it is expected."""
    place, remedy = FOREIGN[source]
    policy(arn(lab, "report"))
    with place(lab, ops) as environment:
        anybody = ping(LOGINS, environment)
        expected = ping(LOGINS, environment, principal=ROLE)
        asked_for = ping(LOGINS, environment, principal=OPS)
    own = ping(LOGINS, principal=ROLE)

    assert [login["verdict"] for login in own["logins"]] == ["denied", "allowed"]
    assert not any(login["as_expected"] for login in own["logins"])
    # Whoever asks for nobody has a verdict and its evidence, and the doctor does not take it for a proof.
    assert [login["verdict"] for login in anybody["logins"]] == ["allowed", "denied"]
    signer = {"source": source, "principal": OPS, "role_name": None, "is_expected": None, "error": None}
    assert anybody["signer"] == signer and [login["signer"] for login in anybody["logins"]] == [signer] * 2
    for one in diagnose(anybody):
        assert one["status"] == "failed" and statuses(one)["credentials"] == "failed", one
        assert f"client1 signs with credentials from {source}, those of {OPS}" in one["reason"]
        assert statuses(one)["login"] == "unknown"
    # Whoever asks for the role has no login at all.
    for one in expected["logins"]:
        assert (one["verdict"], one["attempts"], one["failed_at"]) == ("not_tried", 0, "credentials")
        assert not one["as_expected"] and remedy in one["msg"]
        said = (
            f"This host signs with credentials from {source}, those of {OPS}, and not with those of the IAM role {ROLE}"
        )
        assert said in one["msg"]
    for one in diagnose(expected):
        assert one["status"] == "failed" and statuses(one)["credentials"] == "failed", one
        assert remedy in one["reason"] and statuses(one)["certificate"] == "passed"
    # And whoever asks for this user has a proof.
    assert [login["as_expected"] for login in asked_for["logins"]] == [True, True]
    assert asked_for["signer"]["is_expected"] is True
    assert {one["status"] for one in diagnose(asked_for)} == {"passed"}


def test_the_session_of_the_role_itself_may_come_from_elsewhere(lab, ping, diagnose):
    keys = json.loads(as_root(lab, f"python3 -c {shlex.quote(FETCH)}"))
    environment = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), keys))
    with lab.calls() as calls:
        for principal in (ROLE, ROLE.upper(), f"arn:aws:iam::{ACCOUNT}:role/some/path/{ROLE}"):
            found = ping(LOGINS, environment, principal=principal)
            assert [login["as_expected"] for login in found["logins"]] == [True, True], found
            assert found["signer"]["role_name"] == ROLE and f":assumed-role/{ROLE}/" in found["signer"]["principal"]
    assert [call["action"] for call in calls] == ["GetCallerIdentity"] * 3
    assert {one["status"] for one in diagnose(ping(LOGINS, environment))} == {"passed"}
    other = ping(LOGINS, environment, principal=f"arn:aws:iam::210987654321:role/{ROLE}")
    assert {login["verdict"] for login in other["logins"]} == {"not_tried"}


def test_the_profile_of_a_host_costs_no_call(lab, ping):
    with lab.calls() as calls:
        found = ping(LOGINS, principal=ROLE)
    assert calls == [] and [login["as_expected"] for login in found["logins"]] == [True, True]
    assert [login["client_host"] for login in found["logins"]] == [lab.clients["client1"]["host"]] * 2
    other = ping(LOGINS, principal="another-role")
    assert {login["verdict"] for login in other["logins"]} == {"not_tried"}


def refusals(lab):
    decisions = map(json.loads, (lab.state / "verifier.jsonl").read_text().splitlines())
    return [decision for decision in decisions if decision["outcome"] == "refused" and decision["user"] == "app"]


class Waiting:
    """A ping in a thread of its own."""

    def __init__(self, ping, *arguments, **options):
        self.result = None
        self.thread = threading.Thread(target=self._run, args=(ping, arguments, options), name="waiting")
        self.thread.start()

    def _run(self, ping, arguments, options):
        self.result = ping(*arguments, **options)

    def end(self) -> list[dict]:
        self.thread.join(120)
        return self.result["logins"]


def test_only_what_may_pass_by_itself_is_tried_again(lab, policy, ping):
    policy(arn(lab, "nobody"))
    seen = len(refusals(lab))
    unreachable = {"user": "report", "connect_host": "127.0.0.1", "port": 9}
    waiting = Waiting(ping, [*LOGINS, unreachable], principal=ROLE, wait_timeout=100)
    try:
        lab.until(lambda: len(refusals(lab)) > seen + 1)
    finally:
        policy(arn(lab, "app"))
    app, report, lost = waiting.end()
    assert app["as_expected"] and app["verdict"] == "allowed" and app["attempts"] > 2
    assert report["as_expected"] and report["attempts"] == 1
    assert not lost["as_expected"] and (lost["verdict"], lost["failed_at"], lost["attempts"]) == ("failed", "port", 1)


def test_credentials_that_are_not_there_yet_are_waited_for(lab, ping):
    lab.detach("client1")
    try:
        lab.until(lambda: ping(LOGINS, principal=ROLE)["signer"]["source"] is None)
        waiting = Waiting(ping, LOGINS, principal=ROLE, wait_timeout=100)
    finally:
        lab.attach("client1", ROLE)
    assert [one["as_expected"] for one in waiting.end()] == [True, True]


@pytest.fixture
def full(lab):
    """All connections of orders are in use."""
    socket_file = str(lab.state / "databases" / "orders" / "mysqld.sock")
    with contextlib.ExitStack() as held:
        root = held.enter_context(pymysql.connect(unix_socket=socket_file, user="root"))
        with root.cursor() as cursor:
            cursor.execute("SELECT @@max_connections")
            [before] = cursor.fetchone()
            cursor.execute("SET GLOBAL max_connections = 10")
            try:
                with pytest.raises(pymysql.err.OperationalError):
                    for _number in range(20):
                        held.enter_context(pymysql.connect(unix_socket=socket_file, user="root"))
                yield
            finally:
                cursor.execute(f"SET GLOBAL max_connections = {before}")


def test_what_comes_in_place_of_a_greeting_passes_no_check(full, ping, diagnose):
    found = ping(LOGINS, principal=ROLE)
    for one in found["logins"]:
        assert (one["verdict"], one["failed_at"], one["server_error"]) == ("failed", "port", 1040)
        assert 'who says "Too many connections" (error 1040)' in one["msg"]
    for one in diagnose(found):
        expected = {"name": "passed", "port": "failed", "tls": "unknown", "certificate": "unknown"}
        assert statuses(one).items() >= expected.items(), one
        assert "end some or raise max_connections" in one["reason"]


def test_another_user_than_the_one_asked_for_proves_nothing(lab, policy, ping, diagnose):
    """The anonymous user takes in whoever has no user of his own."""
    policy(arn(lab, "app"), arn(lab, "nobody"))
    lab.sql("orders", "CREATE USER ''@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL")
    try:
        found = ping([{"user": "nobody"}, {"user": "app"}], principal=ROLE)
    finally:
        lab.sql("orders", "DROP USER ''@'%'")
    nobody, app = found["logins"]
    assert (nobody["verdict"], nobody["current_user"], nobody["as_expected"]) == ("allowed", "@%", False)
    assert "let nobody in as @%, which is another user" in nobody["msg"]
    assert app["as_expected"]
    [first, second] = diagnose(found)
    assert first["status"] == "failed" and statuses(first)["login"] == "failed" and second["status"] == "passed"


def test_a_name_server_that_does_not_answer(lab, ping):
    if lab.info["form"] == "plain":
        pytest.skip("The clients of the plain form have the name server of the machine.")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("10.77.0.1", 53))
        as_root(lab, "cp -L /etc/resolv.conf /tmp/resolv.conf; echo nameserver 10.77.0.1 > /etc/resolv.conf")
        try:
            [found] = ping([{"user": "app", "connect_host": "tunnel.example.com"}], connect_timeout=1)["logins"]
        finally:
            as_root(lab, "cat /tmp/resolv.conf > /etc/resolv.conf; rm /tmp/resolv.conf")
    assert (found["verdict"], found["failed_at"]) == ("failed", "name")
    assert "was not resolved within 1 seconds in all (connect_timeout)" in found["msg"]
