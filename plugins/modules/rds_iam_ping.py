#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_ping
short_description: Prove that a database user can, or cannot, log in with IAM from this host
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Makes a token with the AWS credentials of the host, connects over TLS with certificate and host name verified, logs
    in, and returns who the server says this is, and over what.
  - The token is not sent to a server whose certificate is not right, and is not returned.
requirements:
  - botocore and PyMySQL >= 1.0.2 on the host that runs the module
attributes:
  check_mode:
    support: full
    description: Changes nothing in either mode; it logs in in both.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
options:
  ca_file:
    description:
      - File with the certificates of the RDS certificate authorities.
      - The module M(dbops.rds_iam.rds_ca_bundle) installs it.
    type: path
    default: /etc/ssl/rds/global-bundle.pem
  connect_host:
    description: Name or address to dial in place of O(endpoint), for a tunnel or a port forwarding. The token and the
      certificate are those of O(endpoint) all the same.
    type: str
  connect_timeout:
    description: Seconds to wait for the server.
    type: int
    default: 10
  expect:
    description:
      - V(allowed) succeeds if the login succeeds.
      - V(denied) succeeds only if the server was reached over verified TLS and refused the login with C(Access denied).
        Trouble with the network, TLS or the AWS credentials is a failure here too.
    type: str
    choices: [allowed, denied]
    default: allowed
extends_documentation_fragment:
  - dbops.rds_iam.token
seealso:
  - module: dbops.rds_iam.rds_auth_token
  - module: dbops.rds_iam.rds_iam_db_user
"""

EXAMPLES = r"""
- name: The application can log in
  dbops.rds_iam.rds_iam_ping:
    endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    user: app

- name: Nobody can log in as the auditor from here
  dbops.rds_iam.rds_iam_ping:
    endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    user: auditor
    expect: denied
"""

RETURN = r"""
verdict:
  description: V(allowed) or V(denied), as the server decided.
  returned: when the server decided
  type: str
  sample: allowed
current_user:
  description: What C(CURRENT_USER()) says, the account that the server matched.
  returned: when the login was allowed
  type: str
  sample: app@%
server_version:
  description: What C(VERSION()) says.
  returned: when the login was allowed
  type: str
  sample: 10.11.8-MariaDB-log
tls_version:
  description: Version of TLS of the connection.
  returned: when the login was allowed
  type: str
  sample: TLSv1.3
tls_cipher:
  description: Cipher suite of the connection.
  returned: when the login was allowed
  type: str
  sample: TLS_AES_256_GCM_SHA384
endpoint:
  description: The endpoint.
  returned: always
  type: str
  sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
port:
  description: The port.
  returned: always
  type: int
  sample: 3306
user:
  description: The database user.
  returned: always
  type: str
  sample: app
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils import _mysql, _token
from ansible_collections.dbops.rds_iam.plugins.module_utils._endpoint import region_of
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def log_in(params, target):
    """One login; what the server said of it."""
    _mysql.check_prerequisites(params["ca_file"])
    region = region_of(target["endpoint"], params["region"])
    token = _token.sign(_token.credentials(params["profile"]), region=region, **target)
    try:
        connection = _mysql.connect(
            host=target["endpoint"],
            port=target["port"],
            user=target["user"],
            secret=token,
            ca_file=params["ca_file"],
            connect_host=params["connect_host"],
            timeout=params["connect_timeout"],
        )
    except _mysql.AccessDenied as exc:
        return {"verdict": "denied", "reason": str(exc)}
    with connection:
        return {"verdict": "allowed", **_mysql.session_facts(connection)}


def main():
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "port": {"type": "int", "default": 3306},
            "user": {"type": "str", "required": True},
            "region": {"type": "str"},
            "profile": {"type": "str"},
            "ca_file": {"type": "path", "default": "/etc/ssl/rds/global-bundle.pem"},
            "connect_host": {"type": "str"},
            "connect_timeout": {"type": "int", "default": 10},
            "expect": {"type": "str", "choices": ["allowed", "denied"], "default": "allowed"},
        },
        supports_check_mode=True,
    )
    target = {name: module.params[name] for name in ("endpoint", "port", "user")}
    try:
        login = log_in(module.params, target)
    except (RdsIamError, _token.TokenError) as exc:
        module.fail_json(msg=str(exc), **target)
    reason = login.pop("reason", None)
    if login["verdict"] == module.params["expect"]:
        module.exit_json(changed=False, **target, **login)
    if reason:
        msg = (
            f"{reason} The account, its plugin, the IAM flag of the database and the policy of this host's role for"
            " rds-db:connect must all allow it."
        )
    else:
        msg = (
            f"{login['current_user']} logged in to {target['endpoint']}:{target['port']} although it should be refused;"
            " check which policies allow rds-db:connect to the role of this host."
        )
    module.fail_json(msg=msg, **target, **login)


if __name__ == "__main__":
    main()
