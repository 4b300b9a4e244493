#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ec2_role_attachment
short_description: Attach an instance profile, and so a role, to EC2 instances
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Attaches one instance profile to any number of EC2 instances, or detaches it from them.
  - All instances are read in bulk first. If the instance profile is to be attached, and one of them is unknown,
    terminated or has another instance profile, the module says so for all of them together and changes none.
  - A failure that comes later, and concerns one instance alone, does not keep the others from being changed. The
    message says how many were, and another run finishes the rest.
  - EC2 accepts a change at once and makes it within seconds, sometimes two minutes. The module waits until
    DescribeInstances shows the change, and, where an instance profile was detached, until its association is gone.
  - The credentials of the role appear on an instance shortly after; nothing on it needs a restart.
options:
  instance_ids:
    description:
      - The ids of the EC2 instances. With an empty list nothing is done.
    type: list
    elements: str
    required: true
  instance_profile_name:
    description:
      - The name of the instance profile, without its path.
    type: str
    required: true
  state:
    description:
      - V(present) attaches the instance profile.
      - V(absent) detaches it where it is attached, or being attached. Other instance profiles stay as they are, and an
        instance that does not exist is no error.
    type: str
    choices: [present, absent]
    default: present
  replace:
    description:
      - Whether the instance profile may take the place of another one. What runs on the instance then loses the rights
        of the other role.
    type: bool
    default: false
  wait_timeout:
    description:
      - For how many seconds to try again, without getting any further, while EC2 does not see the instance profile or
        its role yet, while instances are starting or stopping, while an association is ending, or while EC2 does not
        show a change that it has accepted. A fresh instance profile takes some seconds, sometimes a minute.
    type: int
    default: 120
notes:
  - Unchanged instances cost one AWS call for each 200 of them, two with O(state=absent). Changed ones cost one call
    each, and for each 200 of them one more where they had an instance profile, and those of the waiting. The instance
    profile of a stopped instance is replaced with two calls.
  - The AWS actions needed are C(ec2:DescribeInstances), to attach C(ec2:AssociateIamInstanceProfile) and
    C(iam:PassRole) for the role, to replace C(ec2:ReplaceIamInstanceProfileAssociation), to detach
    C(ec2:DisassociateIamInstanceProfile), and to replace or detach C(ec2:DescribeIamInstanceProfileAssociations).
attributes:
  check_mode:
    support: full
    description: Reads the instances and says what would change. The instance profile need not exist yet.
  diff_mode:
    support: full
    description: Shows the instance profile of each instance before and after.
  idempotent:
    support: full
    description: An instance that has the instance profile is left alone.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_auth
  - module: amazon.aws.iam_role
  - module: amazon.aws.iam_instance_profile
"""

EXAMPLES = r"""
# instance_id is a host variable of each host in the inventory amazon.aws.aws_ec2.

- name: Attach the role to the instances of two hosts
  dbops.rds_iam.ec2_role_attachment:
    instance_ids:
      - "{{ hostvars.client1.instance_id }}"
      - "{{ hostvars.client2.instance_id }}"
    instance_profile_name: rds-iam
    region: eu-west-1

- name: Attach it to all instances of a group, with one task for all of them
  dbops.rds_iam.ec2_role_attachment:
    instance_ids: "{{ groups['rds_clients'] | map('extract', hostvars, 'instance_id') }}"
    instance_profile_name: rds-iam
    region: eu-west-1
  run_once: true
  delegate_to: localhost

- name: Detach it again
  dbops.rds_iam.ec2_role_attachment:
    instance_ids: "{{ groups['rds_clients'] | map('extract', hostvars, 'instance_id') }}"
    instance_profile_name: rds-iam
    region: eu-west-1
    state: absent
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
instances:
  description: The instances in the order given, each once.
  returned: success, and where something stands against the change, or some of the changes failed
  type: list
  elements: dict
  contains:
    instance_id:
      description: The id of the instance.
      returned: always
      type: str
      sample: i-0123456789abcdef0
    state:
      description: The state of the instance when it was read; null where there is no such instance.
      returned: always
      type: str
      sample: running
    before:
      description: The name of the instance profile that was attached; null for none.
      returned: always
      type: str
      sample: null
    after:
      description: The name of the instance profile that is attached now, or would be in check mode; null for none.
      returned: always
      type: str
      sample: rds-iam
    changed:
      description: Whether the two differ.
      returned: always
      type: bool
      sample: true
    error:
      description: Why the instance was not changed; null if it was, or was as it should be.
      returned: where some of the changes failed
      type: str
      sample: it was not tried
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.instance_profile_plan import RefusedError
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.instance_profile_writer import (
    IncompleteError,
    set_profiles,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "instance_ids": {"type": "list", "elements": "str", "required": True},
            "instance_profile_name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "replace": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    try:
        result = set_profiles(connect(module, "ec2"), module.params, module.check_mode)
    except (RefusedError, IncompleteError) as exc:
        module.fail_json(msg=str(exc), changed=exc.changed, instances=exc.instances)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
