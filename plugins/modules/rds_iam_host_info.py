#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_host_info
short_description: Learn what a host has for IAM logins, and how far it gets on the way to its databases
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Looks at the host's clock, its AWS credentials, its CA bundle, its database clients and its Python libraries.
  - Goes as far as verified TLS to each endpoint, and hangs up there. It logs in nowhere and sends no secret.
  - It is the half of M(dbops.rds_iam.rds_iam_doctor) that runs on the EC2 host.
  - A server counts a connection that ends before the login as an aborted one.
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
options:
  targets:
    description: The endpoints to go to.
    type: list
    elements: dict
    default: []
    suboptions:
      endpoint:
        description: Endpoint of the DB instance or cluster, as RDS shows it.
        type: str
        required: true
      port:
        description: TCP port of the database.
        type: int
        default: 3306
      connect_host:
        description: Name or address to dial in place of O(targets[].endpoint).
        type: str
      ca_file:
        description: The file for this one, if not O(ca_file).
        type: path
  ca_file:
    description: File with the certificates of the RDS certificate authorities.
    type: path
    default: /etc/ssl/rds/global-bundle.pem
  connect_timeout:
    description: Seconds to wait for a server.
    type: int
    default: 10
seealso:
  - module: dbops.rds_iam.rds_iam_doctor
  - module: dbops.rds_iam.rds_iam_ping
"""

EXAMPLES = r"""
- name: What the host has, and how far it gets
  dbops.rds_iam.rds_iam_host_info:
    targets:
      - endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
"""

RETURN = r"""
clock_skew:
  description:
    - By how many seconds the host's clock is ahead of that of the instance metadata service; negative if it is behind.
    - Null where the service cannot be reached.
  returned: success
  type: float
  sample: 0.4
instance_id:
  description: The EC2 instance, as the instance metadata service says; null where it cannot be reached.
  returned: success
  type: str
  sample: i-0123456789abcdef0
metadata_error:
  description: Why the instance metadata service gave no answer; null where it did.
  returned: success
  type: str
  sample: timed out
credentials:
  description: The credentials that sign tokens on this host, without the credentials themselves.
  returned: success
  type: dict
  contains:
    source:
      description: Where they come from, as botocore calls it. V(iam-role) is the instance profile.
      returned: success
      type: str
      sample: iam-role
    role_name:
      description: The IAM role, if they come from the instance profile.
      returned: success
      type: str
      sample: app-rds
    expires_at:
      description: When they end, in UTC; null for credentials that do not end.
      returned: success
      type: str
      sample: '2026-11-25T06:12:45Z'
    expired:
      description: Whether that is past.
      returned: success
      type: bool
      sample: false
    error:
      description: Why there are none; null where there are.
      returned: success
      type: str
      sample: No AWS credentials were found on this host; attach an instance profile to it.
    metadata_disabled:
      description: Whether the variable C(AWS_EC2_METADATA_DISABLED) keeps botocore from asking the instance metadata
        service.
      returned: success
      type: bool
      sample: false
ca_bundle:
  description: The CA file.
  returned: success
  type: dict
  contains:
    path:
      description: The file.
      returned: success
      type: str
      sample: /etc/ssl/rds/global-bundle.pem
    certificates:
      description: Number of live root certificates.
      returned: success
      type: int
      sample: 108
    not_after:
      description: When the first of them ends, in UTC; null where there is none.
      returned: success
      type: str
      sample: '2061-05-18T20:00:00Z'
    error:
      description: Why the file cannot be read; null where it can.
      returned: success
      type: str
      sample: No such file or directory
programs:
  description: The clients for MySQL and MariaDB on the host; C(rds-mysql) runs the first one.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The program.
      returned: success
      type: str
      sample: /usr/bin/mariadb
    family:
      description: V(MariaDB) or V(MySQL). They verify a server by different options.
      returned: success
      type: str
      sample: MariaDB
    version:
      description: Its version.
      returned: success
      type: str
      sample: 10.11.19
    options:
      description: The options with which it verifies the server, and then sends it the token.
      returned: success
      type: list
      elements: str
      sample: [--ssl, --ssl-verify-server-cert]
    error:
      description: What it says of these options if it does not take them; null where it does.
      returned: success
      type: str
      sample: "mysql: unknown option '--enable-cleartext-plugin'"
libraries:
  description: The versions of the Python libraries C(botocore) and C(pymysql); null for one that is not there.
  returned: success
  type: dict
  sample: {"botocore": "1.29.27", "pymysql": "1.0.2"}
targets:
  description: How far the host gets to each endpoint.
  returned: success
  type: list
  elements: dict
  contains:
    endpoint:
      description: The endpoint.
      returned: success
      type: str
      sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    port:
      description: The port.
      returned: success
      type: int
      sample: 3306
    failed_at:
      description:
        - What is missing first. The V(name) must resolve, the V(port) must answer, V(tls) must be offered, and the
          V(certificate) must be accepted.
        - Null where nothing is missing.
      returned: success
      type: str
      sample: port
    msg:
      description: What is wrong and what to do; null where nothing is.
      returned: success
      type: str
      sample: The server at orders.cabcdefghijk.eu-west-1.rds.amazonaws.com:3306 did not answer in time.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils import _host, _mysql


def reach(params, target):
    """How far the host gets to one endpoint."""
    record = {"endpoint": target["endpoint"], "port": target["port"], "failed_at": None, "msg": None}
    try:
        _mysql.reach(
            host=target["endpoint"],
            port=target["port"],
            ca_file=target["ca_file"] or params["ca_file"],
            connect_host=target["connect_host"],
            timeout=params["connect_timeout"],
        )
    except _mysql.NoConnection as exc:
        record.update(failed_at=exc.failed_at, msg=str(exc))
    return record


def run(module):
    params = module.params
    metadata, libraries = _host.metadata(), _host.libraries()
    # Without the driver there is no way to go there, and that it is missing is said already.
    targets = params["targets"] if libraries["pymysql"] else []
    return {
        "clock_skew": metadata["clock_skew"],
        "instance_id": metadata["instance_id"],
        "metadata_error": metadata["error"],
        "credentials": _host.credentials(metadata["role_name"]),
        "ca_bundle": _host.bundle(params["ca_file"]),
        "programs": _host.programs(module.run_command),
        "libraries": libraries,
        "targets": [reach(params, target) for target in targets],
    }


def main():
    target = {
        "endpoint": {"type": "str", "required": True},
        "port": {"type": "int", "default": 3306},
        "connect_host": {"type": "str"},
        "ca_file": {"type": "path"},
    }
    module = AnsibleModule(
        argument_spec={
            "targets": {"type": "list", "elements": "dict", "default": [], "options": target},
            "ca_file": {"type": "path", "default": "/etc/ssl/rds/global-bundle.pem"},
            "connect_timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **run(module))


if __name__ == "__main__":
    main()
