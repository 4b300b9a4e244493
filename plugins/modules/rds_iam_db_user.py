#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_db_user
short_description: Manage database users that log in with IAM on Amazon RDS and Aurora for MySQL and MariaDB
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Creates, repairs and drops database users C(IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS').
  - Takes any number of users in one run, reads the state of the server in a number of statements that does not depend
    on how many there are, sends only what differs, and reads the result back.
  - Looks for all that the server would refuse before the first statement, in check mode too. Nothing is changed where
    O(login_user) cannot pass a privilege on or take it away, or where a table or column does not exist. Privileges on a
    database that does not exist are granted, with a warning.
  - Grants the privileges of a user that are missing before it revokes others. A failure leaves it with too many at
    most, and at no moment does it lack what it has before and after. To go from a privilege on a table to the same one
    on some of its columns, which a server revokes together, the user holds it on the database for a moment, if
    O(login_user) can pass that on.
  - The login of the master user is sent only over TLS, after the certificate and the host name were verified.
  - The login user itself, C(rdsadmin) and other users of the server, and roles, are never touched.
  - On MariaDB the users never expire (C(PASSWORD EXPIRE NEVER)), since nobody can change a token. MySQL lets none of
    them expire.
  - A user that is created bears the mark C(ManagedBy=dbops.rds_iam). On MySQL it is an attribute of the user. MariaDB
    and MySQL before 8.0.21 have none, and there it is the privilege C(REFERENCES) on a database of this name, which
    does not exist. Users that were there before get no mark, those that are converted included.
  - Resource limits, default roles, and the roles granted to a user stay.
attributes:
  check_mode:
    support: full
    description: Reads the users and reports what would change. On a host that has no PyMySQL or no CA file yet,
      where an earlier task would install them, it warns and assumes that none of the users exists.
  diff_mode:
    support: full
    description: Shows plugin, TLS requirement, lock, expiry and privileges of each user that changes.
  idempotent:
    support: full
    description: Only statements that are needed are sent.
options:
  users:
    description: The database users.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the user, at most 32 characters. Case counts, here and in the IAM policy.
          - Names that a server would change, such as ones with a space at an end or an emoji, are refused.
        type: str
        required: true
      host:
        description: Host part of the user. Case does not count.
        type: str
        default: '%'
      state:
        description:
          - V(present) creates or repairs the user.
          - V(absent) drops it. A user that does not log in with IAM is not dropped.
        type: str
        choices: [present, absent]
        default: present
      require_ssl:
        description:
          - Whether the user must use TLS. RDS takes tokens over TLS only.
          - A stricter requirement, such as C(X509), stays as it is.
        type: bool
        default: true
      privileges:
        description:
          - What the user may do, as levels and lists of privileges, exactly. What it has on other levels is revoked.
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
          - Whether a user that exists with another way to log in is converted, and so loses its password.
          - A user with several ways to log in, IAM among them, loses the others.
        type: bool
        default: false
      locked:
        description:
          - Whether the user is locked.
          - Without this option a lock is left as it is, with a warning, since somebody has set it.
        type: bool
      force_drop:
        description:
          - Whether V(state=absent) drops a user that others depend on, with a warning. Otherwise it is not dropped, and
            the objects are named.
          - Others depend on it if it is the C(DEFINER) of views, triggers, routines or events, which fail from then on,
            if other users may act as it (C(PROXY)) or have it as a role, or if only it can grant a role of MariaDB.
        type: bool
        default: false
      kill_sessions:
        description:
          - Whether its open sessions are ended when the user is dropped, locked or converted, or loses privileges. They
            may otherwise go on with what the user had. They are counted and named in any case.
          - This takes C(KILL), or the procedure C(mysql.rds_kill) of RDS where O(login_user) may not use that.
          - For a user that is gone, sessions that are left over are ended.
        type: bool
        default: false
  only_managed:
    description:
      - Whether V(state=absent) drops only users that bear the mark C(ManagedBy=dbops.rds_iam), still log in with IAM,
        and have nobody who depends on them. Others stay, with the reason in RV(users[].reason).
      - Otherwise V(state=absent) is an order to drop any user that logs in with IAM.
    type: bool
    default: false
extends_documentation_fragment:
  - dbops.rds_iam.login
seealso:
  - module: dbops.rds_iam.rds_iam_auth
  - module: dbops.rds_iam.rds_iam_ping
"""

EXAMPLES = r"""
- name: Two users for IAM logins
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

- name: Drop a user, and end its sessions
  dbops.rds_iam.rds_iam_db_user:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
    users:
      - name: report
        state: absent
        kill_sessions: true

- name: Drop what this collection created, and leave what was there before
  dbops.rds_iam.rds_iam_db_user:
    login_host: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    login_user: admin
    login_password: "{{ vault_orders_master_password }}"
    only_managed: true
    users:
      - name: app
        state: absent
      - name: legacy
        state: absent
        force_drop: true
  register: dropped

- name: Say which users stay, and why
  ansible.builtin.debug:
    msg: "{{ item.name }}@{{ item.host }} stays: {{ item.reason }}"
  loop: "{{ dropped.users | selectattr('outcome', 'eq', 'kept') }}"
"""

RETURN = r"""
users:
  description: What was done, or would be done in check mode, for each user, in the order given.
  returned: success, and where some of the statements failed
  type: list
  elements: dict
  contains:
    name:
      description: Name of the user.
      returned: always
      type: str
      sample: app
    host:
      description: Host part of the user.
      returned: always
      type: str
      sample: '%'
    state:
      description: The state asked for.
      returned: always
      type: str
      sample: present
    changed:
      description: Whether statements were sent, or sessions ended, or would be in check mode.
      returned: always
      type: bool
      sample: true
    outcome:
      description:
        - V(done), V(kept), V(failed) or V(not_tried). The last two appear when the module fails half-way.
        - V(kept) is a user that O(only_managed) leaves.
        - V(failed) is also what the server did not confirm since the connection was lost, for each user that the
          statement was for, and what reading back showed to be undone.
      returned: always
      type: str
      sample: done
    reason:
      description: Why a user stays that is V(kept), otherwise empty.
      returned: always
      type: str
      sample: it does not bear the mark ManagedBy=dbops.rds_iam, so it was there before, or something else made it
    sessions:
      description:
        - The open sessions of a user that is dropped, locked or converted, or loses privileges.
        - Where several users have the same name and the server knows clients by other words than these users, sessions
          that may be of either are listed, and not ended.
      returned: always
      type: list
      elements: dict
      sample: [{id: 4711, client: 10.0.1.12, database: app, ended: false}]
      contains:
        id:
          description: Number of the session.
          returned: always
          type: int
        client:
          description: Address or name of the client, without the port.
          returned: always
          type: str
        database:
          description: Its default database, or empty.
          returned: always
          type: str
        ended:
          description: Whether it was ended, or would be in check mode.
          returned: always
          type: bool
    statements:
      description:
        - The statements. They hold no secret. There are none where check mode could not read the server.
        - Neighbours in O(users) that are new and want the same are made with the same statements, up to a hundred at
          once, and those that go are dropped likewise.
      returned: always
      type: list
      elements: str
      sample: ["CREATE USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL"]
conflict:
  description: Whether it failed since a user or a role of others has the name of one of O(users).
  returned: failure
  type: bool
  sample: false
iam_database_users_remaining:
  description: How many users with C(AWSAuthenticationPlugin) the server has afterwards, those of others included.
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
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.admin_login import ARGUMENTS
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.set_users import set_users


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
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
                    "locked": {"type": "bool"},
                    "force_drop": {"type": "bool", "default": False},
                    "kill_sessions": {"type": "bool", "default": False},
                },
            },
            "only_managed": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    failure, result = set_users(module)
    if failure:
        module.fail_json(msg=failure, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
