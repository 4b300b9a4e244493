#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_auth_token
short_description: Make an IAM authentication token for Amazon RDS or Aurora
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Signs the token with which a database user logs in, in place of a password, with the AWS credentials of the host
    that runs the module.
  - The token is the one that C(generate_db_auth_token) of botocore and C(aws rds generate-db-auth-token) make. It is
    made on the host alone; no service is called for it.
  - RDS accepts the token for 15 minutes, for any number of logins, and only where the account, the IAM policy and TLS
    are right, which making it does not show. Use M(dbops.rds_iam.rds_iam_ping) to test a login.
notes:
  - The token is a secret. Set C(no_log) to V(true) for the task; nothing else keeps it out of the output.
requirements:
  - botocore on the host that runs the module
attributes:
  idempotent:
    support: N/A
    description: Changes nothing; the token is another one each second.
extends_documentation_fragment:
  - dbops.rds_iam.attributes
  - dbops.rds_iam.token
seealso:
  - plugin: dbops.rds_iam.rds_auth_token
    plugin_type: lookup
  - module: dbops.rds_iam.rds_iam_ping
"""

EXAMPLES = r"""
- name: Get a token with the credentials of the instance profile
  dbops.rds_iam.rds_auth_token:
    endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    user: app
  register: rds_token
  no_log: true
"""

RETURN = r"""
token:
  description: The token, to be used as the password. It is a secret.
  returned: success
  type: str
  sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com:3306/?Action=connect&DBUser=app&X-Amz-Algorithm=...
expires_at:
  description: When RDS stops accepting the token for new logins, in UTC; the earlier of 15 minutes from now and the end
    of the AWS credentials.
  returned: success
  type: str
  sample: '2026-01-02T03:19:05Z'
region:
  description: The region that it was signed for.
  returned: success
  type: str
  sample: eu-west-1
endpoint:
  description: The endpoint that it was signed for.
  returned: success
  type: str
  sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
port:
  description: The port that it was signed for.
  returned: success
  type: int
  sample: 3306
user:
  description: The database user that it was signed for.
  returned: success
  type: str
  sample: app
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.signing_principal import find_keys
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.issue import issue


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "port": {"type": "int", "default": 3306},
            "user": {"type": "str", "required": True},
            "region": {"type": "str"},
            "profile": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        token = issue(**module.params, find=find_keys)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(
        changed=False,
        token=token.secret,
        expires_at=token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        region=token.region,
        **{name: module.params[name] for name in ("endpoint", "port", "user")},
    )


if __name__ == "__main__":
    main()
