# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of several users of one name the collection finds the one that the servers pick."""

from __future__ import annotations

import itertools
import random
import ssl

import pymysql
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_matching import (
    ServerKind,
    candidate_rows,
)

PASSWORD = "Passw0rd-of-a-test"
CLIENTS = ("127.0.0.1", "127.0.0.5", "127.0.1.5", "127.1.1.5")
# Addresses, patterns, masks of both notations, and what is for no client here.
HOSTS = (
    *("127.0.0.5", "127.0.1.5", "127.0.0.%", "127.0.%", "127.0.%.5", "127.%.%.5", "127.%", "%", "%.5", "127.0._.5"),
    *("_27.0.0.5", "127.0.0.0/255.255.255.0", "127.0.0.0/255.255.0.0", "127.0.0.0/24", "127.0.0.0/16", "127.0.0.0/8"),
    *("10.%", "app.example.com", "%.example.com", "127._%", "127.0.0._", "127.0.___", "1__.0.0.5"),
)


def quote(text: str) -> str:
    return "'" + text + "'"


def picked(server, client: str, user: str) -> tuple[str, str] | None:
    """CURRENT_USER() of a login from this address, or None where the server refuses it."""
    context = ssl.create_default_context(cafile=server.ca_file)
    context.check_hostname = False
    login = {"host": "127.0.0.1", "port": server.port, "user": user, "password": PASSWORD, "ssl": context}
    try:
        with pymysql.connect(**login, bind_address=client) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER()")
            return tuple(cursor.fetchone()[0].rsplit("@", 1))
    except pymysql.err.OperationalError as exc:
        assert exc.args[0] == 1045, exc
        return None


def create(server, users) -> None:
    statement = ", ".join(f"{quote(name)}@{quote(host)} IDENTIFIED BY {quote(PASSWORD)}" for name, host in users)
    server.sql(f"CREATE USER {statement}")


def server_kind(server) -> ServerKind:
    [(version,)] = server.sql("SELECT VERSION()")
    return ServerKind.of("mariadb" if "MariaDB" in version else "mysql", version)


def check(server, users, name: str, clients=CLIENTS) -> int:
    """Compare the choice of the server for each client; return for how many of them it was certain."""
    rows, kind, certain = [{"name": user, "host": host} for user, host in users], server_kind(server), 0
    for client in clients:
        candidates = candidate_rows(rows, name, client, kind)
        names = [row and (row["name"], row["host"]) for row in candidates]
        answer = picked(server, client, name)
        assert answer in names, (client, users, names, answer)
        certain += len(names) == 1
    return certain


def test_every_pair_of_hosts(server):
    pairs = {f"pair{number}": hosts for number, hosts in enumerate(itertools.combinations(HOSTS, 2))}
    create(server, [(name, host) for name, hosts in pairs.items() for host in hosts])
    certain = sum(check(server, [(name, host) for host in hosts], name, CLIENTS[1:2]) for name, hosts in pairs.items())
    assert certain > 0.8 * len(pairs)


def test_any_users_with_anonymous_ones(server):
    chance, everything = random.Random(16), list(itertools.product(("match", ""), HOSTS))
    certain = 0
    for _round in range(20):
        users = chance.sample(everything, chance.randint(2, 8))
        create(server, users)
        certain += check(server, users, "match")
        server.drop(users)
    assert certain > 0.8 * 20 * len(CLIENTS)


@pytest.mark.parametrize("host", ["127.0.0.5", "127.0.0.%"])
def test_an_old_user_with_a_nearer_host_is_the_one(server, host):
    create(server, [("match", "%"), ("match", host)])
    assert picked(server, "127.0.0.5", "match") == ("match", host)
    assert picked(server, "127.0.1.5", "match") == ("match", "%")
