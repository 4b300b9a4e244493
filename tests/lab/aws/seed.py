# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists in the account at the start. Made in the process, so that the API log holds only the calls of others."""

from __future__ import annotations

import json

from ministack.core.responses import request_scope
from ministack.services import ec2, iam, rds, secretsmanager

ADMIN = "lab-admin"
ALLOW_ALL = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
})


def create(plan: dict) -> dict:
    """Create the operator, the databases (IAM authentication off) and one instance per client (no profile)."""
    with request_scope(plan["account_id"], plan["region"]):
        _admin(**plan["admin"])
        return {
            "databases": {item["identifier"]: _database(item) for item in plan["databases"]},
            "clients": {item["name"]: _instance(item["name"]) for item in plan["clients"]},
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


def _database(item: dict) -> dict:
    params = {
        "DBInstanceIdentifier": item["identifier"],
        "Engine": item["engine"],
        "EngineVersion": item["engine_version"],
        "DBInstanceClass": item["instance_class"],
        "AllocatedStorage": "20",
        "Port": str(item["port"]),
        "MasterUsername": item["master_username"],
    }
    if item["managed_secret"]:
        params["ManageMasterUserPassword"] = "true"
    else:
        params["MasterUserPassword"] = item["master_password"]
    _call(rds._ACTION_MAP, "CreateDBInstance", **params)
    record = rds._instances[item["identifier"]]
    record["Endpoint"].update({"Address": item["endpoint"], "Port": item["port"]})
    arn = (record.get("MasterUserSecret") or {}).get("SecretArn")
    if arn:
        value = json.dumps({"username": item["master_username"], "password": item["master_password"]})
        secretsmanager.put_secret_value_in_process(arn, value)
    return {"resource_id": record["DbiResourceId"], "master_user_secret_arn": arn}


def _instance(name: str) -> str:
    before = set(ec2._instances)
    ec2._ensure_defaults_initialized()
    _call(ec2._ACTION_MAP, "RunInstances", **{
        "ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro", "MinCount": "1", "MaxCount": "1",
        "TagSpecification.1.ResourceType": "instance",
        "TagSpecification.1.Tag.1.Key": "Name", "TagSpecification.1.Tag.1.Value": name,
    })
    return (set(ec2._instances) - before).pop()
