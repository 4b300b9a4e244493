# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which row of mysql.user is picked, with the cases of the MySQL Reference Manual, "Connection Verification"."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import row_match


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
def test_the_row_that_is_picked(hosts, name, client, picked):
    keys = [tuple(reversed(host.rsplit(":", 1))) for host in hosts]
    found = row_match.candidates(keys, name, client)
    assert [f"{host}:{user}" for user, host in found] == ([] if picked is None else [picked])


@pytest.mark.parametrize(
    ("client", "hosts"),
    [("10.1.0.1", ["web-%.example.org", "10.%"]), ("db.example.com", ["10.0.0.%", "10.%", "%"])],
)
def test_only_the_server_resolves_names(client, hosts):
    keys = [("app", host) for host in ("10.0.0.%", "10.%", "web-%.example.org", "%")]
    assert [host for _name, host in row_match.candidates(keys, "app", client)] == hosts


def test_a_network_that_is_none_matches_nobody():
    assert row_match.host_matches("10.0.0.1/255.0.0.0", "10.0.0.1") is False
