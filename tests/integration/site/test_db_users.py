# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database users of the site, and those that were there before it: the teardown drops only what the site made."""

from __future__ import annotations

import json

import pymysql
import pytest

CLIENT = "client1"
VIEW = "CREATE DEFINER=definer@'%' VIEW app.by_definer AS SELECT id FROM app.orders"
PRIVILEGES = {"app.*": ["SELECT"]}
VARIABLES = {
    "db_users_accounts": [
        {"name": "app", "privileges": PRIVILEGES},
        {"name": "definer", "privileges": PRIVILEGES, "force_drop": False},
        {"name": "earlier", "privileges": PRIVILEGES, "kill_sessions": True},
        {"name": "converted", "convert": True},
    ],
    "iam_role_users": ["app"],
}
NAMES = {user["name"] for user in VARIABLES["db_users_accounts"]}


@pytest.fixture
def variables(tmp_path):
    path = tmp_path / "variables.json"
    path.write_text(json.dumps(VARIABLES))
    return ["-e", f"@{path}"]


def root(lab, database, *statements):
    """Statements as root, whom RDS lets nobody be."""
    socket = lab.databases[database]["socket"]
    options = {"unix_socket": socket, "user": "root", "autocommit": True, "ssl_disabled": True}
    with pymysql.connect(**options) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def users(lab, database):
    return {name for [name] in lab.sql(database, "SELECT user FROM mysql.user")} & NAMES


@pytest.fixture
def foreign(lab):
    """Users that somebody else has made, of whom the site converts one."""
    for database in lab.databases:
        lab.sql(database, "CREATE USER earlier@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL")
        lab.sql(database, "CREATE USER converted@'%' IDENTIFIED BY 'Passw0rd-of-old'")
    yield
    for database in lab.databases:
        lab.sql(database, "DROP VIEW IF EXISTS app.by_definer")
        for name in NAMES:
            lab.sql(database, f"DROP USER IF EXISTS {name}@'%'")


def test_the_teardown_drops_only_what_the_site_made(lab, foreign, variables):
    lab.good("site.yml", "--tags", "step2,step8,step3", "--skip-tags", "step9", *variables)
    for database in lab.databases:
        assert users(lab, database) == NAMES
        root(lab, database, VIEW)
    check = lab.good("teardown.yml", "--tags", "step3", "--check", *variables)
    assert [users(lab, database) for database in lab.databases] == [NAMES] * len(lab.databases)
    play = lab.good("teardown.yml", "--tags", "step3", "-vv", *variables)
    assert check.changed == play.changed
    for database in lab.databases:
        assert users(lab, database) == {"definer", "earlier", "converted"}
    for words in ("does not bear the mark ManagedBy=dbops.rds_iam", "the view app.by_definer", '"outcome": "kept"'):
        assert words in play.output
    again = lab.good("teardown.yml", "--tags", "step3", *variables)
    assert sum(again.changed.values()) == 0
    forced = [{"name": "definer", "force_drop": True}]
    lab.good("teardown.yml", "--tags", "step3", *variables, "-e", json.dumps({"db_users_accounts": forced}))
    for database in lab.databases:
        assert users(lab, database) == {"earlier", "converted"}


def test_an_order_to_drop_a_user_is_none_to_keep_it(lab, foreign, tmp_path):
    """In an inventory, and not in the teardown."""
    path = tmp_path / "absent.json"
    path.write_text(json.dumps({"db_users_accounts": [{"name": "earlier", "state": "absent"}]}))
    lab.good("site.yml", "--tags", "step2,step8,step3", "--skip-tags", "step9", "-e", f"@{path}")
    for database in lab.databases:
        assert users(lab, database) == {"converted"}


def test_a_token_does_not_expire_as_a_password_does(lab):
    """A real login to MariaDB that lets passwords expire after a day, by a user that the site made two days ago."""
    database = next(name for name, info in lab.databases.items() if info["server"] == "mariadb")
    lab.good("site.yml", "--limit", f"{CLIENT},{database}")
    made = "UPDATE mysql.global_priv SET priv = JSON_SET(priv, '$.password_last_changed', UNIX_TIMESTAMP() - 2 * 86400)"
    root(lab, database, "SET GLOBAL default_password_lifetime = 1", f"{made} WHERE user = 'app'", "FLUSH PRIVILEGES")
    program = lab.wrapper(CLIENT)
    try:
        login = lab.ssh(CLIENT, f"{program} {database} -Ne 'SELECT CURRENT_USER()'")
        assert login.stdout.strip() == "app@%", login.stderr
        root(lab, database, "ALTER USER app@'%' PASSWORD EXPIRE")
        expired = lab.ssh(CLIENT, f"{program} {database} -Ne 'SELECT CURRENT_USER()'")
        assert expired.returncode != 0 and "SET PASSWORD" in expired.stderr
        doctor = lab.playbook("doctor.yml", "--limit", f"{CLIENT},{database}")
        assert f"the account 'app'@'%' of {database} has expired as if it had a password" in doctor.output
        lab.good("site.yml", "--tags", "step3,step9", "--limit", f"{CLIENT},{database}")
        assert lab.ssh(CLIENT, f"{program} {database} -Ne 'SELECT 1'").stdout.strip() == "1"
    finally:
        root(lab, database, "SET GLOBAL default_password_lifetime = DEFAULT")


@pytest.mark.parametrize("text", ["pa{#ss", "pa{{ss", "pa{%ss"])
@pytest.mark.parametrize("playbook", ["site.yml", "teardown.yml", "doctor.yml", "report.yml"])
def test_a_password_that_ansible_takes_for_a_template_is_not_printed(lab, tmp_path, playbook, text):
    path = tmp_path / "inventory.yml"
    path.write_text(f"rds_databases:\n  hosts:\n    orders:\n      db_users_login_password: '{text}'\n")
    run = lab.playbook(playbook, "-i", str(lab.state / "inventory.yml"), "-i", str(path), "-vvv")
    assert run.status != 0 and text not in run.output
    assert "put the tag !unsafe before it" in " ".join(run.output.split())


def test_passwords_that_look_like_something_else(lab, tmp_path):
    """Digits alone, which YAML reads as a number, and braces with the tag that Ansible wants."""
    database = "orders"
    good = lab.databases[database]["master_password"]
    path = tmp_path / "inventory.yml"
    try:
        for password, written in (("12345678901", "12345678901"), ("pa{#{{x}}{%ss", "!unsafe 'pa{#{{x}}{%ss'")):
            root(lab, database, f"ALTER USER admin@'%' IDENTIFIED BY '{password}'")
            path.write_text(f"rds_databases:\n  hosts:\n    {database}:\n      db_users_login_password: {written}\n")
            inventory = ["-i", str(lab.state / "inventory.yml"), "-i", str(path)]
            run = lab.good("site.yml", "--tags", "step2,step8,step3", "--limit", f"{CLIENT},{database}", *inventory)
            assert password not in run.output
    finally:
        root(lab, database, f"ALTER USER admin@'%' IDENTIFIED BY '{good}'")
