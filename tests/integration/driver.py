# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drive playbooks, and look at their hosts and databases, inside a lab."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import boto3
import certificates
import pymysql
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)
POLICIES = ROOT / "docs" / "policies"
READS = ("Describe", "Filter", "Get", "List", "Simulate")


def state_of_the_lab() -> Path:
    """Return the state directory of the lab inside which these tests run."""
    state = os.environ.get("LAB_STATE")
    if not state:
        pytest.fail("These tests run inside a lab; start them with: make integration")
    return Path(state)


def run(*command, **options) -> str:
    """Return what a command prints; it must succeed. A tool is the one beside this Python."""
    process = subprocess.run(
        [BIN / command[0], *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def build(place: Path) -> Path:
    """Make the archive of the collection there, and return its path."""
    return Path(run(ROOT / "tests/tools/build", place).splitlines()[-1])


def install(archive: Path, place: Path) -> None:
    # By force, since the environment of the tests has it, as a link to the checkout; and the other collections.
    options = ("--force", "--no-deps", "--offline", "--collections-path")
    run("ansible-galaxy", "collection", "install", archive, *options, place)


def writes_a_bundle_of_another_region() -> str:
    """Return a command that puts a bundle of RDS into the file {bundle}, with an authority that has signed nothing."""
    key = ec.generate_private_key(ec.SECP384R1())
    authority = certificates.make_authority("Amazon RDS us-east-1 Root CA ECC384 G1", key)
    return f"echo {base64.b64encode(authority.pem).decode()} | base64 -d > {{bundle}}"


@dataclass
class Run:
    """A finished ansible-playbook."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        return {host: int(changed) for host, _ok, changed, _unreachable, _failed in RECAP.findall(self.output)}

    @property
    def failures(self) -> list[str]:
        """The messages of the tasks that failed, and of each item of a loop."""
        results = re.finditer(r"(?:FAILED! =>|failed: .* \(item=\S+\) =>) (?={)", self.output)
        return [json.JSONDecoder().raw_decode(self.output, result.end())[0]["msg"] for result in results]

    @property
    def failed(self) -> set[str]:
        recap = RECAP.findall(self.output)
        return {host for host, _ok, _changed, unreachable, failed in recap if int(unreachable) or int(failed)}


def good(run: Run) -> int:
    """Count the changes of a run, which must succeed."""
    assert run.status == 0, run.output
    return sum(run.changed.values())


def teardown_table(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    """Return outcome and reason by what it is and whose, from the table at the end of a teardown."""
    [text] = re.findall(r'"msg": (\[\s+"resource .*?\n\s*\])', run.output, re.S)
    head, *lines = json.loads(text)
    starts = [head.index(word) for word in ("resource", "of", "outcome", "reason")]
    cells = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None])] for line in lines]
    return {(kind, name): (outcome, reason) for kind, name, outcome, reason in cells}


def include(role: str, **variables) -> dict:
    """A task that runs a role of the collection."""
    return {"ansible.builtin.include_role": {"name": f"dbops.rds_iam.{role}"}, "vars": variables}


def policy(playbook: str, *without: str) -> dict:
    """The policy of a playbook, for the role of the lab, without some of its actions."""
    document = json.loads((POLICIES / f"{playbook}.json").read_text().replace("app-rds", "rds-iam-lab"))
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [action for action in actions if action not in without]
    document["Statement"] = [statement for statement in document["Statement"] if statement["Action"]]
    return document


def actions(playbook: str) -> list[str]:
    return sorted(action for statement in policy(playbook)["Statement"] for action in statement["Action"])


def counted(calls: list[dict]) -> Counter:
    return Counter(f"{call['service']}:{call['action']}" for call in calls)


class Lab:
    def __init__(self, state: Path):
        self.state = state
        self.info = json.loads((state / "lab.json").read_text())
        self.databases = {database["identifier"]: database for database in self.info["databases"]}
        self.clients = {client["name"]: client for client in self.info["clients"]}

    def aws(self, service: str):
        return boto3.client(service)

    def playbook(self, playbook: str, *arguments: str, **environment: str) -> Run:
        is_own = playbook.endswith(".yml") and "/" not in playbook
        path = str(ROOT / "playbooks" / playbook) if is_own else playbook
        process = subprocess.run(
            [BIN / "ansible-playbook", path, *arguments],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", **environment},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return Run(process.returncode, process.stdout)

    def good(self, playbook: str, *arguments: str, **environment: str) -> Run:
        run = self.playbook(playbook, *arguments, **environment)
        assert run.status == 0, run.output
        return run

    def module(self, host: str, module: str, arguments: dict, *options: str, **environment: str) -> Run:
        """One module on one host, as ansible prints it."""
        command = [BIN / "ansible", host, "-m", module, "-a", json.dumps(arguments), *options]
        process = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1", **environment},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return Run(process.returncode, process.stdout)

    def result(self, host: str, module: str, arguments: dict) -> dict:
        run = self.module(host, f"dbops.rds_iam.{module}", arguments)
        assert run.status == 0, run.output
        return json.loads(run.output.split("=>", 1)[1])

    def variable(self, client: str, name: str, default: str) -> str:
        """A path on a client: what the lab's inventory says, or the default of the role."""
        command = [BIN / "ansible-inventory", "--host", client]
        process = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
        return json.loads(process.stdout).get(name, default)

    def bundle(self, client: str) -> str:
        return self.variable(client, "ca_bundle_path", "/etc/ssl/rds/global-bundle.pem")

    def wrapper(self, client: str) -> str:
        return self.variable(client, "connect_wrapper_path", "/usr/local/bin/rds-mysql")

    @property
    def sudo(self) -> str:
        return "" if self.clients["client1"]["user"] == "root" else "sudo "

    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    quote = staticmethod(shlex.quote)

    @staticmethod
    def until(condition, timeout: float = 30) -> None:
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "timed out"
            time.sleep(0.2)

    def ssh(self, client: str, command: str, **options) -> subprocess.CompletedProcess:
        host = self.clients[client]
        ssh = [
            "ssh",
            "-o",
            f"UserKnownHostsFile={self.state}/known_hosts",
            "-o",
            "BatchMode=yes",
            "-i",
            host["key_file"],
        ]
        address = ["-p", str(host["port"]), f"{host['user']}@{host['host']}"]
        return subprocess.run([*ssh, *address, command], text=True, capture_output=True, check=False, **options)

    @contextlib.contextmanager
    def calls(self):
        """The AWS calls that are made inside the block, as a list that is filled at its end."""
        log, calls = self.state / "api.jsonl", []
        start = log.stat().st_size if log.exists() else 0
        yield calls
        with log.open() as stream:
            stream.seek(start)
            calls += [json.loads(line) for line in stream]

    @contextlib.contextmanager
    def decisions(self):
        """The decisions on tokens that databases got inside the block, as a list that is filled at its end."""
        log, decisions = self.state / "verifier.jsonl", []
        start = log.stat().st_size if log.exists() else 0
        yield decisions
        with log.open() as stream:
            stream.seek(start)
            decisions += [json.loads(line) for line in stream]

    @contextlib.contextmanager
    def with_rights(self, name: str):
        """For an IAM user of this name: gives it exactly these statements as rights, and returns its environment."""
        iam = self.aws("iam")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]

        def with_rights(*statements: dict) -> dict[str, str]:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=document)
            return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

        yield with_rights
        iam.delete_user_policy(UserName=name, PolicyName="rights")
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)

    @staticmethod
    def changing(calls: list[dict]) -> list[str]:
        return [f"{call['service']}:{call['action']}" for call in calls if not call["action"].startswith(READS)]

    def flag(self, identifier: str) -> bool:
        """Tell whether IAM authentication of an instance is in effect."""
        [instance] = self.aws("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        return instance["IAMDatabaseAuthenticationEnabled"]

    def set_flag(self, identifier: str, enabled: bool) -> None:
        self.aws("rds").modify_db_instance(
            DBInstanceIdentifier=identifier, EnableIAMDatabaseAuthentication=enabled, ApplyImmediately=True
        )
        self.until(lambda: self.flag(identifier) == enabled)

    def mark(self, arn: str, value: str | None = "dbops.rds_iam") -> None:
        """Set the tag ManagedBy of a database, or take it away."""
        rds = self.aws("rds")
        if value is None:
            rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["ManagedBy"])
        else:
            rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "ManagedBy", "Value": value}])

    def marks(self) -> dict[str, str]:
        """The tag ManagedBy of each database that has it, by its identifier."""
        rds, marks = self.aws("rds"), {}
        for kind, databases in (
            ("DBInstance", rds.describe_db_instances()["DBInstances"]),
            ("DBCluster", rds.describe_db_clusters()["DBClusters"]),
        ):
            for database in databases:
                tags = {tag["Key"]: tag["Value"] for tag in database["TagList"]}
                marks[database[f"{kind}Identifier"]] = tags.get("ManagedBy")
        return {name: mark for name, mark in marks.items() if mark is not None}

    def reset(self) -> None:
        """Detach the instance profiles of all clients, and leave no mark on a database and no flag on an instance."""
        clusters = self.clusters()
        for name in self.databases:
            self.mark(self.arn(name, clusters), None)
            if name not in clusters:
                self.set_flag(name, False)
        self.detach(*self.clients)

    def arn(self, identifier: str, clusters: set[str] | None = None) -> str:
        """The ARN of a DB instance, or of a cluster."""
        kind = "cluster" if identifier in (self.clusters() if clusters is None else clusters) else "db"
        return f"arn:aws:rds:{self.info['region']}:{self.info['account_id']}:{kind}:{identifier}"

    def clusters(self) -> set[str]:
        clusters = self.aws("rds").describe_db_clusters()["DBClusters"]
        return {cluster["DBClusterIdentifier"] for cluster in clusters}

    def associations(self, *clients: str) -> list[dict]:
        """The associations of clients with instance profiles."""
        filters = [{"Name": "instance-id", "Values": [self.clients[name]["instance_id"] for name in clients]}]
        answer = self.aws("ec2").describe_iam_instance_profile_associations(Filters=filters)
        return answer["IamInstanceProfileAssociations"]

    def attach(self, client: str, profile: str) -> None:
        """Attach an instance profile to a client, and wait until EC2 shows it there."""
        instance_id = self.clients[client]["instance_id"]
        self.aws("ec2").associate_iam_instance_profile(IamInstanceProfile={"Name": profile}, InstanceId=instance_id)
        self.until(lambda: self.profile_of(instance_id) == profile)

    def detach(self, *clients: str) -> None:
        """Take their instance profiles from clients, where they have any, and wait until EC2 shows none there."""
        for association in self.associations(*clients):
            if association["State"] != "disassociating":
                self.aws("ec2").disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
        self.until(lambda: not self.associations(*clients))

    def profile_of(self, instance_id: str, region: str | None = None) -> str | None:
        """The name of the instance profile that EC2 shows on an instance."""
        ec2 = boto3.client("ec2", region_name=region)
        [reservation] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        [instance] = reservation["Instances"]
        return instance.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2] or None

    def delete_role(self, name: str) -> None:
        """A role with its inline policies and its instance profile, or what there is of them."""
        iam = self.aws("iam")
        for profile in iam.list_instance_profiles()["InstanceProfiles"]:
            if profile["InstanceProfileName"] == name:
                for role in profile["Roles"]:
                    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
                iam.delete_instance_profile(InstanceProfileName=name)
        if name in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy)
            iam.delete_role(RoleName=name)

    def sql(self, identifier: str, statement: str) -> list[tuple]:
        """A statement of the master user, over a connection of the driver's own."""
        database = self.databases[identifier]
        context = ssl.create_default_context(cafile=self.info["ca_file"])
        with (
            pymysql.connect(
                host=database["endpoint"],
                port=database["port"],
                user=database["master_username"],
                password=database["master_password"],
                ssl=context,
                autocommit=True,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall())

    def accounts(self, identifier: str) -> set[tuple]:
        columns = "user, host, plugin, authentication_string, ssl_type"
        return set(self.sql(identifier, f"SELECT {columns} FROM mysql.user WHERE user <> 'admin'"))
