#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_db_user_info
short_description: Read all users of a MySQL or MariaDB server, and how they log in
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Returns every user of a database server with the way in which it logs in, those with IAM and those that still have
    passwords, in one statement. Password hashes are not read.
  - The master password is sent only over TLS, and only after the server has shown a certificate for O(login_host) that
    is issued by an authority in O(ca_file).
extends_documentation_fragment:
  - dbops.rds_iam.attributes
  - dbops.rds_iam.login
seealso:
  - module: dbops.rds_iam.rds_iam_db_user
  - module: dbops.rds_iam.rds_iam_access_map
"""

EXAMPLES = r"""
- name: Read the users
  dbops.rds_iam.rds_iam_db_user_info:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
  register: database

- name: Name those that still have a password
  ansible.builtin.debug:
    msg: "{{ database.users | rejectattr('iam') | rejectattr('system') | map(attribute='name') }}"
"""

RETURN = r"""
users:
  description: The database users, by name and host. Roles of the server are left out, since nobody logs in as a role.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the user; empty for the anonymous one.
      returned: always
      type: str
      sample: app
    host:
      description: Host part of the user.
      returned: always
      type: str
      sample: '%'
    iam:
      description: Whether it logs in with IAM tokens, and with nothing besides.
      returned: always
      type: bool
      sample: true
    plugin:
      description: The authentication plugin, or V(several factors) or V(several plugins).
      returned: always
      type: str
      sample: AWSAuthenticationPlugin
    require:
      description: What it requires of a connection, V(NONE), V(SSL), V(X509) or V(SPECIFIED).
      returned: always
      type: str
      sample: SSL
    locked:
      description: Whether it is locked.
      returned: always
      type: bool
      sample: false
    expired:
      description: Whether the server takes what it logs in with for expired, so that it can do nothing.
      returned: always
      type: bool
      sample: false
    managed:
      description: Whether it bears the mark C(ManagedBy=dbops.rds_iam), so that M(dbops.rds_iam.rds_iam_db_user) has
        created it.
      returned: always
      type: bool
      sample: true
    system:
      description: Whether it belongs to the server or to RDS.
      returned: always
      type: bool
      sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.admin_login import ARGUMENTS
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.list_users import list_users
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        users = list_users(module.params)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, users=users)


if __name__ == "__main__":
    main()
