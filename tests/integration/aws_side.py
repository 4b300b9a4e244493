# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The AWS side of the lab in the process of a test, and what a test says to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.auth
import pytest
import trustme
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from driver import free_port

AWS_DIRECTORY = Path(__file__).parents[1] / "lab" / "aws"
REGION = "eu-west-1"
ACCOUNT = "123456789012"
ADMIN = Credentials("AKIAIOSFODNN7EXAMPLE", "lab-admin-secret-of-the-test")
DOMAIN = f"c0ffee000001.{REGION}.rds.amazonaws.com"
HOSTS = {name: f"{name}.{DOMAIN}" for name in ("orders", "sales")}
BUNDLE = "truststore/global/global-bundle.pem"
ADDRESSES = {"orders": "127.0.0.31", "sales": "127.0.0.32"}
# The endpoints of a cluster, which are also those of its members.
LEDGER = {
    "127.0.0.41": f"ledger.cluster-{DOMAIN}",
    "127.0.0.42": f"ledger.cluster-ro-{DOMAIN}",
    "127.0.0.43": f"ledger-1.{DOMAIN}",
    "127.0.0.44": f"ledger-2.{DOMAIN}",
}
EC2_TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
SESSION = boto3.Session()  # one for all: each new one reads the API models again
ACCOUNT_TRUST = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}


def database(name: str, engine: str, version: str, addresses: dict[str, str], **more) -> dict:
    return {
        "identifier": name,
        "port": 3306,
        "master_username": "admin",
        "master_password": f"master-of-{name}",
        "managed_secret": name in ("orders", "ledger"),
        "instance_class": "db.t4g.micro",
        "engine": engine,
        "engine_version": version,
        "addresses": addresses,
        "kind": "instance",
        "endpoint": next(iter(addresses.values())),
        "reader_endpoint": None,
        "members": [],
        **more,
    }


def databases() -> list[dict]:
    orders, sales = ({ADDRESSES[name]: HOSTS[name]} for name in ("orders", "sales"))
    _writer, reader, *endpoints = LEDGER.values()
    members = [{"identifier": endpoint.partition(".")[0], "endpoint": endpoint} for endpoint in endpoints]
    cluster = {"kind": "cluster", "reader_endpoint": reader, "members": members}
    return [
        database("orders", "mariadb", "10.11.11", orders),
        database("sales", "mysql", "8.4.5", sales),
        database("ledger", "aurora-mysql", "8.0.mysql_aurora.3.08.0", LEDGER, **cluster),
    ]


def make_plan(state: Path) -> dict:
    authority, bundle, server = trustme.CA(), state / BUNDLE, state / "server.pem"
    bundle.parent.mkdir(parents=True)
    authority.cert_pem.write_to_path(bundle)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(server)
    return {
        "region": REGION,
        "account_id": ACCOUNT,
        "admin": {"access_key_id": ADMIN.access_key, "secret_access_key": ADMIN.secret_key},
        "api": {"host": "127.0.0.1", "port": free_port()},
        "verifier_socket": str(state / "verifier.sock"),
        "api_log": str(state / "api.jsonl"),
        "ready_file": str(state / "ready"),
        "truststore": {
            "host": "127.0.0.1",
            "port": free_port(),
            "certificate": str(server),
            "key": str(server),
            "root": str(state / "truststore"),
        },
        "repository": {"host": "127.0.0.1", "port": free_port(), "root": str(state / "truststore")},
        "databases": databases(),
        "clients": [{"name": name, "imds": {"host": "127.0.0.1", "port": free_port()}} for name in ("web1", "web2")],
    }


class Lab:
    """The AWS side, in this process, so that a test can also set what no API call can."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.plan = make_plan(state)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def start(self) -> None:
        import lab

        self.side = lab.AwsSide(self.plan, self.state)
        self.run(self.side.start())
        self.seed = json.loads((self.state / "seed.json").read_text())
        for name in HOSTS:
            self.client("rds").modify_db_instance(
                DBInstanceIdentifier=name,
                EnableIAMDatabaseAuthentication=True,
                ApplyImmediately=True,
            )
        self.wait_flag("sales", True)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.plan['api']['port']}"

    def client(self, service: str, credentials: Credentials = ADMIN):
        return SESSION.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def database(self, name: str) -> dict:
        return self.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]

    def cluster(self, name: str) -> dict:
        return self.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def wait_flag(self, name: str, enabled: bool) -> dict:
        """The instance once nothing of it is being modified."""
        return self._wait(self.database, "DBInstanceStatus", name, enabled)

    def wait_flag_of_cluster(self, name: str, enabled: bool) -> dict:
        return self._wait(self.cluster, "Status", name, enabled)

    def _wait(self, describe, status: str, name: str, enabled: bool) -> dict:
        for _attempt in range(400):
            record = describe(name)
            if record["IAMDatabaseAuthenticationEnabled"] is enabled and record[status] == "available":
                return record
            time.sleep(0.05)
        raise AssertionError(f"the flag of {name} does not become {enabled}")

    def arn(self, name: str = "orders", user: str = "app") -> str:
        return f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{self.seed['databases'][name]['resource_id']}/{user}"

    def raw(self, request: bytes) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(self.plan["verifier_socket"])
            connection.sendall(request)
            return connection.makefile().readline().rstrip("\n")

    def login(self, token: str, user: str = "app", **fields: str) -> tuple[str, dict]:
        """Ask as the plugin does; return the answer's reason ("ok" if let in) and the entry in the verifier's log."""
        fields = {
            "tls": "1",
            "flavor": "mariadb",
            "user": user,
            "host": "web1",
            "as": "RDS",
            "local": f"{ADDRESSES['orders']} 3306",
            "peer": "127.0.0.21 40000",
            "token": token,
            **fields,
        }
        lines = "".join(f"{key} {value.encode().hex()}\n" for key, value in fields.items())
        answer = self.raw(f"AWSAUTH/1\n{lines}\n".encode())
        entry = json.loads((self.state / "verifier.jsonl").read_text().splitlines()[-1])
        if answer.startswith("OK "):
            assert entry["outcome"] == "ok" and entry["principal"] == answer[3:]
            return "ok", entry
        assert entry["outcome"] == "refused" and entry["reason"] == re.match(r"NO (\w+)", answer)[1]
        return entry["reason"], entry

    def user(self, name: str, *statements: dict, **create) -> Credentials:
        """A user with an inline policy (none without statements) and an access key."""
        iam = self.client("iam")
        iam.create_user(UserName=name, **create)
        self.put_policy(name, *statements)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def put_policy(self, user: str, *statements: dict) -> None:
        if statements:
            self.client("iam").put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document(*statements))

    def role(self, name: str, *statements: dict, trust: dict | None = None, **create) -> str:
        iam, trust = self.client("iam"), document(trust or ACCOUNT_TRUST)
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **create)["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
        return arn

    def delete_role(self, name: str) -> None:
        iam = self.client("iam")
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)

    @contextlib.contextmanager
    def organization(self, *statements: dict):
        """Have the account in an organization whose root has a service control policy of these statements."""
        from ministack.services import organizations

        client = self.client("organizations")
        try:
            (root,) = client.list_roots()["Roots"]
            more = {"Name": "guardrail", "Description": "", "Type": "SERVICE_CONTROL_POLICY"}
            policy = client.create_policy(Content=document(*statements), **more)["Policy"]["PolicySummary"]
            client.attach_policy(PolicyId=policy["Id"], TargetId=root["Id"])
            yield
        finally:
            organizations.reset()

    def session(self, arn: str, **options) -> Credentials:
        keys = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="test", **options)["Credentials"]
        return Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    def calls(self) -> list[dict]:
        return [json.loads(line) for line in (self.state / "api.jsonl").read_text().splitlines()]

    def imds(self, path: str, method: str = "GET", client: int = 0, **headers: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.plan['clients'][client]['imds']['port']}{path}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=5) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def metadata(self, path: str, client: int = 0) -> tuple[int, str]:
        token = self.imds("/latest/api/token", "PUT", client, X_aws_ec2_metadata_token_ttl_seconds="60")[1]
        return self.imds(path, client=client, X_aws_ec2_metadata_token=token)


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(resource="*", action="rds-db:connect", **more) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(resource="*", action="rds-db:connect", **more) -> dict:
    return {**allow(resource, action), "Effect": "Deny", **more}


def boto_token(
    credentials: Credentials, host: str = HOSTS["orders"], port: int = 3306, user: str = "app", region: str = REGION
) -> str:
    """The token as users make it."""
    client = SESSION.client(
        "rds",
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
    )
    return client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)


def signed(
    credentials: Credentials, expires: int = 900, service: str = "rds-db", path: str = "/", **params: str
) -> str:
    """A correctly signed token with something that generate_db_auth_token would not put there."""
    params = {"Action": "connect", "DBUser": "app", **params}
    request = AWSRequest("GET", f"https://{HOSTS['orders']}:3306{path}", params=params)
    botocore.auth.SigV4QueryAuth(credentials, service, REGION, expires=expires).add_auth(request)
    return request.prepare().url.removeprefix("https://")


def when(operator: str, key: str, value) -> dict:
    return {"Condition": {operator: {key: value}}}


def failure(call, *args, **kwargs) -> str:
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    return caught.value.response["Error"]["Code"]
