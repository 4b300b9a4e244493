#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_doctor
short_description: Find the one broken link of an IAM login, and what repairs it
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - RDS answers a failed IAM login with C(Access denied), whatever the cause. This module walks the chain from the host
    to the database user in the order in which it holds, and says of every link whether it is ok, broken, or unknown,
    with the right or the reach that is missing to tell.
  - For each login it returns one sentence with the first broken link, and the task or variable of this collection that
    repairs it.
  - It runs on the controller, and reads RDS, EC2 and IAM there, each thing once, and nothing for logins that went as
    expected and were signed by the principal that they are to prove. What the host knows comes from
    M(dbops.rds_iam.rds_iam_ping), what the database knows from M(dbops.rds_iam.rds_iam_db_user) in check mode. The
    playbook C(dbops.rds_iam.doctor) puts all of it together.
options:
  logins:
    description: The logins, in the order in which they are reported.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: The name of one of O(hosts).
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
      result:
        description: What M(dbops.rds_iam.rds_iam_ping) returned for it in RV(dbops.rds_iam.rds_iam_ping#module:logins).
          Left out if there was no login.
        type: dict
      error:
        description: Why there was no login.
        type: str
        default: ""
      account:
        description: What M(dbops.rds_iam.rds_iam_db_user) returned for the account alone in check mode. Left out where
          there is no master login.
        type: dict
  hosts:
    description: The hosts.
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
      info:
        description: What M(dbops.rds_iam.rds_iam_ping) returned in RV(dbops.rds_iam.rds_iam_ping#module:host). Left
          out if the host cannot be reached.
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
    description: Whether the module fails if a link is broken, or a login that did not go as expected is not explained.
    type: bool
    default: true
notes:
  - The AWS actions that help are C(rds:DescribeDBInstances), C(rds:DescribeDBClusters),
    C(rds:DescribeOrderableDBInstanceOptions), C(ec2:DescribeInstances), C(iam:GetInstanceProfile), C(iam:GetRole),
    C(iam:ListRolePolicies), C(iam:GetRolePolicy), C(iam:ListAttachedRolePolicies), C(iam:GetPolicy),
    C(iam:GetPolicyVersion) and C(iam:SimulatePrincipalPolicy), and C(logs:FilterLogEvents) for databases that export
    their log C(iam-db-auth-error) to CloudWatch Logs. What may not be read is reported as unknown.
attributes:
  check_mode:
    support: full
    description: Changes nothing in either mode.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
extends_documentation_fragment:
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
      - host: app1
        database: orders
        user: app
    hosts:
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
    host:
      description: The host.
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
    state:
      description: V(ok), V(broken), or V(unknown) where nothing broken was found and not all could be seen.
      returned: always
      type: str
      sample: broken
    reason:
      description: The first broken link and what repairs it, or what could not be seen; empty for V(ok).
      returned: always
      type: str
      sample: >-
        IAM database authentication of the DB instance orders is off; to repair it, let the role dbops.rds_iam.iam_auth
        switch it on (dbops.rds_iam.site --tags step1)
    links:
      description: The chain, in the order in which it holds.
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description: >-
            V(database), V(flag), V(name), V(port), V(tls), V(certificate), V(clock), V(profile), V(credentials),
            V(permission), V(account), V(token), V(client), V(log) or V(login). V(log) is there only where the database
            exports its log C(iam-db-auth-error), and is never V(broken), since it is no part of the way.
          returned: always
          type: str
          sample: flag
        state:
          description: V(ok), V(broken) or V(unknown).
          returned: always
          type: str
          sample: broken
        text:
          description: What was found.
          returned: always
          type: str
          sample: IAM database authentication of the DB instance orders is off
        repair:
          description: What repairs it; empty for a link that is not broken.
          returned: always
          type: str
          sample: let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1)
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import OK
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.collector import (
    EvidenceCollector,
    LoginOption,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.diagnosis import conclude, diagnose
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def index_by_name(items: list[dict[str, Any]], kind: str, logins: list[LoginOption]) -> dict[str, Any]:
    """Return the items of an option by name. Raises RdsIamError for a login whose host or database is not among them.

    kind: host or database
    """
    index = {item["name"]: item for item in items}
    for login in logins:
        name = login["host"] if kind == "host" else login["database"]
        if name not in index:
            raise RdsIamError(f"A login names the {kind} {name}, which is not given; add it to {kind}s.")
    return index


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    logins: list[LoginOption] = module.params["logins"]
    hosts = index_by_name(module.params["hosts"], "host", logins)
    databases = index_by_name(module.params["databases"], "database", logins)
    collector = EvidenceCollector(module, hosts, databases, logins)
    return {"changed": False, "logins": [diagnose_login(login, collector) for login in logins]}


def diagnose_login(login: LoginOption, collector: EvidenceCollector) -> dict[str, Any]:
    checks = diagnose(collector.collect(login))
    state, reason = conclude(checks)
    return {
        "host": login["host"],
        "database": login["database"],
        "user": login["user"],
        "state": state,
        "reason": reason,
        "links": [check.to_dict() for check in checks],
    }


LOGIN = {
    "host": {"type": "str", "required": True},
    "database": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "expect": {"type": "str", "choices": ["allowed", "denied"], "default": "allowed"},
    "result": {"type": "dict"},
    "error": {"type": "str", "default": ""},
    "account": {"type": "dict"},
}


def main() -> None:
    host = {"name": {"type": "str", "required": True}, "instance_id": {"type": "str"}, "info": {"type": "dict"}}
    database = {
        "name": {"type": "str", "required": True},
        "db_instance_identifier": {"type": "str"},
        "db_cluster_identifier": {"type": "str"},
    }
    module = AnsibleAWSModule(
        argument_spec={
            "logins": {"type": "list", "elements": "dict", "required": True, "options": LOGIN},
            "hosts": {"type": "list", "elements": "dict", "required": True, "options": host},
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
        result = run(module)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    sentences = [
        f"{login['user']} on {login['database']} from {login['host']}: {login['reason']}."
        for login in result["logins"]
        if login["state"] != OK
    ]
    if sentences and module.params["fail"]:
        module.fail_json(msg=" ".join(sentences), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
