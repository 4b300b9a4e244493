# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask for what AWS asks for besides the action that is called: the permissions that go with it, and on a resource.

ministack asks for the one action, and does not know the resource of some, which only a policy for "*" would then allow.
"""

from __future__ import annotations

import functools

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ec2, iam

PROFILE = "instance-profile"


def apply() -> None:
    iam_actions.extract_resource_arn = functools.partial(_resource, iam_actions.extract_resource_arn)
    for service, actions, names in (
        ("iam", iam._IAM_HANDLERS, ("CreateRole", "CreateInstanceProfile", "AddRoleToInstanceProfile")),
        ("ec2", ec2._ACTION_MAP, ("AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation")),
    ):
        for name in names:
            actions[name] = functools.partial(_with_permissions, actions[name], service)


def _resource(original, service, method, path, headers, body, params, region, account):  # noqa: PLR0913, PLR0917 - ministack's
    """Return the resource for which the caller needs the permission."""
    value = functools.partial(iam_actions._query_param, params)
    if service == "iam" and value("InstanceProfileName"):
        return _arn(PROFILE, value("InstanceProfileName"))
    if service == "iam" and value("PolicySourceArn"):
        return value("PolicySourceArn")
    if service == "rds" and value("ResourceName"):
        return value("ResourceName")
    association = service == "ec2" and ec2._iam_instance_profile_associations.get(value("AssociationId"))
    if association:
        return f"arn:aws:ec2:{region}:{account}:instance/{association['InstanceId']}"
    resource = original(service, method, path, headers, body, params, region, account)
    kind = {"DescribeDBInstances": "db", "DescribeDBClusters": "cluster"}.get(value("Action"))
    return f"arn:aws:rds:{region}:{account}:{kind}:*" if service == "rds" and kind and resource == "*" else resource


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{get_account_id()}:{kind}/{name}"


def _with_permissions(original, service, params):
    """Do the action if its caller also has the permissions that go with it."""
    key = iam_evaluator._verified_key.get()
    for action, resource in _permissions(params):
        denied = iam_evaluator.enforce(key, action, "iam", get_region(), resource_arn=resource)
        if denied:
            return iam_actions.access_denied_response(service, action, denied.principal_arn, new_uuid())
    return original(params)


def _permissions(params) -> list[tuple[str, str]]:
    """Return action and resource of the permissions: with tags to tag, with an instance profile to pass its role on."""
    role, profile = iam._p(params, "RoleName"), iam._p(params, "InstanceProfileName")
    if any(name.startswith("Tags.") for name in params):
        return [("iam:TagRole", _arn("role", role)) if role else ("iam:TagInstanceProfile", _arn(PROFILE, profile))]
    if role and profile:
        return [("iam:PassRole", _arn("role", role))]
    attached = iam._instance_profiles.get(iam._p(params, "IamInstanceProfile.Name")) or {"Roles": []}
    return [("iam:PassRole", _arn("role", name)) for name in attached["Roles"]]
