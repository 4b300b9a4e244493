#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_role_info
short_description: Read an IAM role, its instance profile, an inline policy, and what EC2 instances carry
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Returns what M(dbops.rds_iam.rds_iam_role) manages, as it is now. What does not exist is returned as null.
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
  instance_ids:
    description:
      - The ids of EC2 instances, to return which instance profile each of them has.
    type: list
    elements: str
    default: []
notes:
  - It costs three AWS calls, and one more for each 200 EC2 instances.
  - The AWS actions needed are C(iam:GetRole), C(iam:GetInstanceProfile), C(iam:GetRolePolicy), and for instances
    C(ec2:DescribeInstances).
extends_documentation_fragment:
  - dbops.rds_iam.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_role
  - module: amazon.aws.iam_role_info
  - module: amazon.aws.iam_policy_info
  - module: dbops.rds_iam.ec2_role_attachment
"""

EXAMPLES = r"""
- name: Read the role of the EC2 hosts
  dbops.rds_iam.rds_iam_role_info:
    role_name: app-rds
    instance_profile_name: app-rds
    policy_name: rds-iam-connect
    region: eu-west-1
  register: iam

- name: Show what it may log in as
  ansible.builtin.debug:
    msg: "{{ iam.policy.document.Statement | map(attribute='Resource') | flatten }}"
  when: iam.policy is not none
"""

RETURN = r"""
role:
  description: The IAM role; null if there is none of this name.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: success
      type: str
      sample: app-rds
    arn:
      description: Its ARN.
      returned: success
      type: str
      sample: arn:aws:iam::123456789012:role/app-rds
    path:
      description: Its path.
      returned: success
      type: str
      sample: /
    trust_policy:
      description: Who may assume it.
      returned: success
      type: dict
      sample: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole"}]}
    permissions_boundary:
      description: The ARN of its permissions boundary; empty if it has none.
      returned: success
      type: str
      sample: ""
    tags:
      description: Its tags.
      returned: success
      type: dict
      sample: {"ManagedBy": "dbops.rds_iam"}
    managed_by:
      description: The value of its tag C(ManagedBy), V(dbops.rds_iam) where this collection created it; null without
        that tag.
      returned: success
      type: str
      sample: dbops.rds_iam
instance_profile:
  description: The instance profile; null if there is none of this name.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: success
      type: str
      sample: app-rds
    arn:
      description: Its ARN.
      returned: success
      type: str
      sample: arn:aws:iam::123456789012:instance-profile/app-rds
    path:
      description: Its path.
      returned: success
      type: str
      sample: /
    role_name:
      description: The name of the IAM role in it; empty if there is none.
      returned: success
      type: str
      sample: app-rds
    tags:
      description: Its tags.
      returned: success
      type: dict
      sample: {"ManagedBy": "dbops.rds_iam"}
    managed_by:
      description: The value of its tag C(ManagedBy), V(dbops.rds_iam) where this collection created it; null without
        that tag.
      returned: success
      type: str
      sample: dbops.rds_iam
policy:
  description: The inline policy; null if the role has none of this name.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      returned: success
      type: str
      sample: rds-iam-connect
    document:
      description: Its document.
      returned: success
      type: dict
      sample: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": [
        "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app"]}]}
instances:
  description: Those of the EC2 instances that exist.
  returned: success
  type: list
  elements: dict
  contains:
    instance_id:
      description: Its id.
      returned: success
      type: str
      sample: i-0123456789abcdef0
    state:
      description: Its state.
      returned: success
      type: str
      sample: running
    instance_profile_name:
      description: The name of the instance profile that is attached to it; null for none.
      returned: success
      type: str
      sample: app-rds
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import ec2
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import role_reader


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    client = connect(module, "iam")
    role, policy = module.params["role_name"], module.params["policy_name"]
    result = {
        "changed": False,
        "role": role_reader.read_role(client, role),
        "instance_profile": role_reader.read_instance_profile(client, module.params["instance_profile_name"] or role),
    }
    document = role_reader.read_policy(client, role, policy)
    return {
        **result,
        "policy": document and {"name": policy, "document": document},
        "instances": read_instances(module, list(dict.fromkeys(module.params["instance_ids"]))),
    }


def read_instances(module: AnsibleAWSModule, instance_ids: list[str]) -> list[dict[str, str | None]]:
    if not instance_ids:
        return []
    return [
        {
            "instance_id": instance.instance_id,
            "state": instance.state,
            "instance_profile_name": instance.profile,
        }
        for instance in ec2.read(connect(module, "ec2"), instance_ids).values()
    ]


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "role_name": {"type": "str", "required": True},
            "instance_profile_name": {"type": "str"},
            "policy_name": {"type": "str", "default": "rds-iam-connect"},
            "instance_ids": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
