#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_db_user_info
short_description: Read all accounts of a MySQL or MariaDB server, and how they log in
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Returns every account of a database server with the way in which it logs in, IAM accounts and those that still have
    passwords, in one statement. Password hashes are not read.
  - The master password is sent only over TLS, and only after the server has shown a certificate for O(login_host) that
    is issued by an authority in O(ca_file).
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
  - dbops.rds_iam.login
seealso:
  - module: dbops.rds_iam.rds_iam_db_user
  - module: dbops.rds_iam.rds_iam_access_map
"""

EXAMPLES = r"""
- name: Read the accounts
  dbops.rds_iam.rds_iam_db_user_info:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
  register: accounts

- name: Name those that still have a password
  ansible.builtin.debug:
    msg: "{{ accounts.accounts | rejectattr('iam') | rejectattr('system') | map(attribute='name') }}"
"""

RETURN = r"""
accounts:
  description: The accounts, by name and host. Roles of the server are left out, since nobody logs in as a role.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the account; empty for the anonymous one.
      returned: always
      type: str
      sample: app
    host:
      description: Host part of the account.
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
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    admin_login,
    database_user,
    desired_users,
    session,
    user_reader,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_rows import to_row
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def record(account: database_user.DatabaseUser) -> dict:
    return {**to_row(account), "system": desired_users.is_system(account.name)}


def run(params: dict) -> dict:
    with admin_login.open_session(params) as connection:
        accounts = user_reader.read_accounts(connection, session.prepare(connection, params["login_host"]))
    return {"changed": False, "accounts": [record(accounts[key]) for key in sorted(accounts) if not accounts[key].role]}


def main() -> None:
    module = AnsibleModule(
        argument_spec=admin_login.ARGUMENTS,
        supports_check_mode=True,
    )
    try:
        result = run(module.params)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    except DriverError as exc:
        module.fail_json(msg=admin_login.explain_unreadable(module.params, exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
