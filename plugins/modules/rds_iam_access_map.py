#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_access_map
short_description: Map who can log in to which database as which user with IAM
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Reads all databases of an account and region, all IAM roles and users with their policies, and the EC2 instances,
    and returns which of them may log in where, with every check of such a login.
  - Marks statements that allow more than a list of users on databases, permissions that point at nothing, database
    users that nobody may log in as, and database users that still have passwords.
  - The playbook C(dbops.rds_iam.report) reads the users of the databases, and writes the map as a page and as JSON.
  - It changes nothing, and says what it could not see.
options:
  databases:
    description:
      - What is known of databases besides what RDS says. Others are on the map without their users.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name for the database on the map. By default its identifier.
        type: str
      db_instance_identifier:
        description: The DB instance, by its identifier.
        type: str
      db_cluster_identifier:
        description: The DB cluster, by its identifier.
        type: str
      users:
        description: The database users, as M(dbops.rds_iam.rds_iam_db_user_info) returns them.
        type: list
        elements: dict
      not_collected_reason:
        description: Why there are no O(databases[].users).
        type: str
        default: nobody has read them
  inventory_only:
    description: Whether the map is about O(databases) alone, and not about all of the region.
    type: bool
    default: false
notes:
  - The permissions are judged by the documents of the policies and of permissions boundaries. Policies of the
    organization, of sessions and of resources are not seen.
  - What cannot be known is V(unknown), with what is missing, such as the value of a condition key, or whether an EC2
    instance in another Region has a role. A login that is V(closed) has a check that certainly fails.
  - The AWS actions needed are C(rds:DescribeDBInstances) and C(rds:DescribeDBClusters). With
    C(iam:GetAccountAuthorizationDetails), C(iam:ListAccessKeys), C(iam:GetLoginProfile) and C(ec2:DescribeInstances)
    the map is complete.
  - It costs as many AWS calls as there are pages, that is about one for each hundred databases, roles or users, and
    for each thousand EC2 instances; and one or two for each IAM user that some policy lets connect.
extends_documentation_fragment:
  - dbops.rds_iam.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_db_user_info
  - module: dbops.rds_iam.rds_iam_doctor
"""

EXAMPLES = r"""
- name: Map who can log in where
  dbops.rds_iam.rds_iam_access_map:
    region: eu-west-1
  register: access

- name: Show what is wrong with it
  ansible.builtin.debug:
    msg: "{{ access.map.findings | map(attribute='message') }}"
"""

RETURN = r"""
map:
  description: >-
    The map, as C(docs/access-map.schema.json) in this collection describes it in full.
  returned: success
  type: dict
  contains:
    version:
      description: The version of the schema.
      returned: always
      type: int
      sample: 1
    generated_at:
      description: When the map was made, in UTC.
      returned: always
      type: str
      sample: "2026-11-25T09:00:00Z"
    account_id:
      description: The AWS account; empty where it has no database.
      returned: always
      type: str
      sample: "123456789012"
    region:
      description: The region.
      returned: always
      type: str
      sample: eu-west-1
    databases:
      description: The databases by name, each with its flag, its engine, its certificate authority and its users.
      returned: always
      type: list
      elements: dict
      sample: [{"name": "orders", "engine": "mysql", "iam_auth": "on", "users": []}]
    principals:
      description: The IAM roles and users that some statement lets connect, and the EC2 instances that have the roles.
      returned: always
      type: list
      elements: dict
      sample: [{"kind": "role", "name": "app-rds", "instances": []}]
    grants:
      description: >-
        Which of them may connect as which user of which database, with every check, and together V(open),
        V(closed) or V(unknown).
      returned: always
      type: list
      elements: dict
      sample: [{"principal": "arn:aws:iam::123456789012:role/app-rds", "database": "orders", "user": "app",
        "state": "open"}]
    findings:
      description: >-
        What to look at, the worst first. The severity is V(risk) where more is allowed than needed, V(error) where
        something cannot work, and V(note).
      returned: always
      type: list
      elements: dict
      sample: [{"kind": "iam_auth_off", "severity": "error", "subject": "orders"}]
    not_collected:
      description: What could not be collected, and why.
      returned: always
      type: list
      elements: str
      sample: []
    limits:
      description: What the map does not see whatever it may read.
      returned: always
      type: list
      elements: str
      sample: ["Federated users of sts:GetFederationToken, whose session policies are in no list."]
    totals:
      description: How many there are of what.
      returned: always
      type: dict
      sample: {"databases": 2, "open": 4}
"""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map import databases, reader, report
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import rds
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

if TYPE_CHECKING:
    from botocore.client import BaseClient


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    client, unread = connect(module, "rds"), []
    records = rds.describe_all(client)

    def read(read_all: Callable[[BaseClient], list[Any]], service: str) -> list[Any] | None:
        """Return what AWS answers, or None and a sentence in C(unread)."""
        try:
            return read_all(connect(module, service))
        except RdsIamError as exc:
            unread.append(str(exc))
            return None

    principals = read(reader.read_principals, "iam")
    if principals is not None:
        principals = reader.read_credentials(connect(module, "iam"), principals)
    instances = read(reader.read_instances, "ec2")
    region_databases, missing_databases = databases.match_databases(records, module.params["databases"])
    map_databases = region_databases
    if module.params["inventory_only"]:
        map_databases = [database for database in region_databases if database.is_requested]
    result = {
        "version": 1,
        "generated_at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": client.meta.region_name,
        **report.build_report(map_databases, region_databases, principals, instances, unread + missing_databases),
    }
    return {"changed": False, "map": result}


def main() -> None:
    database = {
        "name": {"type": "str"},
        "db_instance_identifier": {"type": "str"},
        "db_cluster_identifier": {"type": "str"},
        "users": {"type": "list", "elements": "dict"},
        "not_collected_reason": {"type": "str", "default": "nobody has read them"},
    }
    module = AnsibleAWSModule(
        argument_spec={
            "databases": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": database,
                "mutually_exclusive": [("db_instance_identifier", "db_cluster_identifier")],
                "required_one_of": [("db_instance_identifier", "db_cluster_identifier")],
            },
            "inventory_only": {"type": "bool", "default": False},
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
