# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance profiles on EC2 instances, with the states that AWS shows, and filters that filter.

As recorded by cloud-custodian (tests/data/placebo/test_ec2_set_instance_profile_*): Associate and Replace answer
"associating", Replace with a new association id; Disassociate answers "disassociating", and so does the next
Describe. terraform-provider-aws waits up to two minutes until DescribeInstances shows the change
(waitInstanceIAMInstanceProfileUpdated). Until then the instance shows the profile that it had.
"""

from __future__ import annotations

import functools
import os
import secrets
import threading

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ec2

# How long a change takes: as long as it does, DescribeInstances shows what was before.
ATTACH_SECONDS = float(os.environ.get("LAB_ATTACH_SECONDS", "1"))
ASSOCIATABLE = ("running", "stopped")
STOPPED = ("stopping", "stopped")

_lock = threading.RLock()


def apply() -> None:
    actions = ec2._ACTION_MAP
    actions["AssociateIamInstanceProfile"] = _associate
    actions["DisassociateIamInstanceProfile"] = _disassociate
    actions["ReplaceIamInstanceProfileAssociation"] = _replace
    # ministack's own would take an instance whose association is ending for one that has lost it.
    ec2._sync_iam_instance_profile_associations = _synchronize
    ec2._matches_filters = functools.partial(_matches, ec2._matches_filters)
    actions["DescribeInstances"] = functools.partial(_describe_instances, actions["DescribeInstances"])


def _association_of(instance_id: str) -> dict | None:
    """Return the association of an instance that has not ended."""
    associations = ec2._iam_instance_profile_associations.values()
    return next((item for item in associations if item["InstanceId"] == instance_id), None)


def _synchronize() -> None:
    """Forget the associations of instances that are gone, and have one for a profile that came with the launch."""
    with _lock:
        associations = ec2._iam_instance_profile_associations
        for key, association in list(associations.items()):
            instance = ec2._instances.get(association["InstanceId"])
            if not instance or instance["State"]["Name"] == "terminated":
                del associations[key]
        for instance in list(ec2._instances.values()):
            live = instance["State"]["Name"] != "terminated"
            if live and instance.get("IamInstanceProfile") and not _association_of(instance["InstanceId"]):
                _record(instance, instance["IamInstanceProfile"], "associated")


def _associate(params):
    instance_id = ec2._p(params, "InstanceId")
    instance = ec2._instances.get(instance_id)
    if not instance:
        return ec2._error("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist", 400)
    profile, refusal = _profile(params)
    if refusal:
        return refusal
    if instance["State"]["Name"] not in ASSOCIATABLE:
        text = f"The instance '{instance_id}' is not in the 'running' or 'stopped' states."
        return ec2._error("IncorrectInstanceState", text, 400)
    with _lock:
        _synchronize()
        if _association_of(instance_id):
            text = f"There is an existing association for instance {instance_id}"
            return ec2._error("IncorrectState", text, 400)
        association = _record(instance, profile, "associating")
        _later(_complete, association)
        return _answer("Associate", association)


def _profile(params):
    profile, refusal = ec2._resolve_iam_instance_profile(
        iam_arn=ec2._p(params, "IamInstanceProfile.Arn"), iam_name=ec2._p(params, "IamInstanceProfile.Name")
    )
    if not profile and not refusal:
        refusal = ec2._error("MissingParameter", "IamInstanceProfile is required", 400)
    return profile, refusal


def _record(instance: dict, profile: dict, state: str) -> dict:
    association = {
        "AssociationId": f"iip-assoc-{secrets.token_hex(9)[:17]}",
        "InstanceId": instance["InstanceId"],
        "IamInstanceProfile": dict(profile),
        "State": state,
        "Timestamp": ec2._now_ts(),
    }
    ec2._iam_instance_profile_associations[association["AssociationId"]] = association
    return association


def _complete(association: dict) -> None:
    instance = ec2._instances.get(association["InstanceId"])
    if association["State"] == "associating" and instance:
        association["State"] = "associated"
        instance["IamInstanceProfile"] = dict(association["IamInstanceProfile"])


def _disassociate(params):
    with _lock:
        association, refusal = _find_association(params)
        if refusal:
            return refusal
        if association["State"] != "disassociating":
            association["State"] = "disassociating"
            _later(_end, association)
        return _answer("Disassociate", association)


def _end(association: dict) -> None:
    ec2._iam_instance_profile_associations.pop(association["AssociationId"], None)
    instance = ec2._instances.get(association["InstanceId"])
    if instance:
        instance["IamInstanceProfile"] = None


def _replace(params):
    with _lock:
        association, refusal = _find_association(params)
        profile, invalid = _profile(params)
        if refusal or invalid:
            return refusal or invalid
        instance = ec2._instances[association["InstanceId"]]
        # Seen on AWS for stopped instances, with this text: aws/aws-cli#5251.
        if instance["State"]["Name"] in STOPPED or association["State"] == "disassociating":
            text = f"The association {association['AssociationId']} is not the active association"
            return ec2._error("IncorrectState", text, 400)
        del ec2._iam_instance_profile_associations[association["AssociationId"]]
        successor = _record(instance, profile, "associating")
        _later(_complete, successor)
        return _answer("Replace", successor)


def _find_association(params):
    _synchronize()
    name = ec2._p(params, "AssociationId")
    association = ec2._iam_instance_profile_associations.get(name)
    missing = ec2._error("InvalidAssociationID.NotFound", f"An invalid association-id of '{name}' was given", 400)
    return association, None if association else missing


def _answer(action: str, association: dict):
    kind = "IamInstanceProfileAssociation" if action == "Replace" else "IamInstanceProfile"
    body = ec2._iam_instance_profile_association_xml(association, tag="iamInstanceProfileAssociation")
    return ec2._xml(200, f"{action}{kind}Response", body)


def _later(function, association: dict) -> None:
    """Do it when the time is over; without any time at once, for tests that are not about it."""
    account, region = get_account_id(), get_region()

    def run() -> None:
        with request_scope(account, region), _lock:
            function(association)

    if not ATTACH_SECONDS:
        return run()
    timer = threading.Timer(ATTACH_SECONDS, run)
    timer.daemon = True
    timer.start()
    return None


# Filters

FILTERS = {
    "instance-id": lambda instance: instance["InstanceId"],
    "iam-instance-profile.arn": lambda instance: (instance.get("IamInstanceProfile") or {}).get("Arn"),
    "iam-instance-profile.id": lambda instance: (instance.get("IamInstanceProfile") or {}).get("Id"),
}
MINISTACK_FILTERS = ("instance-state-name", "instance-type", "image-id", "tag-key", "tag-value")


def _matches(original, instance: dict, filters: dict) -> bool:
    own_filters = {name: values for name, values in filters.items() if name in FILTERS}
    if not all(FILTERS[name](instance) in values for name, values in own_filters.items()):
        return False
    return original(instance, filters)


def _describe_instances(original, params):
    """Refuse unknown names of filters, as EC2 does."""
    for name in ec2._parse_filters(params):
        if name not in FILTERS and name not in MINISTACK_FILTERS and not name.startswith("tag:"):
            return ec2._error("InvalidParameterValue", f"The filter '{name}' is invalid", 400)
    return original(params)
