#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_auth
short_description: Switch IAM database authentication of an RDS or Aurora database on or off
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Switches IAM database authentication on or off for a DB instance, a read replica, an Aurora DB cluster or a Multi-AZ
    DB cluster of MySQL, MariaDB or Aurora MySQL, and waits until the flag itself is in effect. Databases of other
    engines are refused.
  - A database whose flag it switches on gets the tag C(ManagedBy=dbops.rds_iam). One that has a tag C(ManagedBy)
    already keeps it. To switch the flag off takes the tag away.
  - Returns what the later steps need, such as the endpoint, the resource id and the ARN prefix for the IAM policy.
  - A read replica is a DB instance of its own here, with its own flag and its own resource id.
  - Whether IAM database authentication is supported is asked from RDS for the engine, version and instance class of the
    database, before it is switched on.
options:
  db_instance_identifier:
    description:
      - The DB instance, by its identifier.
      - A member of a DB cluster is refused, since its flag is that of the cluster.
      - One of O(db_instance_identifier) and O(db_cluster_identifier) must be given.
    type: str
  db_cluster_identifier:
    description:
      - The Aurora or Multi-AZ DB cluster, by its identifier.
    type: str
  enabled:
    description:
      - Whether IAM database authentication is to be on.
    type: bool
    default: true
  apply_immediately:
    description:
      - V(true) applies the change now, also one that is pending already. It needs no restart.
      - V(false) leaves it to the next maintenance window. Then RV(database.iam_auth_enabled) stays as it is, and
        RV(database.pending) shows the change.
    type: bool
    default: true
  apply_pending:
    description:
      - An immediate change to a DB instance makes RDS apply all its other pending modifications too, which may mean
        downtime. Where there are any, the module lists them and fails, unless this option is V(true).
      - It has no meaning for a DB cluster, where an immediate change applies no others.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until a change that is applied now is in effect.
    type: bool
    default: true
  only_wait:
    description:
      - Whether to send no change, and only wait until one that was sent before is in effect.
    type: bool
    default: false
  wait_timeout:
    description:
      - For how many seconds to wait for the change to be in effect, and before that for a database whose status does
        not allow changes.
    type: int
    default: 900
notes:
  - An unchanged database costs one AWS call.
  - The AWS actions needed are C(rds:DescribeDBInstances) and C(rds:ModifyDBInstance) for DB instances,
    C(rds:DescribeDBClusters) and C(rds:ModifyDBCluster) for DB clusters, C(rds:AddTagsToResource) and
    C(rds:DescribeOrderableDBInstanceOptions) to switch on, and C(rds:RemoveTagsFromResource) to take the tag away, also
    when RDS refuses to switch on. Where RDS does not return the tags of a database with its description,
    C(rds:ListTagsForResource) is needed too.
  - A pending change that is not wanted is taken back.
attributes:
  check_mode:
    support: full
    description: Reads the database and says what would change; refuses what it would refuse otherwise.
  diff_mode:
    support: full
    description: Shows the flag, the tag C(ManagedBy) and the pending modifications before and after.
  idempotent:
    support: full
    description: A change that is in effect, or pending and not to be applied now, is not sent again.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - module: dbops.rds_iam.rds_iam_auth_info
  - module: dbops.rds_iam.rds_iam_db_user
  - plugin: dbops.rds_iam.connect_policy
    plugin_type: filter
  - name: IAM database authentication
    description: The chapter of the Amazon RDS User Guide.
    link: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

EXAMPLES = r"""
- name: Switch IAM database authentication on
  dbops.rds_iam.rds_iam_auth:
    db_instance_identifier: orders
    region: eu-west-1

- name: Switch it on for an Aurora cluster in its next maintenance window
  dbops.rds_iam.rds_iam_auth:
    db_cluster_identifier: ledger
    region: eu-west-1
    apply_immediately: false

- name: Wait until it is on
  dbops.rds_iam.rds_iam_auth:
    db_instance_identifier: orders
    region: eu-west-1
    only_wait: true

- name: Switch it off, together with all other pending modifications
  dbops.rds_iam.rds_iam_auth:
    db_instance_identifier: orders
    region: eu-west-1
    enabled: false
    apply_pending: true
"""

RETURN = r"""
in_effect:
  description: Whether the database is as asked, and no change of that is pending or under way. In check mode, whether
    it would be.
  returned: success
  type: bool
  sample: true
timed_out:
  description: Whether it failed because the time was up. Then another run goes on where this one stopped.
  returned: failure
  type: bool
  sample: true
database:
  description: The database as it is after the task; in check mode, as it would be.
  returned: success
  type: dict
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
      description: Whether IAM database authentication is in effect.
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
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import iam_flag_writer
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "db_instance_identifier": {"type": "str"},
            "db_cluster_identifier": {"type": "str"},
            "enabled": {"type": "bool", "default": True},
            "apply_immediately": {"type": "bool", "default": True},
            "apply_pending": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "only_wait": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 900},
        },
        mutually_exclusive=[("db_instance_identifier", "db_cluster_identifier")],
        required_one_of=[("db_instance_identifier", "db_cluster_identifier")],
        supports_check_mode=True,
    )
    try:
        result = iam_flag_writer.set_flag(connect(module, "rds"), module.params, module.check_mode)
    except RdsIamError as exc:
        timed_out = isinstance(exc, iam_flag_writer.FlagTimeoutError)
        module.fail_json(msg=str(exc), timed_out=timed_out, changed=exc.changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
