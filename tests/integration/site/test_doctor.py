# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make one check fail, ask the doctor, and it names that check; run what it prints as the remedy, and the login works.

Checks that are one user's own fail for many users at once; those of a host or a database by turns. The tests build
on each other, in order.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest
from driver import BIN, Lab, writes_a_bundle_of_another_region

ROLE, POLICY = "rds-iam-lab", "rds-iam-connect"
ACCOUNT, REGION = "123456789012", "eu-west-1"
GOOD = "arn:aws:rds-db:{region}:{account}:dbuser:{id}/{user}"

# One user each. What stands in the policy for it in place of the right ARN, and the words of the diagnosis.
STATEMENTS = {
    "no_statement": (None, "no policy of the IAM role"),
    "by_identifier": (GOOD.replace("{id}", "orders"), "by its identifier orders"),
    "of_rds": (GOOD.replace("rds-db", "rds"), "a resource of rds"),
    "other_account": (GOOD.replace("{account}", "210987654321"), "for the account 210987654321"),
    "no_account": (GOOD.replace("{account}", ""), "for the account none"),
    "other_region": (GOOD.replace("{region}", "eu-west-2"), "for the region eu-west-2"),
    "other_partition": (GOOD.replace("arn:aws:", "arn:aws-cn:"), "for the partition aws-cn"),
    "other_case": (GOOD.replace("{user}", "Other_Case"), "case counts"),
    "old_database": (GOOD.replace("{id}", "db-OLDOLDOLDOLDOLDOLDOLDOLDOL"), "was restored"),
    "other_kind": (GOOD.replace("dbuser:", "db:"), "must be dbuser:"),
    "denied": (GOOD, "the statement NoLogin of the policy guard denies"),
    "conditional": (GOOD, "a condition on aws:SourceIp"),
}
# One user each. The statement that breaks its account, and the words of the diagnosis.
ACCOUNTS = {
    "dropped": ("DROP USER dropped@'%'", "has no account 'dropped'@'%'"),
    "locked": ("ALTER USER locked@'%' ACCOUNT LOCK", "is locked"),
    "password": ("ALTER USER password@'%' IDENTIFIED BY 'Passw0rd-of-old'", "logs in with"),
    "not_rds": ("ALTER USER not_rds@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'other'", "does not log in with"),
    "elsewhere": (None, "is not for"),
}
BOTH = "both_wrong"  # its policy and its account are wrong
USERS = [*STATEMENTS, *ACCOUNTS, BOTH]


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    accounts = [{"name": user} for user in USERS if user not in ("elsewhere", "locked", BOTH)]
    # Otherwise a lock is somebody's, and stays.
    accounts += [{"name": user, "locked": False} for user in ("locked", BOTH)]
    accounts.append({"name": "elsewhere", "host": "192.168.%"})
    path = tmp_path_factory.mktemp("doctor") / "variables.json"
    path.write_text(json.dumps({"db_users_accounts": accounts, "iam_role_users": USERS}))
    return path


def without_null(given: dict) -> dict:
    return {key: value for key, value in given.items() if value is not None}


@pytest.fixture(scope="module")
def doctor(lab, tmp_path_factory):
    """Run doctor.yml; the diagnosis of each login that is not proven, by client, database and user."""
    place = tmp_path_factory.mktemp("results")

    def doctor(*arguments) -> dict[tuple, dict]:
        results = place / "results"
        results.write_text("")
        with lab.calls() as calls:
            run = lab.playbook(
                "doctor.yml",
                *arguments,
                RESULTS=str(results),
                ANSIBLE_CALLBACK_PLUGINS=str(Path(__file__).with_name("callbacks")),
                ANSIBLE_CALLBACKS_ENABLED="results",
            )
        assert lab.changing(calls) == []
        lines = map(json.loads, results.read_text().splitlines())
        results = [line["result"] for line in lines if line["action"].endswith("rds_iam_doctor")]
        assert bool(results) == (run.status != 0), run.output
        found = results[0]["logins"] if results else []
        assert all(one["reason"] in run.output for one in found), run.output
        doctor.given = results and results[0]["invocation"]["module_args"]
        return {(one["client"], one["database"], one["user"]): one for one in found}

    def arguments() -> dict:
        """Return the arguments that the playbook gives to the module."""
        assert doctor()
        # What was left out is null there.
        return {key: list(map(without_null, doctor.given[key])) for key in ("logins", "clients", "databases")}

    doctor.arguments = arguments
    return doctor


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")
    yield
    lab.good("site.yml")
    lab.good("teardown.yml")


def failed_check(one: dict) -> str | None:
    return next((check["name"] for check in one["checks"] if check["status"] == "failed"), None)


def check(one: dict, name: str) -> dict | None:
    return next((found for found in one["checks"] if found["name"] == name), None)


def arn(lab, template, user):
    return template.format(region=REGION, account=ACCOUNT, id=lab.databases["orders"]["resource_id"], user=user)


def put(lab, name, *statements):
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    lab.aws("iam").put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=json.dumps(document))


def allow(resources, **more):
    return {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resources, **more}


# The commands in a sentence of the doctor.
PRINTED = re.compile(r"\((dbops\.rds_iam\.site|aws) ([^)]+)\)")


def run_printed(lab, sentences, *extra) -> set[str]:
    """Run the commands that are printed as remedies, each of them once."""
    remedies = [sentence.split("; to repair it, ")[1] for sentence in sentences]
    assert all(map(PRINTED.search, remedies)), remedies
    commands = {match.groups() for remedy in remedies for match in PRINTED.finditer(remedy)}
    for program, arguments in sorted(commands):
        if program == "aws":
            subprocess.run([BIN / "aws", *shlex.split(arguments)], check=True, stdout=subprocess.DEVNULL)
        else:
            lab.good(program, *shlex.split(arguments), *extra)
    return {" ".join(command) for command in commands}


def test_healthy(lab, doctor):
    assert doctor() == {}


def break_users(lab) -> None:
    """Each user of STATEMENTS by its policy, each of ACCOUNTS by its account, and one by both."""
    for statement, _words in ACCOUNTS.values():
        if statement:
            lab.sql("orders", statement)
    lab.sql("orders", f"ALTER USER {BOTH}@'%' ACCOUNT LOCK")
    mistaken = {user: template for user, (template, _words) in STATEMENTS.items() if template and user != "conditional"}
    rest = dict.fromkeys(ACCOUNTS, GOOD)
    resources = [arn(lab, template, user) for user, template in {**mistaken, **rest}.items()]
    inside = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    ours = allow(resources, Sid="RdsIamConnect")  # by which the site knows that it may change the policy
    put(lab, POLICY, ours)
    put(lab, "by-address", allow(arn(lab, GOOD, "conditional"), Condition=inside))
    deny = {"Sid": "NoLogin", "Effect": "Deny", "Action": "rds-db:*", "Resource": arn(lab, GOOD, "denied")}
    put(lab, "guard", deny)


def test_causes_that_are_one_users_own(lab, doctor, variables):
    extra = ("-e", f"@{variables}")
    lab.good("site.yml", "--skip-tags", "step9", *extra)
    break_users(lab)

    found = doctor("--limit", "client1,orders", *extra)
    for user, (_broken, words) in {**STATEMENTS, **ACCOUNTS}.items():
        one = found["client1", "orders", user]
        assert failed_check(one) == ("permission" if user in STATEMENTS else "database_user"), one
        assert words in one["reason"], one["reason"]
    assert failed_check(found["client1", "orders", BOTH]) == "permission"

    # Do what is printed, first for the policy alone: then the later cause of two is named.
    by_policy = set(STATEMENTS) - {"denied"} | {BOTH}
    sentences = [found["client1", "orders", user]["reason"] for user in by_policy]
    assert run_printed(lab, sentences, *extra) == {"dbops.rds_iam.site --tags step5"}
    lab.aws("iam").delete_role_policy(RoleName=ROLE, PolicyName="by-address")  # which the lab cannot evaluate
    found = doctor("--limit", "client1,orders", *extra)
    assert {user for _host, _database, user in found} == {"denied", BOTH, *ACCOUNTS}
    assert failed_check(found["client1", "orders", BOTH]) == "database_user"
    assert "out of that Deny of the policy guard" in found["client1", "orders", "denied"]["reason"]
    lab.aws("iam").delete_role_policy(RoleName=ROLE, PolicyName="guard")
    sentences = [found["client1", "orders", user]["reason"] for user in (*ACCOUNTS, BOTH)]
    set_printed(variables, sentences)
    assert run_printed(lab, sentences, *extra) == {"dbops.rds_iam.site --tags step3"}
    assert doctor(*extra) == {}
    for identifier in lab.databases:
        lab.sql(identifier, "DROP USER " + ", ".join(f"{user}@'%'" for user in USERS) + ", elsewhere@'192.168.%'")
    lab.aws("iam").delete_role_policy(RoleName=ROLE, PolicyName=POLICY)
    lab.good("site.yml", "--tags", "step5")  # whose policy is for those users alone


def set_printed(variables, sentences) -> None:
    """Change db_users_accounts as the sentences say."""
    given, text = json.loads(variables.read_text()), " ".join(sentences)
    accounts = {account["name"]: account for account in given["db_users_accounts"]}
    converted = re.findall(r"set convert for (\w+) in db_users_accounts", text)
    moved = re.findall(r"set the host of (\w+) in db_users_accounts to (\S+)", text)
    assert converted and moved
    for user in converted:
        accounts[user]["convert"] = True
    for user, host in moved:
        accounts[user]["host"] = host
    variables.write_text(json.dumps(given))


def sudo(lab, client, command):
    process = lab.ssh(client, f"{lab.sudo}sh -c {lab.quote(command)}")
    assert process.returncode == 0, process.stderr


@dataclass(frozen=True)
class Cause:
    """The cause of a failed check, and what the doctor says.

    It is repaired by what the doctor prints, or is mended where that is no command. What the repair leaves is cleaned.
    One client is denied for all of its role: C(denied) has the databases where that is not proven, by the first host.
    """

    check: str
    words: str
    breaks: Callable[[Lab], None]
    mends: Callable[[Lab], None] | None = None
    cleans: Callable[[Lab], None] | None = None
    hosts: tuple[str, ...] = ("client1", "client2")
    databases: tuple[str, ...] = ("orders", "billing")
    denied: tuple[str, ...] = ()

    @property
    def logins(self):
        logins = [(host, database, "app") for host in self.hosts for database in self.databases]
        return logins + [(self.hosts[0], database, "report") for database in self.denied]


def on(client, command, undo=None):
    """A cause on one client, mended by another command or by what the doctor prints."""

    def run(lab, text):
        addresses = {name: next(iter(database["addresses"])) for name, database in lab.databases.items()}
        sudo(lab, client, text.format(bundle=lab.bundle(client), **addresses))

    return {
        "breaks": lambda lab: run(lab, command),
        "mends": (lambda lab: run(lab, undo)) if undo else None,
        "hosts": (client,),
    }


def flag_pending(lab):
    lab.set_flag("billing", False)
    on = {"EnableIAMDatabaseAuthentication": True, "ApplyImmediately": False}
    lab.aws("rds").modify_db_instance(DBInstanceIdentifier="billing", **on)


def empty_profile(lab):
    lab.aws("iam").remove_role_from_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)


def trust(lab):
    document = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [document]})
    lab.aws("iam").update_assume_role_policy(RoleName=ROLE, PolicyDocument=text)


def boundary(lab):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    policy = lab.aws("iam").create_policy(PolicyName="limit", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    lab.aws("iam").put_role_permissions_boundary(RoleName=ROLE, PermissionsBoundary=policy)


def no_boundary(lab):
    lab.aws("iam").delete_role_permissions_boundary(RoleName=ROLE)
    lab.aws("iam").delete_policy(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/limit")


def full_access(lab):
    """Put AWS's policy of that name, as far as it is about RDS, in place of the policy of the role."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "rds:*", "Resource": "*"}]}
    lab.aws("iam").create_policy(PolicyName="AmazonRDSFullAccess", PolicyDocument=json.dumps(document))
    lab.aws("iam").attach_role_policy(RoleName=ROLE, PolicyArn=FULL_ACCESS)
    lab.aws("iam").delete_role_policy(RoleName=ROLE, PolicyName=POLICY)


def no_full_access(lab):
    lab.aws("iam").detach_role_policy(RoleName=ROLE, PolicyArn=FULL_ACCESS)
    lab.aws("iam").delete_policy(PolicyArn=FULL_ACCESS)


FULL_ACCESS = f"arn:aws:iam::{ACCOUNT}:policy/AmazonRDSFullAccess"


def stopped(lab):
    lab.aws("rds").stop_db_instance(DBInstanceIdentifier="orders")


def metadata_options(lab, **options):
    lab.aws("ec2").modify_instance_metadata_options(InstanceId=lab.clients["client1"]["instance_id"], **options)


def metadata_off(lab):
    metadata_options(lab, HttpEndpoint="disabled")


def far_from_metadata(lab):
    """As in a container: the answers of the metadata service do not come so far."""
    metadata_options(lab, HttpPutResponseHopLimit=1)
    sudo(lab, "client1", "ip address del 169.254.169.254/32 dev lo")


def near_to_metadata(lab):
    sudo(lab, "client1", "ip address add 169.254.169.254/32 dev lo")
    metadata_options(lab, HttpPutResponseHopLimit=2)


KEYS = "[default]\\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\\naws_secret_access_key = wJalrXUtnFEMI/EXAMPLEKEY\\n"
HOSTS = "cp /etc/hosts /etc/hosts.good; sed '/orders/d' /etc/hosts.good > /etc/hosts"
OTHER = "cp /etc/hosts /etc/hosts.good; sed 's/.* orders[.]/{billing} orders./' /etc/hosts.good > /etc/hosts"
ENVIRONMENT, SUDO = "/etc/environment.of.sudo", "/etc/sudoers.d/environment"
UNDO_HOSTS = "cat /etc/hosts.good > /etc/hosts; rm /etc/hosts.good"

# Where no client can ask the server, that report is denied is not proven either.
NOBODY = {"denied": ("orders", "billing")}
ORDERS = {"databases": ("orders",)}
# Actions, and the check that nobody can make without them.
RIGHTS = {
    "rds:DescribeDBInstances": "database",
    "ec2:DescribeInstances": "profile",
    "iam:GetInstanceProfile": "profile",
    "iam:GetRole": "profile",
    "iam:ListRolePolicies": "permission",
    "iam:ListAttachedRolePolicies": "permission",
    "iam:GetRolePolicy": "permission",
    "iam:GetPolicy": "permission",
    "iam:GetPolicyVersion": "permission",
}
ROUNDS = [
    [
        Cause("iam_auth", "is off", lambda lab: lab.set_flag("orders", False), **ORDERS),
        Cause("iam_auth", "only pending", flag_pending, databases=("billing",)),
    ],
    [
        Cause("database", "its status is stopped", stopped, **ORDERS),
        Cause("permission", "none of them", full_access, cleans=no_full_access, databases=("billing",)),
    ],
    [
        Cause("name", "cannot be reached", **on("client1", HOSTS, UNDO_HOSTS), **ORDERS, denied=("orders",)),
        Cause("certificate", "ostname mismatch", **on("client2", OTHER, UNDO_HOSTS), **ORDERS),
    ],
    [
        Cause("certificate", "does not exist", **on("client1", "rm {bundle}"), **NOBODY),
        Cause("certificate", "unable to get", **on("client2", writes_a_bundle_of_another_region())),
    ],
    [
        Cause(
            "profile",
            "no instance profile is attached",
            lambda lab: lab.detach("client1"),
            hosts=("client1",),
            **NOBODY,
        ),
        Cause(
            "credentials",
            "credentials from shared-credentials-file",
            **on("client2", f"mkdir -p /root/.aws; printf '{KEYS}' > /root/.aws/credentials", "rm -r /root/.aws"),
        ),
    ],
    [Cause("credentials", "is switched off", metadata_off, hosts=("client1",))],
    [Cause("profile", "has no role in it", empty_profile, **NOBODY)],
    [Cause("profile", "does not let EC2 assume it", trust, **NOBODY)],
    [Cause("permission", "the permissions boundary limit", boundary, no_boundary)],
]
# These change what the plain form, whose clients are one machine, has in common.
IN_NAMESPACES = [
    [
        Cause(
            "port",
            "cannot be reached",
            **on("client2", "ip route add unreachable {orders}/32", "ip route del unreachable {orders}/32"),
            **ORDERS,
        ),
        Cause(
            "client_program",
            "lacks the Python libraries pymysql",
            **on("client1", "dpkg --purge --force-depends python3-pymysql"),
            denied=("orders",),
        ),
    ],
    [
        Cause(
            "credentials",
            "--http-put-response-hop-limit 2",
            far_from_metadata,
            near_to_metadata,
            hosts=("client1",),
            **NOBODY,
        ),
        Cause(
            "credentials",
            "AWS_EC2_METADATA_DISABLED keeps client2 from",
            **on(
                "client2",
                f"echo AWS_EC2_METADATA_DISABLED=true > {ENVIRONMENT}; echo Defaults env_file={ENVIRONMENT} > {SUDO}",
                f"rm {SUDO} {ENVIRONMENT}",
            ),
        ),
    ],
]


@pytest.mark.parametrize("causes", ROUNDS + IN_NAMESPACES, ids=lambda causes: "-".join(cause.check for cause in causes))
def test_causes_of_a_host_or_a_database(lab, doctor, causes):
    if causes in IN_NAMESPACES and lab.info["form"] == "plain":
        pytest.skip("The clients of the plain form are one machine.")
    try:
        for cause in causes:
            cause.breaks(lab)
        found = doctor()
        for cause in causes:
            for login in cause.logins:
                assert failed_check(found[login]) == cause.check, found[login]
                assert cause.words in found[login]["reason"], found[login]["reason"]
        assert set(found) == {login for cause in causes for login in cause.logins}
        run_printed(lab, [found[cause.logins[0]]["reason"] for cause in causes if not cause.mends])
    finally:
        for undo in [undo for cause in causes for undo in (cause.mends, cause.cleans) if undo]:
            undo(lab)
    assert doctor() == {}


def test_a_database_that_does_not_exist(lab, doctor, tmp_path):
    inventory = tmp_path / "more.yml"
    inventory.write_text("rds_databases: {hosts: {ghost: {db_users_accounts: [{name: app}], iam_role_users: [app]}}}")
    [standing] = [lab.state / "inventory.yml"]
    found = doctor("-i", str(standing), "-i", str(inventory))
    one = found["client1", "ghost", "app"]
    assert failed_check(one) == "database" and "There is no DB instance ghost" in one["reason"]
    assert {database for _host, database, _user in found} == {"ghost"}


@pytest.fixture
def reader(lab, with_rights):
    """Run the doctor as a user who may do all but some actions."""

    def reader(arguments, *without):
        allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        keys = with_rights(allowed, {"Effect": "Deny", "Action": list(without), "Resource": "*"})
        run = lab.module("localhost", "dbops.rds_iam.rds_iam_doctor", {**arguments, "fail": False}, **keys)
        assert run.status == 0, run.output
        return json.loads(run.output.split("=>", 1)[1])["logins"]

    return reader


def test_rights_that_are_missing_are_unknown(lab, doctor, reader):
    """Each action that the doctor uses, taken away alone: nothing fails but what has to."""
    put(lab, POLICY, allow(arn(lab, GOOD, "other"), Sid="RdsIamConnect"))
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow(arn(lab, GOOD, "another"))]})
    policy = lab.aws("iam").create_policy(PolicyName="more", PolicyDocument=document)["Policy"]["Arn"]
    lab.aws("iam").attach_role_policy(RoleName=ROLE, PolicyArn=policy)
    arguments = doctor.arguments()
    for action in ("iam:SimulatePrincipalPolicy", "rds:DescribeOrderableDBInstanceOptions", "rds:DescribeDBClusters"):
        assert failed_check(reader(arguments, action)[0]) == "permission"
    for action, name in RIGHTS.items():
        one = reader(arguments, action, "iam:SimulatePrincipalPolicy")[0]
        found = check(one, name)
        assert found["status"] == "unknown" and action in found["message"], one
        assert failed_check(one) in (None, "permission"), one
        assert one["status"] != "passed" and (failed_check(one) or action in one["reason"]), one
    lab.aws("iam").detach_role_policy(RoleName=ROLE, PolicyArn=policy)
    lab.aws("iam").delete_policy(PolicyArn=policy)
    lab.good("site.yml")


def test_what_rds_has_logged_is_matched_to_the_login(lab, doctor, reader):
    """It says what nobody else may tell, and makes no check fail by itself."""
    exports = {"EnableLogTypes": ["iam-db-auth-error"]}
    rds = lab.aws("rds")
    rds.modify_db_instance(DBInstanceIdentifier="orders", CloudwatchLogsExportConfiguration=exports)
    put(lab, POLICY, allow(arn(lab, GOOD, "other"), Sid="RdsIamConnect"))
    with lab.calls() as calls:
        found = doctor()
    assert [call["action"] for call in calls].count("FilterLogEvents") == 1
    for client in lab.clients.values():
        one = found[client["name"], "orders", "app"]
        assert failed_check(one) == "permission" and check(one, "log")["status"] == "passed"
        said = check(one, "log")["message"]
        assert said.count("NotAuthorized at") == 1 and f"assumed-role/{ROLE}/{client['instance_id']}'" in said
        assert check(found[client["name"], "billing", "app"], "log") is None

    arguments = doctor.arguments()
    one = reader(arguments, "iam:*")[0]
    assert one["status"] == "unknown" and "iam:GetInstanceProfile" in one["reason"]
    assert "; the log iam-db-auth-error of orders says NotAuthorized" in one["reason"]
    one = reader(arguments, "logs:FilterLogEvents")[0]
    assert failed_check(one) == "permission" and "logs:FilterLogEvents" in check(one, "log")["message"]
    exports = {"DisableLogTypes": ["iam-db-auth-error"]}
    rds.modify_db_instance(DBInstanceIdentifier="orders", CloudwatchLogsExportConfiguration=exports)
    lab.good("site.yml")
