#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_role
short_description: Manage the IAM role, instance profile and policy with which EC2 instances log in to databases
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Creates an IAM role that EC2 may assume, an instance profile that holds it, and an inline policy that allows
    C(rds-db:connect) as the given users to the given databases; or removes them.
  - What the module creates bears the tag C(ManagedBy=dbops.rds_iam). A role or an instance profile without this tag is
    used as it is and never changed or deleted.
  - An inline policy is that of the module if it has the statement C(RdsIamConnect) in the form that the module writes.
    Another policy of the same name is never changed or deleted. Other statements in the policy stay as they are.
  - Of the policy only the resources of the given databases change. Those of other databases, in other accounts, Regions
    and inventories, stay, unless O(policy_purge) is V(true).
  - Everything that stands against a change is reported before anything is changed.
options:
  role_name:
    description:
      - The name of the IAM role, without its path.
    type: str
    required: true
  instance_profile_name:
    description:
      - The name of the instance profile, without its path; by default that of the role.
    type: str
  policy_name:
    description:
      - The name of the inline policy of the role.
    type: str
    default: rds-iam-connect
  parts:
    description:
      - The parts to manage. V(role) is the role and its instance profile, V(policy) the inline policy.
    type: list
    elements: str
    choices: [role, policy]
    default: [role, policy]
  databases:
    description:
      - The records of the databases, as M(dbops.rds_iam.rds_iam_auth_info) returns them, each with a list C(users) of
        the database users that the role may log in as. With an empty list it may log in as none.
      - Required to write the policy.
      - With O(state=absent) the databases that are given up. Where the role was created by somebody else, or an EC2
        instance keeps it, the policy loses only these, unless O(policy_purge) is V(true).
    type: list
    elements: dict
    default: []
  policy_purge:
    description:
      - Whether the policy loses all resources that are of none of O(databases).
    type: bool
    default: false
  path:
    description:
      - The path of the role and of the instance profile. It is used when they are created.
    type: str
    default: /
  permissions_boundary:
    description:
      - The ARN of the managed policy that is to be the permissions boundary of the role. If it is empty, a new role
        gets none, and one that exists keeps its boundary.
    type: str
    default: ""
  state:
    description:
      - V(present) creates and repairs.
      - V(absent) removes what the module created and nobody else uses. The policy, the instance profile and the role
        stay as long as an EC2 instance in any enabled Region uses them, except those in O(instance_ids) for the policy,
        and those in O(detached_instance_ids) for the others. They also stay if a Region cannot be seen.
    type: str
    choices: [present, absent]
    default: present
  instance_ids:
    description:
      - With O(state=absent) the ids of the EC2 instances that are to lose the policy.
    type: list
    elements: str
    default: []
  detached_instance_ids:
    description:
      - With O(state=absent) the ids of the EC2 instances from which the instance profile has been taken already. In
        check mode they still have it.
    type: list
    elements: str
    default: []
notes:
  - If nothing is to be changed, it costs three AWS calls, two of them for the part V(role), two for the part V(policy).
  - "The AWS actions needed are C(iam:GetRole), C(iam:GetInstanceProfile) and C(iam:GetRolePolicy); to create
    C(iam:CreateRole), C(iam:TagRole), C(iam:CreateInstanceProfile), C(iam:TagInstanceProfile),
    C(iam:AddRoleToInstanceProfile) and C(iam:PassRole); to repair C(iam:UpdateAssumeRolePolicy) and
    C(iam:PutRolePermissionsBoundary); for the policy C(iam:ListRolePolicies), C(iam:PutRolePolicy), and
    C(iam:DeleteRolePolicy) where nothing is left in it; to remove C(iam:ListRolePolicies),
    C(iam:ListAttachedRolePolicies), C(iam:ListInstanceProfilesForRole), C(ec2:DescribeRegions),
    C(ec2:DescribeInstances), C(iam:DeleteRolePolicy), C(iam:PutRolePolicy) where others have added a statement,
    C(iam:RemoveRoleFromInstanceProfile), C(iam:DeleteInstanceProfile) and C(iam:DeleteRole)."
attributes:
  check_mode:
    support: full
    description: Reads, and says what would change; refuses what it would refuse otherwise. Nothing need exist yet.
  diff_mode:
    support: full
    description: Shows the role, the instance profile and the policy before and after.
  idempotent:
    support: full
    description: What is there already is left alone.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_role_info
  - module: dbops.rds_iam.ec2_role_attachment
  - plugin: dbops.rds_iam.connect_policy
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the database
  dbops.rds_iam.rds_iam_auth_info:
    db_instance_identifier: orders
    region: eu-west-1
  register: rds

- name: Let EC2 instances log in to it as app
  dbops.rds_iam.rds_iam_role:
    role_name: app-rds
    databases: "{{ rds.databases | map('combine', {'users': ['app']}) }}"
    region: eu-west-1

- name: Take databases out of the policy that are gone
  dbops.rds_iam.rds_iam_role:
    role_name: app-rds
    parts: [policy]
    databases: "{{ rds.databases | map('combine', {'users': ['app']}) }}"
    policy_purge: true
    region: eu-west-1

- name: Remove it all where nobody else uses it
  dbops.rds_iam.rds_iam_role:
    role_name: app-rds
    state: absent
    instance_ids: "{{ groups['rds_clients'] | map('extract', hostvars, 'instance_id') }}"
    region: eu-west-1
"""

RETURN = r"""
changed_parts:
  description: The parts that have changed, or would in check mode.
  returned: success, and where something stands against the change
  type: list
  elements: str
  sample: [policy]
outcomes:
  description: What became of the role, the instance profile and the policy, as far as they belong to O(parts).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(role), V(instance_profile) or V(policy).
      returned: always
      type: str
      sample: policy
    name:
      description: The name of the thing.
      returned: always
      type: str
      sample: rds-iam-connect
    outcome:
      description: V(created), V(changed), V(unchanged), V(removed), V(stays) or V(missing), or in check mode what it
        would be. V(stays) is what O(state=absent) leaves, V(missing) what was not there.
      returned: always
      type: str
      sample: stays
    reason:
      description: Why it stays; null if there is no more to say.
      returned: always
      type: str
      sample: "EC2 instances outside this run use it: i-0123456789abcdef0 (us-east-1)"
notes:
  description: Sentences on what stays, and on resources of the policy that are of none of the databases.
  returned: success
  type: list
  elements: str
  sample: ["The role app-rds stays, since it is also used by backup."]
refusals:
  description: What stands against the change, a sentence by part.
  returned: where something stands against the change
  type: dict
  sample: {"role": "The instance profile app already holds the role web, and a profile holds only one; set ..."}
role:
  description: The IAM role after the task, as M(dbops.rds_iam.rds_iam_role_info) returns it; null if there is none. Its
    ARN is null if it was created, or would be.
  returned: success
  type: dict
instance_profile:
  description: The instance profile after the task, in the same way.
  returned: success
  type: dict
policy:
  description: The document of the inline policy after the task; null if there is none.
  returned: success
  type: dict
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import (
    role_plan,
    role_reader,
    role_removal,
    role_state,
    role_writer,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import Request, State

if TYPE_CHECKING:
    from botocore.client import BaseClient


def make_request(params: Mapping[str, Any]) -> Request:
    return Request(
        role_name=params["role_name"],
        instance_profile_name=params["instance_profile_name"] or params["role_name"],
        policy_name=params["policy_name"],
        parts=frozenset(params["parts"]),
        path=params["path"],
        permissions_boundary=params["permissions_boundary"],
        databases=params["databases"],
        policy_purge=params["policy_purge"],
        instance_ids=frozenset(params["instance_ids"]),
        detached_ids=frozenset(params["detached_instance_ids"]),
    )


def make_plan(module: AnsibleAWSModule, client: BaseClient, request: Request, state: State) -> role_plan.Plan:
    if module.params["state"] == "absent":
        usage = role_state.Usage()
        if role_removal.needs_usage(request, state):
            usage = role_reader.read_usage(client, lambda region: connect_ec2(module, region), request, state)
        return role_removal.plan_absent(request, state, usage)
    plan = role_plan.plan_present(request, state)
    if role_plan.needs_other_policies(plan, state):
        plan = role_plan.plan_present(request, state, role_reader.read_other_policies(client, request))
    return plan


def connect_ec2(module: AnsibleAWSModule, region: str | None) -> BaseClient:
    """Return a client for EC2; that of another Region gives up sooner, since not every network reaches all Regions."""
    return connect(module, "ec2", region, tries=8 if region is None else 3)


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    client, request = connect(module, "iam"), make_request(module.params)
    state = role_reader.read_state(client, request)
    plan = make_plan(module, client, request, state)
    if plan.refusals:
        changed_parts = [part for part in plan.changed_parts if part not in plan.refusals]
        message = " ".join(plan.refusals.values())
        module.fail_json(msg=message, refusals=plan.refusals, changed_parts=changed_parts)
    if not module.check_mode:
        role_writer.apply(client, request, plan)
    return {
        "changed": bool(plan.changed_parts),
        "changed_parts": plan.changed_parts,
        "outcomes": [outcome.to_dict() for outcome in plan.outcomes],
        "notes": plan.notes,
        **dataclasses.asdict(plan.after),
        "diff": {"before": dataclasses.asdict(state), "after": dataclasses.asdict(plan.after)},
    }


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "role_name": {"type": "str", "required": True},
            "instance_profile_name": {"type": "str"},
            "policy_name": {"type": "str", "default": "rds-iam-connect"},
            "parts": {
                "type": "list",
                "elements": "str",
                "choices": ["role", "policy"],
                "default": ["role", "policy"],
            },
            "databases": {"type": "list", "elements": "dict", "default": []},
            "policy_purge": {"type": "bool", "default": False},
            "path": {"type": "str", "default": "/"},
            "permissions_boundary": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "instance_ids": {"type": "list", "elements": "str", "default": []},
            "detached_instance_ids": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc), changed=exc.changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
