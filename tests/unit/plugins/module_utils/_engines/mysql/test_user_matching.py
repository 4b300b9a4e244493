# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The row that a server picks. What real servers pick is in tests/integration/servers/test_user_matching.py."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_matching import (
    ServerKind,
    candidate_keys,
    candidate_rows,
)

MARIADB = ServerKind.of("mariadb", "10.11.19")
MYSQL = ServerKind.of("mysql", "8.0.36")
OLD_MYSQL = ServerKind.of("mysql", "5.7.44")
SERVERS = [MARIADB, MYSQL, OLD_MYSQL]
CLIENT = "10.0.1.5"


def row(host: str, name: str = "app") -> dict:
    return {"name": name, "host": host}


def hosts(rows, client=CLIENT, server=MYSQL, user="app") -> list:
    """The hosts of the candidates, in any order of the rows."""
    found = {
        tuple(found and (found["name"], found["host"]) for found in candidate_rows(order, user, client, server))
        for order in itertools.permutations(rows)
    }
    assert len({frozenset(candidates) for candidates in found}) == 1, "the order of the rows must not count"
    return sorted(found)[0]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("near", "far"),
    [
        ("10.0.1.5", "10.0.1.%"),
        ("10.0.1.%", "10.0.%"),
        ("10.0.%", "%"),
        ("10.0.0.0/255.255.0.0", "10.0.%"),
    ],
)
def test_the_most_specific_host_comes_first(server, near, far):
    assert hosts([row(near), row(far)], server=server) == (("app", near),)


@pytest.mark.parametrize("server", SERVERS)
def test_rows_of_other_clients_and_other_users_do_not_count(server):
    others = [row("192.168.%"), row("10.0.1.6"), row("db.example.com"), row("%", "App"), row("10.0.1.5", "report")]
    assert hosts([*others, row("%")], server=server) == (("app", "%"),)
    assert hosts(others, server=server) == (None,)


@pytest.mark.parametrize("server", SERVERS)
def test_an_anonymous_user_with_a_nearer_host_comes_first(server):
    assert hosts([row("%"), row("10.0.1.5", "")], server=server) == (("", "10.0.1.5"),)
    assert hosts([row("%"), row("%", "")], server=server) == (("app", "%"),)


def test_masks():
    """Each family reads its own notations; the manual has addresses, CIDR and subnet masks in this order."""
    cidr, mask, pattern = row("10.0.0.0/16"), row("10.0.0.0/255.255.0.0"), row("10.0.1.%")
    assert hosts([cidr, mask, pattern]) == (("app", "10.0.0.0/16"),)
    assert hosts([mask, pattern]) == (("app", "10.0.0.0/255.255.0.0"),)
    assert hosts([cidr, row("10.0.1.0/24")]) == (("app", "10.0.1.0/24"),)
    for server in (MARIADB, OLD_MYSQL):
        assert hosts([cidr], server=server) == (None,)
        assert hosts([cidr, mask, pattern], server=server) == (("app", "10.0.0.0/255.255.0.0"),)


@pytest.mark.parametrize("server", [MARIADB, OLD_MYSQL])
def test_an_order_that_the_server_leaves_open(server):
    """Address and mask are equally specific there, so that either may be the one."""
    found = hosts([row("10.0.1.5"), row("10.0.0.0/255.255.0.0"), row("%")], server=server)
    assert set(found) == {("app", "10.0.1.5"), ("app", "10.0.0.0/255.255.0.0")}
    assert hosts([row("10.0.1.5"), row("10.0.0.0/255.255.0.0")]) == (("app", "10.0.1.5"),)


def test_aurora_is_the_mysql_that_it_is_made_from():
    assert ServerKind.of("aurora-mysql", "5.7.mysql_aurora.2.11.1").version < (8,)
    assert ServerKind.of("aurora-mysql", "8.0.mysql_aurora.3.04.0").version >= (8, 0, 23)
    assert ServerKind.of("mysql", "26.10.0").version == (26, 10, 0)


@pytest.mark.parametrize("server", SERVERS)
def test_a_client_that_the_server_knows_by_name(server):
    """Its address may match as well, which nobody can tell from the name."""
    known = hosts([row("app1.example.com"), row("%")], "app1.example.com", server)
    assert known == (("app", "app1.example.com"),)
    assert hosts([row("app1.EXAMPLE.%"), row("%")], "app1.example.com", server) == (("app", "app1.EXAMPLE.%"),)
    assert set(hosts([row("10.0.%"), row("%")], "app1.example.com", server)) == {("app", "10.0.%"), ("app", "%")}
    assert set(hosts([row("10.0.0.0/255.0.0.0")], "app1.example.com", server)) == {("app", "10.0.0.0/255.0.0.0"), None}


def test_what_begins_with_a_wildcard():
    """MySQL looks at what stands before the first wildcard alone, MariaDB at all of it."""
    rows = [row("%.example.com"), row("%")]
    assert hosts(rows, "app1.example.com", MARIADB) == (("app", "%.example.com"),)
    assert set(hosts(rows, "app1.example.com", MYSQL)) == {("app", "%.example.com"), ("app", "%")}


@pytest.mark.parametrize("name", ["ip-10-0-1-5.eu-west-1.compute.internal", "ip-10-0-1-5.ec2.internal"])
def test_the_name_of_an_instance_has_its_address(name):
    assert hosts([row("10.0.%"), row("%")], name) == (("app", "10.0.%"),)
    assert hosts([row("10.1.%"), row("%")], name) == (("app", "%"),)


def test_a_client_that_the_server_did_not_name():
    assert hosts([row("%")], None) == (("app", "%"),)
    assert set(hosts([row("%"), row("192.168.%")], None)) == {("app", "%"), ("app", "192.168.%")}
    assert hosts([], None) == (None,)


def test_wildcards_can_be_literal():
    assert hosts([row(r"app\_1")], "app_1") == (("app", r"app\_1"),)
    assert hosts([row(r"app\_1")], "app11") == (None,)


@pytest.mark.parametrize("host", ["2001:db8::5", "2001:db8::%"])
def test_ipv6(host):
    assert hosts([row(host), row("%")], "2001:db8::5") == (("app", host),)


# As the MySQL Reference Manual has them under "Connection Verification", and others like them.
@pytest.mark.parametrize(
    ("hosts", "name", "client", "picked"),
    [
        (["%:root", "%:jeffrey", "localhost:root", "localhost:"], "jeffrey", "localhost", "localhost:"),
        (["%:jeffrey", "h1.example.net:"], "jeffrey", "h1.example.net", "h1.example.net:"),
        (["%:jeffrey", "h1.example.net:"], "jeffrey", "h2.example.net", "%:jeffrey"),
        (["%:app", "10.%:app", "10.0.%:app"], "app", "10.0.0.1", "10.0.%:app"),
        (["%:app", "10.%:app", "10.0.%:app"], "app", "10.1.0.1", "10.%:app"),
        (["%:app", "10.0.0.1:app"], "app", "10.0.0.1", "10.0.0.1:app"),
        (["%:app", "198.51.100.0/255.255.255.0:app"], "app", "198.51.100.7", "198.51.100.0/255.255.255.0:app"),
        (["%:app", "198.51.100.0/255.255.255.0:app"], "app", "198.51.101.7", "%:app"),
        (["%:app", "198.51.100.0/24:app", "198.51.0.0/16:app"], "app", "198.51.100.7", "198.51.100.0/24:app"),
        (["%:app", "2001:db8::%:app"], "app", "2001:db8::7", "2001:db8::%:app"),
        (["%:app", "%:"], "app", "10.0.0.1", "%:app"),
        (["%:app", "%:"], "other", "10.0.0.1", "%:"),
        ([":app"], "app", "10.0.0.1", ":app"),
        (["10.%:app"], "app", "11.0.0.1", None),
        (["%:App"], "app", "11.0.0.1", None),
    ],
)
def test_the_cases_of_the_manual(hosts, name, client, picked):
    keys = [tuple(reversed(host.rsplit(":", 1))) for host in hosts]
    found = [key for key in candidate_keys(keys, name, client, MYSQL) if key]
    assert [f"{host}:{user}" for user, host in found] == ([] if picked is None else [picked])


@pytest.mark.parametrize(
    ("client", "hosts"),
    [("10.1.0.1", ["web-%.example.org", "10.%"]), ("db.example.com", ["10.0.0.%", "10.%", "%"])],
)
def test_only_the_server_resolves_names(client, hosts):
    keys = [("app", host) for host in ("10.0.0.%", "10.%", "web-%.example.org", "%")]
    candidates = candidate_keys(keys, "app", client, MYSQL, address_may_have_name=True)
    assert [key and key[1] for key in candidates] == hosts


@pytest.mark.parametrize("host", ["db%", "ec2%", "cafe"])
def test_the_name_of_a_client_may_consist_of_hexadecimal_digits(host):
    candidates = candidate_keys([("app", host), ("app", "%")], "app", "10.0.1.5", MYSQL, address_may_have_name=True)
    assert set(candidates) == {("app", host), ("app", "%")}


def test_a_network_that_is_none_matches_nobody():
    assert candidate_keys([("app", "10.0.0.1/255.0.0.0")], "app", "10.0.0.1", MYSQL) == [None]
