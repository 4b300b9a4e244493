# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.rds_mysql_program import rds_mysql_program

ORDERS = {"name": "orders", "endpoint": "orders.example.com", "port": "3306", "region": "eu-west-1"}


def databases_of(program: str) -> dict:
    """Return the value of DATABASES in a program."""
    assignments = (node for node in ast.parse(program).body if isinstance(node, ast.Assign))
    return next(ast.literal_eval(node.value) for node in assignments if ast.unparse(node.targets[0]) == "DATABASES")


def test_the_databases():
    awkward = {
        **ORDERS,
        "name": 'a "b" \\ \u00fc\n',
        "users": ["app", "o'neill"],
        "ca_file": "/own.pem",
        "denied": ["x"],
    }
    assert databases_of(rds_mysql_program([ORDERS, awkward], "/usr/bin/python3", "/ca.pem")) == {
        "orders": {
            "endpoint": "orders.example.com",
            "port": 3306,
            "region": "eu-west-1",
            "ca_file": "/ca.pem",
            "users": [],
        },
        'a "b" \\ \u00fc\n': {
            "endpoint": "orders.example.com",
            "port": 3306,
            "region": "eu-west-1",
            "ca_file": "/own.pem",
            "users": ["app", "o'neill"],
        },
    }


def test_the_order_of_the_databases_makes_no_difference():
    billing = {**ORDERS, "name": "billing"}
    programs = {rds_mysql_program(pair, "/python", "/ca.pem") for pair in ([ORDERS, billing], [billing, ORDERS])}
    assert len(programs) == 1


def test_the_interpreter_ignores_the_environment_of_the_caller():
    assert rds_mysql_program([], "/opt/python", "/ca.pem").startswith("#!/opt/python -I\n")
