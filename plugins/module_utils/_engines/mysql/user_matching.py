# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the row of mysql.user that a server picks for a login. Pure, and private to this collection.

Sources: the MySQL reference manual, "Access Control, Stage 1: Connection Verification"
(dev.mysql.com/doc/refman/8.0/en/connection-access.html); MariaDB's sql/sql_acl.cc, get_magic_sort().
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import UserKey

ANONYMOUS = ""  # the name of the user that a server may pick for any name
# MySQL sorts addresses before names, and masks after addresses, since this version.
_ADDRESSES_FIRST = (8, 0, 23)
_LONGEST_HOST = 255  # of MariaDB; shorter before 10.6, which does not change the order
_ADDRESS_BITS = 32
_ALL_BITS = 2**_ADDRESS_BITS - 1
_BYTES = range(256)
# Of Aurora MySQL, the first that is made from MySQL 8.0.23 or later.
_AURORA_ADDRESSES_FIRST = 3
# AWS names an instance after its address: ip-10-0-1-5.eu-west-1.compute.internal, ip-10-0-1-5.ec2.internal
# (docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html).
_NAMED_AFTER_ADDRESS = re.compile(r"ip-(\d+)-(\d+)-(\d+)-(\d+)\.(?:ec2|[a-z0-9-]+\.compute)\.internal", re.I)
_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


@dataclass(frozen=True)
class ServerKind:
    """The family of a server and its version, which decide about the order of the rows."""

    is_mariadb: bool
    version: tuple[int, ...]

    @classmethod
    def of(cls, engine: str, engine_version: str) -> ServerKind:
        """Read it from the engine and the version of a database, as RDS or C(VERSION()) has them.

        Aurora MySQL version 3 is MySQL 8.0.23 or later (AuroraMySQL.Updates.30Updates in the Aurora user guide); its
        version begins with 8.0.mysql_aurora.3.
        """
        if ".mysql_aurora." in engine_version:
            family = engine_version.split(".mysql_aurora.")[1]
            return cls(False, _ADDRESSES_FIRST if int(family.split(".")[0]) >= _AURORA_ADDRESSES_FIRST else (5, 7))
        numbers = re.match(r"\d+(?:\.\d+)*", engine_version)
        return cls(engine == "mariadb", tuple(map(int, numbers[0].split("."))) if numbers else _ADDRESSES_FIRST)


def candidate_rows(
    rows: Iterable[UserRow], user: str, client_host: str | None, server: ServerKind
) -> list[UserRow | None]:
    """Return the rows among which is the one that the server picks for a login.

    One row where that is certain, and [None] where no row is for this login. More than one where the manual leaves the
    order open, or where it is not known how the server knows the client; None is among them if there may be no row.

    rows: all rows with the name of the user, and those of the anonymous user, whose name is empty
    client_host: the address or the name by which the server knows the client, as in its error messages; None if unknown
    """
    by_key = {(row["name"], row["host"]): row for row in rows}
    keys = candidate_keys(by_key, user, client_host, server)
    return [None if key is None else by_key[key] for key in keys]


def candidate_keys(
    keys: Iterable[UserKey],
    user: str,
    client_host: str | None,
    server: ServerKind,
    *,
    address_may_have_name: bool = False,
) -> list[UserKey | None]:
    """Return what candidate_rows() does, for rows of which only the name of the user and the host are known.

    address_may_have_name: a client that is known by its address counts as one that a host with a name may be for
    """
    client = _Client(client_host, address_may_have_name)
    specificities = {key: _specificity(key, server) for key in keys if key[0] in (user, ANONYMOUS)}
    candidates: list[UserKey | None] = []
    certain_specificity = None  # that of the first row that certainly matches
    for key in sorted(specificities, key=specificities.__getitem__, reverse=True):
        if certain_specificity is not None and specificities[key] != certain_specificity:
            return candidates
        matches = client.matches(key[1], server)
        if matches is not False:
            candidates.append(key)
        if matches:
            certain_specificity = specificities[key]
    return candidates if certain_specificity is not None else [*candidates, None]


class _Client:
    """A client as a server may know it: by its address, by its name, or by both."""

    def __init__(self, host: str | None, address_may_have_name: bool) -> None:
        name_with_address = _NAMED_AFTER_ADDRESS.fullmatch(host or "")
        is_address = host is not None and (_IPV4.fullmatch(host) is not None or ":" in host)
        self.is_known = bool(host)
        self.name = None if is_address else host
        self.address = ".".join(name_with_address.groups()) if name_with_address else host if is_address else None
        self.may_have_name = is_address and address_may_have_name

    def matches(self, host: str, server: ServerKind) -> bool | None:
        """Return whether the host of a row is for this client; None if that cannot be known."""
        if host in ("", "%"):
            return True
        if not self.is_known:
            return None
        network = _network(host, server)
        if network and self.address:
            number = _number(self.address)
            return number is not None and number & network[1] == network[0]
        if not network and any(_is_like(host, identity) for identity in (self.name, self.address) if identity):
            return True
        if self.address:  # a server that shows the name of a client matches its address, too
            return None if self.may_have_name and not _is_address_pattern(host) else False
        return None if network or _may_be_address(host) else False


def _is_like(pattern: str, text: str) -> bool:
    """Match as LIKE does, where case does not count."""
    parts = re.findall(r"\\.|.", pattern, re.S)
    wildcards = {"%": ".*", "_": "."}
    expression = "".join(wildcards.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, text, re.I | re.S) is not None


def _may_be_address(pattern: str) -> bool:
    """Return whether a pattern can match an address: only digits, dots, colons, hexadecimal letters and wildcards."""
    return re.fullmatch(r"[0-9a-fA-F.:%_]*", pattern) is not None


def _is_address_pattern(pattern: str) -> bool:
    """Return whether a pattern matches nothing but addresses, unless it consists of wildcards."""
    return re.fullmatch(r"[0-9.%_]*", pattern) is not None or ":" in pattern


def _number(address: str) -> int | None:
    """Return an IPv4 address as a number."""
    parts = _IPV4.fullmatch(address)
    if not parts or any(int(part) not in _BYTES for part in parts.groups()):
        return None
    return int.from_bytes(bytes(map(int, parts.groups())), "big")


def _network(host: str, server: ServerKind) -> tuple[int, int] | None:
    """Return address and mask of the host of a row, if it has a mask that the server understands."""
    address, slash, mask = host.partition("/")
    number = _number(address)
    if not slash or number is None:
        return None
    if mask.isdigit():  # MySQL alone, since it sorts by it
        if server.is_mariadb or server.version < _ADDRESSES_FIRST or not 0 < int(mask) <= _ADDRESS_BITS:
            return None
        return number, _ALL_BITS << (_ADDRESS_BITS - int(mask)) & _ALL_BITS
    mask_number = _number(mask)
    return (number, mask_number) if mask_number is not None else None


def _specificity(key: UserKey, server: ServerKind) -> tuple[int, ...]:
    """Return a rank that is greater for the row that the server looks at first."""
    name, host = key
    if server.is_mariadb:
        return (*_generality(host), bool(name))
    if server.version >= _ADDRESSES_FIRST:
        return (*_kind_of_address(host), _prefix(host), bool(name))
    return (_prefix(host), bool(name))


def _kind_of_address(host: str) -> tuple[int, int]:
    """Return how MySQL ranks an address, and its mask: full addresses, then CIDR, then subnet masks, then names."""
    if _number(host) is not None:
        return 3, _ALL_BITS
    address, _slash, mask = host.partition("/")
    if _number(address) is None:
        return 0, 0
    if mask.isdigit():
        return 2, _ALL_BITS << (_ADDRESS_BITS - min(int(mask), _ADDRESS_BITS)) & _ALL_BITS
    mask_number = _number(mask)
    return (0, 0) if mask_number is None else (1, mask_number)


def _prefix(host: str) -> int:
    """Return how MySQL ranks a name or a pattern: the longer what stands before its first wildcard, the earlier."""
    if not host:
        return 0
    wildcard = re.search(r"(?<!\\)[%_]", host)
    return min(wildcard.start() + 1, 127) if wildcard else 128


def _generality(host: str) -> tuple[int, ...]:
    """Return how MariaDB ranks a host: by how many strings it can match, then by what its first wildcard follows."""
    parts = re.findall(r"\\.|%+|.", host or "%", re.S)
    percent_signs = sum(part[0] == "%" for part in parts)
    underscores = parts.count("_")
    literals = len(parts) - percent_signs - underscores
    free_characters = _LONGEST_HOST - literals - underscores if percent_signs else 0
    percent_signs, underscores = min(percent_signs, 31), min(underscores, 31)
    first_wildcard = next((number for number, part in enumerate(parts) if part[0] == "%" or part == "_"), 0)
    variable_size = (free_characters * 2 + 1, percent_signs, underscores)
    fixed_size = (underscores * 2, free_characters, percent_signs)
    size = variable_size if free_characters > underscores else fixed_size
    return tuple(-number for number in (*size, first_wildcard))
