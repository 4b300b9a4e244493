#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_auth_info
short_description: Read what IAM logins to RDS and Aurora databases need
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Returns, for one database or for all databases of a region, whether IAM database authentication is in effect, what
    is pending, and what the other steps need, such as the endpoint, the resource id and the ARN prefix for the policy.
  - It reads databases of every engine. Whether an engine can use IAM database authentication is checked by
    M(dbops.rds_iam.rds_iam_auth) when it switches it on.
options:
  db_instance_identifier:
    description:
      - Only this DB instance.
      - Without O(db_instance_identifier) and O(db_cluster_identifier), all DB clusters and DB instances of the region
        are returned.
    type: str
  db_cluster_identifier:
    description:
      - Only this Aurora or Multi-AZ DB cluster.
    type: str
notes:
  - One database costs one AWS call, a member of a DB cluster two; all databases cost one call for each 100 DB instances
    and for each 100 DB clusters.
  - The AWS actions needed are C(rds:DescribeDBInstances) and C(rds:DescribeDBClusters).
extends_documentation_fragment:
  - dbops.rds_iam.attributes
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_auth
  - plugin: dbops.rds_iam.connect_policy
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read one database
  dbops.rds_iam.rds_iam_auth_info:
    db_instance_identifier: orders
    region: eu-west-1
  register: rds

- name: Read all databases of the region
  dbops.rds_iam.rds_iam_auth_info:
    region: eu-west-1
  register: rds

- name: Name those where IAM database authentication is off
  ansible.builtin.debug:
    msg: "{{ rds.databases | rejectattr('iam_auth_enabled') | map(attribute='identifier') }}"
"""

RETURN = r"""
databases:
  description: The databases; DB clusters first, then DB instances, in the order of the API.
  returned: success
  type: list
  elements: dict
  contains:
    identifier:
      description: The identifier of the DB instance or DB cluster.
      returned: success
      type: str
      sample: orders
    kind:
      description: V(instance) or V(cluster).
      returned: success
      type: str
      sample: instance
    engine:
      description: The database engine.
      returned: success
      type: str
      sample: mysql
    engine_version:
      description: The version of the engine.
      returned: success
      type: str
      sample: 8.0.42
    status:
      description: The status that RDS reports.
      returned: success
      type: str
      sample: available
    endpoint:
      description: The host name to connect to, and to sign tokens for; null while the database is being created.
      returned: success
      type: str
      sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    reader_endpoint:
      description: The reader endpoint of a DB cluster; null for a DB instance.
      returned: success
      type: str
      sample: billing.cluster-ro-cabcdefghijk.eu-west-1.rds.amazonaws.com
    port:
      description: The TCP port.
      returned: success
      type: int
      sample: 3306
    region:
      description: The region of the database.
      returned: success
      type: str
      sample: eu-west-1
    account_id:
      description: The AWS account of the database.
      returned: success
      type: str
      sample: "123456789012"
    partition:
      description: The AWS partition of the database.
      returned: success
      type: str
      sample: aws
    resource_id:
      description: The id that IAM policies name, which never changes.
      returned: success
      type: str
      sample: db-ABCDEFGHIJKLMNOPQRSTUVWXYZ
    arn:
      description: The ARN of the DB instance or DB cluster.
      returned: success
      type: str
      sample: arn:aws:rds:eu-west-1:123456789012:db:orders
    connect_arn_prefix:
      description: What the resource of an C(rds-db:connect) statement starts with; a slash and the user follow.
        For a member of a DB cluster it is that of the cluster.
      returned: success
      type: str
      sample: arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ
    master_username:
      description: The master user.
      returned: success
      type: str
      sample: admin
    master_user_secret_arn:
      description: The secret that holds the master user's password, where RDS manages it; null otherwise.
      returned: success
      type: str
      sample: arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-0a1b2c3d-AbCdEf
    iam_auth_enabled:
      description: Whether IAM database authentication is in effect; for a member of a DB cluster, that of the cluster.
      returned: success
      type: bool
      sample: true
    pending:
      description: The modifications that wait to be applied, under the names of the API, those of others included.
      returned: success
      type: dict
      sample: {"IAMDatabaseAuthenticationEnabled": true}
    instance_class:
      description: The instance class; null for an Aurora DB cluster.
      returned: success
      type: str
      sample: db.t4g.small
    cluster_identifier:
      description: The DB cluster that a DB instance is a member of; null otherwise.
      returned: success
      type: str
      sample: billing
    log_exports:
      description: The logs that it exports to CloudWatch Logs.
      returned: success
      type: list
      elements: str
      sample: [error, iam-db-auth-error]
    managed_by:
      description: The value of the tag C(ManagedBy), V(dbops.rds_iam) where this collection switched IAM database
        authentication on; null without that tag.
      returned: success
      type: str
      sample: dbops.rds_iam
    ca_certificate_identifier:
      description: The certificate authority of the server certificate.
      returned: success
      type: str
      sample: rds-ca-rsa2048-g1
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import rds
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "db_instance_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
        },
        mutually_exclusive=[("db_instance_identifier", "db_cluster_identifier")],
        supports_check_mode=True,
    )
    try:
        databases = rds.describe_target(connect(module, "rds"), module.params)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, databases=databases)


if __name__ == "__main__":
    main()
