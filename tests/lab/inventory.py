# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible inventory of a lab: the databases and clients as an operator of AWS would list them."""

from __future__ import annotations

import shlex

import mysql_client_package
from state import State

ACCOUNTS = [
    {"name": "app", "privileges": {"app.*": ["SELECT", "INSERT", "UPDATE", "DELETE"]}},
    {"name": "report", "privileges": {"app.*": ["SELECT"]}},
]


def build(state: State, lab: dict, hosts) -> dict:
    return {
        "all": {
            "vars": {"iam_role_name": "rds-iam-lab", "iam_role_users": ["app"]},
            "children": {
                "rds_databases": {"hosts": {item["identifier"]: _database(item) for item in lab["databases"]}},
                "rds_clients": {
                    "vars": _clients_together(state, lab),
                    "hosts": {item["name"]: _client(state, item, hosts) for item in lab["clients"]},
                },
            },
        },
    }


def _database(database: dict) -> dict:
    variables = {f"db_{database['kind']}_identifier": database["identifier"], "db_users_accounts": ACCOUNTS}
    if not database["managed_secret"]:
        variables["db_users_login_password"] = database["master_password"]
    return variables


def _clients_together(state: State, lab: dict) -> dict:
    known_hosts = shlex.quote(f"UserKnownHostsFile={state.known_hosts}")
    return {
        "ansible_user": lab["clients"][0]["user"],
        "ansible_ssh_private_key_file": str(state.key),
        "ansible_ssh_common_args": f"-F none -o {known_hosts} -o StrictHostKeyChecking=yes",
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _client(state: State, client: dict, hosts) -> dict:
    return {
        "ansible_host": client["host"],
        "ansible_port": client["port"],
        "instance_id": client["instance_id"],
        **hosts.client_variables(state, client["name"]),
        **({"db_client_packages": [mysql_client_package.PACKAGE]} if client["mysql_client"] else {}),
    }
