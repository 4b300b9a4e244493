# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Correct ministack 1.5 where it differs from AWS in something that this collection relies on, and nowhere else."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import string
import threading
from pathlib import Path
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ec2, iam, rds, secretsmanager

# How long "apply immediately" takes. Long enough that a caller who does not wait sees the old value.
APPLY_SECONDS = float(os.environ.get("LAB_APPLY_SECONDS", "1"))

FLAG = "IAMDatabaseAuthenticationEnabled"
# RDS describes and modifies Neptune's clusters too, and says of all its offers that they support IAM authentication.
IAM_ENGINES = re.compile(r"mysql|mariadb|postgres|aurora-mysql|aurora-postgresql|neptune")
# Orderable, but too small for IAM authentication: stands for the classes where AWS says no.
CLASS_WITHOUT_IAM = "db.t2.micro"
MODIFIABLE = {"available", "modifying", "storage-optimization"}

_lock = threading.RLock()


def apply(trusted_root: Path) -> None:
    """Put the corrections in place. `trusted_root` is the PEM file of the CA that DescribeCertificates reports."""
    # ministack takes the key "test", any account number and its own configured key for the account's root, and does
    # not check their signature. The lab hands out IAM users' and sessions' keys only, so no key is the root's.
    iam_evaluator.is_root_access_key = lambda access_key_id: False
    rds._get_docker = lambda: None
    rds._p = functools.partial(_parameter, rds._p)

    actions = rds._ACTION_MAP
    actions["CreateDBCluster"] = functools.partial(_create_cluster, actions["CreateDBCluster"])
    actions["CreateDBInstance"] = functools.partial(_create_instance, actions["CreateDBInstance"])
    actions["DeleteDBInstance"] = functools.partial(_delete_instance, actions["DeleteDBInstance"])
    actions["ModifyDBInstance"] = functools.partial(_modify_instance, actions["ModifyDBInstance"])
    actions["ModifyDBCluster"] = functools.partial(_modify_cluster, actions["ModifyDBCluster"])
    actions["DescribeOrderableDBInstanceOptions"] = functools.partial(
        _orderable,
        actions["DescribeOrderableDBInstanceOptions"],
    )
    actions["DescribeCertificates"] = functools.partial(_certificates, trusted_root)
    rds._instance_xml = functools.partial(_instance_xml, rds._instance_xml)
    rds._cluster_xml = functools.partial(_cluster_xml, rds._cluster_xml)

    iam._IAM_HANDLERS["GetAccountAuthorizationDetails"] = functools.partial(
        _authorization_details,
        iam._IAM_HANDLERS["GetAccountAuthorizationDetails"],
    )

    ec2._ACTION_MAP["ModifyInstanceMetadataOptions"] = _modify_metadata_options
    ec2._instance_xml = functools.partial(_ec2_instance_xml, ec2._instance_xml)


def _parameter(original, params, key, default=""):
    """Identifiers of databases are not case-sensitive, and RDS keeps them in lower case."""
    value = original(params, key, default)
    return value.lower() if key in ("DBInstanceIdentifier", "DBClusterIdentifier") and value else value


def supports_iam(engine: str, instance_class: str) -> bool:
    return bool(IAM_ENGINES.fullmatch(engine)) and not (
        engine in ("mysql", "mariadb") and instance_class == CLASS_WITHOUT_IAM
    )


# Instances


def _create_instance(original, params):
    """Managed master password, resource ids as long as on AWS, and no IAM flag where there is no support."""
    engine, name = rds._p(params, "Engine"), rds._p(params, "DBInstanceIdentifier")
    if rds._p(params, "EnableIAMDatabaseAuthentication") == "true" and not supports_iam(
        engine, rds._p(params, "DBInstanceClass")
    ):
        return _not_supported()
    managed = rds._p(params, "ManageMasterUserPassword") == "true"
    if managed:
        if rds._p(params, "MasterUserPassword"):
            return rds._error(
                "InvalidParameterCombination",
                "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.",
                400,
            )
        params = {**params, "MasterUserPassword": [rds._generate_master_user_password()]}
    answer = original(params)
    if answer[0] != 200:
        return answer
    instance = rds._instances[name]
    instance["DbiResourceId"] = _resource_id("db-")
    if managed:
        instance["MasterUserSecret"] = _managed_secret(instance, rds._p(params, "MasterUserSecretKmsKeyId"))
    return rds._single_instance_response("CreateDBInstanceResponse", "CreateDBInstanceResult", instance)


def _resource_id(prefix):
    return prefix + "".join(random.choices(string.ascii_uppercase + "234567", k=26))


def _managed_secret(instance, key):
    value = json.dumps({"username": instance["MasterUsername"], "password": instance["_MasterUserPassword"]})
    arn = secretsmanager.create_secret_in_process(
        f"rds!db-{new_uuid()}",
        value,
        description=f"The secret associated with the primary RDS DB instance: {instance['DBInstanceArn']}",
    )
    default_key = f"arn:aws:kms:{get_region()}:{get_account_id()}:key/aws-secretsmanager-default"
    return {"SecretArn": arn, "SecretStatus": "active", "KmsKeyId": key or default_key}


def _delete_instance(original, params):
    instance = rds._resolve_instance(rds._p(params, "DBInstanceIdentifier")) or {}
    answer = original(params)
    if answer[0] == 200 and instance.get("MasterUserSecret"):
        secretsmanager.delete_secret_in_process(instance["MasterUserSecret"]["SecretArn"])
    return answer


def _modify_instance(original, params):
    """Pending values add up; applying at once takes a moment and takes all pending values with it."""
    instance = rds._resolve_instance(rds._p(params, "DBInstanceIdentifier"))
    refusal = instance and _refuse_modify(instance, params)
    if refusal:
        return refusal
    if instance:
        _export_logs(instance, params)
    with _lock:
        before = (instance or {}).get("PendingModifiedValues")
        answer = original({**params, "ApplyImmediately": ["false"]})
        if answer[0] != 200:
            return answer
        added = instance["PendingModifiedValues"]
        pending = {**before, **(added if added is not before else {})}
        # Asking for the value that is in effect cancels the pending one.
        pending = {key: value for key, value in pending.items() if instance.get(key) != value}
        instance["PendingModifiedValues"] = pending
        if pending and rds._p(params, "ApplyImmediately") == "true":
            instance["DBInstanceStatus"] = "modifying"
            _later(_apply, instance, "DBInstanceStatus", dict(pending))
    return rds._single_instance_response("ModifyDBInstanceResponse", "ModifyDBInstanceResult", instance)


def _refuse_modify(instance, params):
    flag = rds._p(params, "EnableIAMDatabaseAuthentication")
    if rds._p(params, "MasterUserPassword"):
        return _password_stays()
    if flag and instance.get("DBClusterIdentifier"):
        return rds._error(
            "InvalidParameterCombination",
            "The specified DB Instance is a member of a cluster. Modify IAM database authentication "
            "for the DB Cluster using the ModifyDbCluster API",
            400,
        )
    if flag == "true" and not supports_iam(instance["Engine"], instance["DBInstanceClass"]):
        return _not_supported()
    if instance["DBInstanceStatus"] not in MODIFIABLE:
        return rds._error(
            "InvalidDBInstanceState",
            f"Database instance {instance['DBInstanceIdentifier']} is not in available state.",
            400,
        )
    return None


def _export_logs(record, params):
    """Set the logs that go to CloudWatch Logs, which is never pending. The lab has the log of refused IAM logins."""
    exports = set(record.get("EnabledCloudwatchLogsExports", ()))
    prefix = "CloudwatchLogsExportConfiguration"
    exports.update(rds._p(params, key) for key in params if key.startswith(f"{prefix}.EnableLogTypes."))
    exports.difference_update(rds._p(params, key) for key in params if key.startswith(f"{prefix}.DisableLogTypes."))
    record["EnabledCloudwatchLogsExports"] = sorted(exports)


def _exports_xml(record):
    members = "".join(f"<member>{escape(name)}</member>" for name in record.get("EnabledCloudwatchLogsExports", ()))
    return f"<EnabledCloudwatchLogsExports>{members}</EnabledCloudwatchLogsExports>"


def _password_stays():
    """Refuse, since ministack would try to change it on the server, as root and without TLS."""
    return rds._error("InvalidParameterCombination", "The lab cannot change the master password of its servers.", 400)


def _not_supported():
    return rds._error(
        "InvalidParameterCombination",
        "IAM Database Authentication is not supported for this configuration.",
        400,
    )


def _later(function, *args):
    timer = threading.Timer(APPLY_SECONDS, function, args)
    timer.daemon = True
    timer.start()


def _apply(record, status_key, values):
    """Put in effect what was pending when the request came, unless it was changed again since then."""
    with _lock:
        pending = dict(record["PendingModifiedValues"])
        for key, value in values.items():
            if pending.get(key) == value:
                record[key] = pending.pop(key)
        record["PendingModifiedValues"] = pending
        if record[status_key] == "modifying":
            record[status_key] = "available"


def _instance_xml(original, instance):
    xml = original(instance).replace("<EnabledCloudwatchLogsExports/>", _exports_xml(instance))
    return xml + _secret_xml(instance.get("MasterUserSecret"))


def _secret_xml(secret):
    if not secret:
        return ""
    members = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in secret.items())
    return f"<MasterUserSecret>{members}</MasterUserSecret>"


# Clusters


def _create_cluster(original, params):
    """A resource id as long as on AWS."""
    answer = original(params)
    if answer[0] != 200:
        return answer
    cluster = rds._clusters[rds._p(params, "DBClusterIdentifier")]
    cluster["DbClusterResourceId"] = _resource_id("cluster-")
    return _cluster_response("CreateDBCluster", cluster)


def _cluster_response(action, cluster):
    body = f"<{action}Result><DBCluster>{rds._cluster_xml(cluster)}</DBCluster></{action}Result>"
    return rds._xml(200, f"{action}Response", body)


def _modify_cluster(original, params):
    """The flag as on instances, but only the values of this request are applied at once."""
    if rds._p(params, "MasterUserPassword") or rds._p(params, "RotateMasterUserPassword") == "true":
        return _password_stays()
    cluster = rds._resolve_cluster_in_request_region(rds._p(params, "DBClusterIdentifier"))
    flag = rds._p(params, "EnableIAMDatabaseAuthentication")
    answer = original({key: value for key, value in params.items() if key != "EnableIAMDatabaseAuthentication"})
    if answer[0] != 200:
        return answer
    _export_logs(cluster, params)
    if not flag:
        return _cluster_response("ModifyDBCluster", cluster)
    with _lock:
        enable = flag == "true"
        if cluster[FLAG] == enable:
            cluster["PendingModifiedValues"] = {}
        else:
            cluster["PendingModifiedValues"] = {FLAG: enable}
            if rds._p(params, "ApplyImmediately") == "true":
                cluster["Status"] = "modifying"
                _later(_apply, cluster, "Status", {FLAG: enable})
    return _cluster_response("ModifyDBCluster", cluster)


def _cluster_xml(original, cluster):
    pending = cluster.get("PendingModifiedValues") or {}
    members = "".join(f"<{key}>{str(value).lower()}</{key}>" for key, value in pending.items())
    pending_xml = f"<PendingModifiedValues>{members}</PendingModifiedValues>" if members else ""
    return original(cluster) + _exports_xml(cluster) + pending_xml


# What AWS offers


def _orderable(original, params):
    """IAM support by engine and class, and an answer for any class, not only for ministack's ten."""
    engine, instance_class = rds._p(params, "Engine"), rds._p(params, "DBInstanceClass")
    is_class = bool(re.fullmatch(r"db\.[a-z0-9-]+\.[a-z0-9]+", instance_class))
    status, headers, body = original({**params, "DBInstanceClass": ["db.t3.micro"]} if is_class else params)
    if is_class:
        body = body.replace(b"<DBInstanceClass>db.t3.micro<", f"<DBInstanceClass>{instance_class}<".encode())
    if not supports_iam(engine, instance_class):
        name = b"SupportsIAMDatabaseAuthentication"
        body = body.replace(b"<%s>true<" % name, b"<%s>false<" % name)
    return status, headers, body


def _certificates(trusted_root, params):
    """The lab has one CA, the first in its trust store; it bears the name of Amazon's default."""
    name = "rds-ca-rsa2048-g1"
    identifier = rds._p(params, "CertificateIdentifier")
    if identifier not in ("", name):
        return rds._error("CertificateNotFound", f"Certificate {escape(identifier)} not found.", 404)
    ca = x509.load_pem_x509_certificates(trusted_root.read_bytes())[0]
    inner = "".join(
        f"<{key}>{value}</{key}>"
        for key, value in {
            "CertificateIdentifier": name,
            "CertificateType": "CA",
            "Thumbprint": ca.fingerprint(hashes.SHA1()).hex(),  # AWS gives the SHA-1 fingerprint too
            "ValidFrom": f"{ca.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
            "ValidTill": f"{ca.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            "CertificateArn": f"arn:aws:rds:{get_region()}::cert:{name}",
            "CustomerOverride": "false",
        }.items()
    )
    return rds._xml(
        200,
        "DescribeCertificatesResponse",
        f"<DescribeCertificatesResult><DefaultCertificateForNewLaunches>{name}</DefaultCertificateForNewLaunches>"
        f"<Certificates><Certificate>{inner}</Certificate></Certificates></DescribeCertificatesResult>",
    )


# IAM


def _authorization_details(original, params):
    """With the permissions boundaries, which ministack leaves out."""
    status, headers, body = original(params)
    for kind, entities in (("Role", iam._roles), ("User", iam._users)):
        for name, entity in entities.items():
            if entity.get("PermissionsBoundary"):
                start = f"<{kind}Name>{name}</{kind}Name>".encode()
                boundary = (
                    "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType>"
                    f"<PermissionsBoundaryArn>{escape(entity['PermissionsBoundary'])}</PermissionsBoundaryArn>"
                    "</PermissionsBoundary>"
                ).encode()
                body = body.replace(start, start + boundary)
    return status, headers, body


# EC2


def metadata_options(instance):
    """The options of an instance; at first those that Amazon Linux 2023 asks for."""
    defaults = {"HttpTokens": "required", "HttpPutResponseHopLimit": "2", "HttpEndpoint": "enabled"}
    return instance.setdefault("MetadataOptions", defaults)


def _modify_metadata_options(params):
    instance = ec2._instances.get(ec2._p(params, "InstanceId"))
    if not instance:
        return ec2._error("InvalidInstanceID.NotFound", "The instance ID does not exist", 400)
    if ec2._p(params, "HttpTokens") == "optional":
        return ec2._error("Unsupported", "The metadata service of the lab is one of version 2 only.", 400)
    options = metadata_options(instance)
    options.update({name: ec2._p(params, name) for name in options if ec2._p(params, name)})
    inner = f"<instanceId>{instance['InstanceId']}</instanceId><instanceMetadataOptions>{_options_xml(options)}"
    return ec2._xml(200, "ModifyInstanceMetadataOptionsResponse", f"{inner}</instanceMetadataOptions>")


def _options_xml(options):
    members = ((name[0].lower() + name[1:], value) for name, value in options.items())
    return "<state>applied</state>" + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members)


def _ec2_instance_xml(original, instance):
    options = f"<metadataOptions>{_options_xml(metadata_options(instance))}</metadataOptions>"
    return original(instance).rpartition("</item>")[0] + options + "</item>"
