# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make what exists in the account at the start, in the process, so that the API log holds only the calls of others."""

from __future__ import annotations

import json

from ministack.core.responses import request_scope
from ministack.services import ec2, iam, rds, secretsmanager

ADMIN = "lab-admin"
ALLOW_ALL = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)


def create(plan: dict) -> dict:
    """Create the operator, the databases (IAM authentication off) and one instance per client (no profile)."""
    with request_scope(plan["account_id"], plan["region"]):
        _admin(**plan["admin"])
        return {
            "databases": {item["identifier"]: KINDS[item["kind"]](item) for item in plan["databases"]},
            "clients": {item["name"]: _host(item["name"]) for item in plan["clients"]},
        }


def _call(handlers: dict, action: str, **params: str) -> None:
    answer = handlers[action]({name: [value] for name, value in params.items()})
    if answer[0] >= 300:
        raise RuntimeError(f"{action} was refused: {answer[2].decode()}")


def _admin(access_key_id: str, secret_access_key: str) -> None:
    """An IAM user rather than ministack's root key: of a root key ministack never checks the signature."""
    _call(iam._IAM_HANDLERS, "CreateUser", UserName=ADMIN)
    _call(iam._IAM_HANDLERS, "PutUserPolicy", UserName=ADMIN, PolicyName="everything", PolicyDocument=ALLOW_ALL)
    iam._access_keys[access_key_id] = {
        "UserName": ADMIN,
        "AccessKeyId": access_key_id,
        "SecretAccessKey": secret_access_key,
        "Status": "Active",
        "CreateDate": iam._now(),
    }


def _instance(item: dict) -> dict:
    _call(
        rds._ACTION_MAP,
        "CreateDBInstance",
        DBInstanceIdentifier=item["identifier"],
        DBInstanceClass=item["instance_class"],
        AllocatedStorage="20",
        **_common(item),
    )
    record = rds._instances[item["identifier"]]
    record["Endpoint"].update({"Address": item["endpoint"], "Port": item["port"]})
    return {"resource_id": record["DbiResourceId"], "master_user_secret_arn": _secret(record, item)}


def _cluster(item: dict) -> dict:
    """A cluster and its members, of which the first is the writer."""
    identifier = item["identifier"]
    _call(rds._ACTION_MAP, "CreateDBCluster", DBClusterIdentifier=identifier, **_common(item))
    record = rds._clusters[identifier]
    # From these ministack makes the endpoints, again and again.
    record["_shared_endpoint"] = {"Address": item["endpoint"], "Port": item["port"]}
    record["_shared_reader_alias"] = item["reader_endpoint"]
    for member in item["members"]:
        _call(
            rds._ACTION_MAP,
            "CreateDBInstance",
            DBInstanceIdentifier=member["identifier"],
            DBClusterIdentifier=identifier,
            DBInstanceClass=item["instance_class"],
            Engine=item["engine"],
        )
        rds._instances[member["identifier"]]["Endpoint"]["Address"] = member["endpoint"]
    return {"resource_id": record["DbClusterResourceId"], "master_user_secret_arn": _secret(record, item)}


KINDS = {"instance": _instance, "cluster": _cluster}


def _common(item: dict) -> dict:
    managed = item["managed_secret"]
    return {
        "Engine": item["engine"],
        "EngineVersion": item["engine_version"],
        "Port": str(item["port"]),
        "MasterUsername": item["master_username"],
        **({"ManageMasterUserPassword": "true"} if managed else {"MasterUserPassword": item["master_password"]}),
    }


def _secret(record: dict, item: dict) -> str | None:
    """Have the password of the real server in the secret that RDS manages. Returns its ARN, if there is one."""
    arn = (record.get("MasterUserSecret") or {}).get("SecretArn")
    if arn:
        value = json.dumps({"username": item["master_username"], "password": item["master_password"]})
        secretsmanager.put_secret_value_in_process(arn, value)
    return arn


def _host(name: str) -> str:
    before = set(ec2._instances)
    ec2._ensure_defaults_initialized()
    _call(
        ec2._ACTION_MAP,
        "RunInstances",
        **{
            "ImageId": "ami-0123456789abcdef0",
            "InstanceType": "t3.micro",
            "MinCount": "1",
            "MaxCount": "1",
            "TagSpecification.1.ResourceType": "instance",
            "TagSpecification.1.Tag.1.Key": "Name",
            "TagSpecification.1.Tag.1.Value": name,
        },
    )
    return (set(ec2._instances) - before).pop()
