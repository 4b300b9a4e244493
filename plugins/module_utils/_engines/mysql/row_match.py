# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which row of mysql.user a server picks for a login. Pure, and private to this collection.

A server sorts the rows by how narrow the host part is, then by the name, the anonymous one last, and takes the first
that matches (MySQL Reference Manual, Access Control, Stage 1: Connection Verification).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable


def candidates(keys: Iterable[tuple[str, str]], name: str, client: str) -> list[tuple[str, str]]:
    """Return the rows, as name and host, that a server may have picked for a login.

    There is one, or none, where C(client) says for sure which rows match. There are more where it is the address and a
    row names a host, or the other way round, since only the server resolves names.
    """
    result = []
    for key in sorted((key for key in keys if key[0] in ("", name)), key=_narrow_first):
        matches = host_matches(key[1], client)
        if matches is not False:
            result.append(key)
        if matches:
            break
    return result


def host_matches(pattern: str, client: str) -> bool | None:
    """Return whether a client matches the host part of a database user, or None where only the server can know.

    C(client) is an address or a name, as C(SHOW PROCESSLIST) has it, without the port.
    """
    if pattern in ("", "%") or pattern.lower() == client.lower():
        return True
    network, address = _network(pattern), _address(client)
    if "/" in pattern and (network is None or address is not None):
        return network is not None and address.version == network.version and address in network
    if "/" in pattern:
        return None
    expression = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    if re.fullmatch(expression, client, re.I):
        return True
    of_addresses = re.fullmatch(r"[\d.%_]+|[\da-fA-F:.%_]*:[\da-fA-F:.%_]*", pattern) is not None
    return False if of_addresses == (address is not None) else None


def _address(text: str):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(pattern: str):
    """Return the network that a host part with a slash stands for. A server wants the address of the network itself."""
    try:
        return ipaddress.ip_network(pattern) if "/" in pattern else None
    except ValueError:
        return None


def _narrow_first(key: tuple[str, str]) -> tuple:
    name, host = key
    network = _network(host)
    wildcard = re.search(r"[%_]|^$", host)
    if network:
        narrowness = (1, -network.prefixlen)
    else:
        narrowness = (2, -wildcard.start()) if wildcard else (0, 0)
    return (narrowness, not name, host, name)
