#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_db_user
short_description: Manage database accounts that log in with IAM on Amazon RDS and Aurora for MySQL and MariaDB
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Creates, repairs and drops accounts C(IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS').
  - Takes any number of accounts in one run, reads the state of the server in a number of statements that does not
    depend on how many there are, sends only what differs, and reads the result back.
  - The login of the master user is sent only over TLS, after the certificate and the host name were verified.
  - The login user itself, C(rdsadmin) and other accounts of the server, and roles, are never touched.
  - An account that is locked is unlocked. Resource limits, default roles, and the roles granted to an account stay.
attributes:
  check_mode:
    support: full
    description: Reads the accounts and reports what would change. On a host that has no PyMySQL or no CA file yet,
      where an earlier task would install them, it warns and assumes that none of the accounts exists.
  diff_mode:
    support: full
    description: Shows plugin, TLS requirement, lock and privileges of each account that changes.
  idempotent:
    support: full
    description: Only statements that are needed are sent.
options:
  users:
    description: The accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the account, at most 32 characters. Case counts, here and in the IAM policy.
          - Names that a server would change, such as ones with a space at an end or an emoji, are refused.
        type: str
        required: true
      host:
        description: Host part of the account. Case does not count.
        type: str
        default: '%'
      state:
        description:
          - V(present) creates or repairs the account.
          - V(absent) drops it. An account that does not log in with IAM is not dropped.
        type: str
        choices: [present, absent]
        default: present
      require_ssl:
        description:
          - Whether the account must use TLS. RDS takes tokens over TLS only.
          - A stricter requirement, such as C(X509), stays as it is.
        type: bool
        default: true
      privileges:
        description:
          - What the account may do, as levels and lists of privileges, exactly. What it has on other levels is revoked.
          - Privileges on routines, C(PROXY), and what comes from roles are left as they are.
          - Levels are written as in C(GRANT), V(*.*), V(database.*) or V(database.table). As in C(GRANT), V(_) and
            V(%) in the name of a database are wildcards where the level is a database; put a backslash before one that
            stands for itself.
          - Privileges are those of C(SHOW PRIVILEGES), with columns as in V(SELECT (id, name\)). V(ALL) is taken below
            the global level, without C(DELETE HISTORY) and C(SHOW CREATE ROUTINE) of MariaDB if O(login_user) cannot
            pass them on. V(GRANT OPTION) is an entry like others.
          - Names with spaces, dots, commas, parentheses or backquotes are written in backquotes, as in C(GRANT).
          - Without this option privileges are left as they are.
        type: dict
      convert:
        description:
          - Whether an account that exists with another way to log in is converted, and so loses its password.
          - An account with several ways to log in, IAM among them, loses the others.
        type: bool
        default: false
extends_documentation_fragment:
  - dbops.rds_iam.login
seealso:
  - module: dbops.rds_iam.rds_iam_auth
  - module: dbops.rds_iam.rds_iam_ping
"""

EXAMPLES = r"""
- name: Two accounts for IAM logins
  dbops.rds_iam.rds_iam_db_user:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
    users:
      - name: app
        privileges:
          app.*: [SELECT, INSERT, UPDATE, DELETE]
      - name: report
        privileges:
          app.*: [SELECT]
          app.customers: ["UPDATE (note)"]

- name: Let an application that had a password log in with IAM from now on
  dbops.rds_iam.rds_iam_db_user:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
    users:
      - name: legacy
        convert: true

- name: Drop an account
  dbops.rds_iam.rds_iam_db_user:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
    users:
      - name: report
        state: absent
"""

RETURN = r"""
users:
  description: What was done, or would be done in check mode, for each account, in the order given.
  returned: success, and where some of the statements failed
  type: list
  elements: dict
  contains:
    name:
      description: Name of the account.
      returned: always
      type: str
      sample: app
    host:
      description: Host part of the account.
      returned: always
      type: str
      sample: '%'
    state:
      description: The state asked for.
      returned: always
      type: str
      sample: present
    changed:
      description: Whether statements were sent, or would be in check mode.
      returned: always
      type: bool
      sample: true
    outcome:
      description:
        - V(done), V(failed) or V(not tried). The last two appear when the module fails half-way.
        - V(failed) is also what the server did not confirm since the connection was lost, for each account that the
          statement was for, and what reading back showed to be undone.
      returned: always
      type: str
      sample: done
    statements:
      description:
        - The statements. They hold no secret.
        - Neighbours in O(users) that are new and want the same are made with the same statements, up to a hundred at
          once, and those that go are dropped likewise.
      returned: always
      type: list
      elements: str
      sample: ["CREATE USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL"]
conflict:
  description: Whether it failed since an account or a role of others has the name of one of O(users).
  returned: failure
  type: bool
  sample: false
accounts_left:
  description: How many accounts with C(AWSAuthenticationPlugin) the server has afterwards, those of others included.
  returned: when the server was read and nothing failed
  type: int
  sample: 2
user_rows:
  description:
    - The rows of C(mysql.user) with one of the names in O(users), and those of the anonymous user, which a server may
      pick for any name. They are as the run left them, in check mode as they are.
    - They are sorted by name and host. Roles of MariaDB are left out.
  returned: when the server was read, unless some of the statements failed
  type: list
  elements: dict
  contains:
    name:
      description: Name of the database user, empty for the anonymous one.
      returned: always
      type: str
      sample: app
    host:
      description: Host part of the database user.
      returned: always
      type: str
      sample: '%'
    plugin:
      description: The authentication plugin, or V(several factors) or V(several plugins).
      returned: always
      type: str
      sample: AWSAuthenticationPlugin
    iam:
      description: Whether it logs in with IAM tokens, and with nothing besides.
      returned: always
      type: bool
      sample: true
    locked:
      description: Whether it is locked. Roles of MySQL are.
      returned: always
      type: bool
      sample: false
    expired:
      description: Whether the server takes what it logs in with for expired, so that it can do nothing.
      returned: always
      type: bool
      sample: false
    require:
      description: What it requires of a connection, V(NONE), V(SSL), V(X509) or V(SPECIFIED).
      returned: always
      type: str
      sample: SSL
    managed:
      description: Whether it bears the mark C(ManagedBy=dbops.rds_iam).
      returned: always
      type: bool
      sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils import (
    _account_changes,
    _accounts,
    _db_user,
    _login,
    _mysql,
    _privileges,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_rows import user_rows
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def report(module, items, current, plans):
    after = {item.account.key: _db_user.predicted(item, current.get(item.account.key)) for item in items}
    changing = [item.account for item in items if plans[item.account.key]]
    result = {
        "changed": bool(changing),
        "users": [
            {
                "name": item.account.name,
                "host": item.account.host,
                "state": "present" if item.present else "absent",
                "changed": bool(plans[item.account.key]),
                "outcome": "done",
                "statements": plans[item.account.key],
            }
            for item in items
        ],
        "accounts_left": sum(1 for account in {**current, **after}.values() if account and account.takes_tokens),
    }
    if module._diff:
        result["diff"] = {
            "before": {str(a): current[a.key].shown() for a in changing if a.key in current},
            "after": {str(a): after[a.key].shown() for a in changing if after[a.key]},
        }
    return result


def run(module, result):
    params = module.params
    items = _db_user.wanted(params["users"])
    with _login.log_in(params) as connection:
        _account_changes.send(connection, _privileges.SESSION_MODE)
        where = params["login_host"]
        if any(item.account.privileges for item in items):
            items = _db_user.on_server(items, _accounts.read_dialect(connection), where)
        current = _account_changes.read(connection, items)
        names = [item.account.name for item in items]
        result["user_rows"] = user_rows(current, names)
        _db_user.check_conflicts(items, current, params["login_user"], where)
        plans = {item.account.key: _db_user.plan(item, current.get(item.account.key)) for item in items}
        result.update(report(module, items, current, plans))
        if result["changed"] and not module.check_mode:
            _account_changes.apply(connection, items, current, result, where)
            left = _account_changes.read(connection, items)
            result["user_rows"] = user_rows(left, names)
            _account_changes.verify(items, left, result, where)


def unread(module, missing):
    """What check mode says where earlier tasks would have installed what is missing."""
    items = _db_user.wanted(module.params["users"])
    result = report(module, items, {}, {item.account.key: _db_user.plan(item, None) for item in items})
    del result["accounts_left"]
    module.warn(f"{missing} The accounts could not be read; what would change is shown as if none of them existed.")
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            **_login.ARGUMENTS,
            "users": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "host": {"type": "str", "default": "%"},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "require_ssl": {"type": "bool", "default": True},
                    "privileges": {"type": "dict"},
                    "convert": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    result = {"changed": False, "users": []}
    try:
        run(module, result)
    except _mysql.MissingPrerequisite as exc:
        if not module.check_mode:
            module.fail_json(msg=str(exc), conflict=False, **result)
        result = unread(module, exc)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc), conflict=isinstance(exc, _db_user.Conflict), **result)
    except _mysql.DriverError as exc:
        module.fail_json(msg=_login.unreadable(module.params, exc), conflict=False, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
