#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_doctor
short_description: Find the failed check of an IAM login, and its remedy
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - RDS answers a failed IAM login with C(Access denied), whatever the cause. This module checks what a login
    needs, from the database to the answer of the server, and says of every check whether it passed, failed, or is
    unknown, with the permission or the reach that is missing to tell.
  - For each login it returns one sentence with the first failed check, and the task or variable of this collection
    that is the remedy.
  - It runs on the controller, and reads RDS, EC2 and IAM there, each thing once, and nothing for logins that went as
    expected and were signed by the principal that they are to prove. What the client knows comes from
    M(dbops.rds_iam.rds_iam_ping), what the database knows from M(dbops.rds_iam.rds_iam_db_user) in check mode. The
    playbook C(dbops.rds_iam.doctor) puts all of it together.
options:
  logins:
    description: The logins, in the order in which they are reported.
    type: list
    elements: dict
    required: true
    suboptions:
      client:
        description: The name of one of O(clients).
        type: str
        required: true
      database:
        description: The name of one of O(databases).
        type: str
        required: true
      user:
        description: The database user.
        type: str
        required: true
      expect:
        description: Whether the login should be V(allowed) or V(denied).
        type: str
        choices: [allowed, denied]
        default: allowed
      login_result:
        description: What M(dbops.rds_iam.rds_iam_ping) returned for it in RV(dbops.rds_iam.rds_iam_ping#module:logins).
          Left out if there was no login.
        type: dict
      error:
        description: Why there was no login.
        type: str
        default: ""
      user_plan:
        description: What M(dbops.rds_iam.rds_iam_db_user) returned for the database user alone in check mode. Left out
          where there is no master login.
        type: dict
  clients:
    description: The clients, hosts that log in.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: How O(logins) call it.
        type: str
        required: true
      instance_id:
        description: The EC2 instance.
        type: str
      host_facts:
        description: What M(dbops.rds_iam.rds_iam_ping) returned in RV(dbops.rds_iam.rds_iam_ping#module:host). Left
          out if the client cannot be reached.
        type: dict
  databases:
    description: The databases.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: How O(logins) call it.
        type: str
        required: true
      db_instance_identifier:
        description: The DB instance, by its identifier.
        type: str
      db_cluster_identifier:
        description: The DB cluster, by its identifier.
        type: str
  fail:
    description: Whether the module fails if a check failed, or a login that did not go as expected is not explained.
    type: bool
    default: true
notes:
  - The AWS actions that help are C(rds:DescribeDBInstances), C(rds:DescribeDBClusters),
    C(rds:DescribeOrderableDBInstanceOptions), C(ec2:DescribeInstances), C(iam:GetInstanceProfile), C(iam:GetRole),
    C(iam:ListRolePolicies), C(iam:GetRolePolicy), C(iam:ListAttachedRolePolicies), C(iam:GetPolicy),
    C(iam:GetPolicyVersion) and C(iam:SimulatePrincipalPolicy), and C(logs:FilterLogEvents) for databases that export
    their log C(iam-db-auth-error) to CloudWatch Logs. What may not be read is reported as unknown.
extends_documentation_fragment:
  - dbops.rds_iam.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_ping
  - module: dbops.rds_iam.rds_iam_db_user
"""

EXAMPLES = r"""
- name: Find out why app cannot log in
  dbops.rds_iam.rds_iam_doctor:
    logins:
      - client: app1
        database: orders
        user: app
    clients:
      - name: app1
        instance_id: i-0123456789abcdef0
    databases:
      - name: orders
        db_instance_identifier: orders
    fail: false
"""

RETURN = r"""
logins:
  description: The logins in the order given.
  returned: always, unless the input is wrong
  type: list
  elements: dict
  contains:
    client:
      description: The client.
      returned: always
      type: str
      sample: app1
    database:
      description: The database.
      returned: always
      type: str
      sample: orders
    user:
      description: The database user.
      returned: always
      type: str
      sample: app
    status:
      description: V(passed), V(failed), or V(unknown) where no check failed and not all could be made.
      returned: always
      type: str
      sample: failed
    reason:
      description: The first failed check and its remedy, or what could not be seen; empty for V(passed).
      returned: always
      type: str
      sample: >-
        IAM database authentication of the DB instance orders is off; to repair it, let the role dbops.rds_iam.iam_auth
        switch it on (dbops.rds_iam.site --tags step1)
    checks:
      description: The checks, in the order in which a login needs them.
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description: >-
            V(database), V(iam_auth), V(name), V(port), V(tls), V(certificate), V(clock), V(profile), V(credentials),
            V(permission), V(database_user), V(token), V(client_program), V(log) or V(login). V(log) is there only where
            the database exports its log C(iam-db-auth-error), and is never V(failed), since it is no part of the way.
          returned: always
          type: str
          sample: iam_auth
        status:
          description: V(passed), V(failed) or V(unknown).
          returned: always
          type: str
          sample: failed
        message:
          description: What was found.
          returned: always
          type: str
          sample: IAM database authentication of the DB instance orders is off
        remedy:
          description: What to do; empty for a check that has not failed.
          returned: always
          type: str
          sample: let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1)
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.report import diagnose_logins, explain_failures
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

LOGIN = {
    "client": {"type": "str", "required": True},
    "database": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "expect": {"type": "str", "choices": ["allowed", "denied"], "default": "allowed"},
    "login_result": {"type": "dict"},
    "error": {"type": "str", "default": ""},
    "user_plan": {"type": "dict"},
}


def main() -> None:
    client = {"name": {"type": "str", "required": True}, "instance_id": {"type": "str"}, "host_facts": {"type": "dict"}}
    database = {
        "name": {"type": "str", "required": True},
        "db_instance_identifier": {"type": "str"},
        "db_cluster_identifier": {"type": "str"},
    }
    module = AnsibleAWSModule(
        argument_spec={
            "logins": {"type": "list", "elements": "dict", "required": True, "options": LOGIN},
            "clients": {"type": "list", "elements": "dict", "required": True, "options": client},
            "databases": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": database,
                "mutually_exclusive": [("db_instance_identifier", "db_cluster_identifier")],
                "required_one_of": [("db_instance_identifier", "db_cluster_identifier")],
            },
            "fail": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        logins = diagnose_logins(module)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    failures = explain_failures(logins)
    if failures and module.params["fail"]:
        module.fail_json(msg=failures, changed=False, logins=logins)
    module.exit_json(changed=False, logins=logins)


if __name__ == "__main__":
    main()
