# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find patterns of resources by the database users and databases that they name. Pure, private to this collection.

A policy may have a pattern for each database user, so that reading all of them for each user would cost the square.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern, is_pattern

_SHAPE = re.compile(r"(?P<kind>[^:/]*)(?P<first>[:/]?)(?P<id>[^:/]*)(?P<second>[:/]?)(?P<user>.*)", re.S)


@dataclass(frozen=True)
class ResourceShape:
    """A resource, read as the ARN of a database user that may be misspelt, as with a slash in place of a colon."""

    head: tuple[str, ...]  # partition, service, Region and account
    name: str  # what follows them
    kind: str
    first_separator: str
    database: str
    second_separator: str
    user: str

    def has_database(self, prefix: str) -> bool:
        """Tell whether it names, or matches, the database whose ARNs of database users begin with a prefix."""
        *head, database = _split_prefix(prefix)
        return all(map(glob_matches, (*self.head, self.database), (*head, database)))


def read_shape(resource: str) -> ResourceShape | None:
    """Return the shape of a resource; None where it is no ARN."""
    _arn, *head, name = (*resource.split(":", 5), *[""] * 6)[:6]
    shape = _SHAPE.fullmatch(name)
    if not resource.startswith("arn:") or not name or shape is None:
        return None
    return ResourceShape(tuple(head), name, *shape.groups())


def _split_prefix(prefix: str) -> tuple[str, ...]:
    """Return the partition, service, Region, account and resource id in what ARNs of database users begin with."""
    _arn, *head, _kind, database = prefix.split(":", 6)
    return (*head, database)


@dataclass
class _Spelling:
    """The patterns without wildcards that are the same but for the database; positions of the first ones."""

    position: int
    positions: dict[str, dict[str, int]] = field(default_factory=dict)  # by database, in lower case and as it is


@dataclass(frozen=True)
class NamedUsers:
    """The users, or patterns of users, that patterns name on one database, in their order."""

    position: int  # of the first of these patterns; -1 without one
    names: list[str]


class PatternIndex:
    """Patterns by their positions in a list."""

    def __init__(self, resources: list[ResourcePattern]) -> None:
        self._spellings: dict[str, dict[tuple[object, ...], _Spelling]] = defaultdict(dict)  # by user in lower case
        self._inexact_positions: dict[str, list[int]] = defaultdict(list)  # by user in lower case
        self._open_positions: list[int] = []  # of patterns that may be for any user
        self._users: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)  # by database; positions by user
        self._database_patterns: list[tuple[int, ResourceShape]] = []  # of those for several databases
        self._named_users: dict[str, NamedUsers] = {}  # by prefix
        for position, pattern in enumerate(resources):
            self._add(position, pattern)

    def _add(self, position: int, pattern: ResourcePattern) -> None:
        if pattern.empty_variable:
            self._open_positions.append(position)
            return
        shape = read_shape(pattern.glob)
        if is_pattern(pattern.glob):
            # What follows the last slash is then the end of every ARN that matches.
            if shape and shape.second_separator == "/" and "/" not in shape.user and not is_pattern(shape.user):
                self._inexact_positions[shape.user.lower()].append(position)
            else:
                self._open_positions.append(position)
        elif shape:
            self._add_spelling(position, shape)
        if shape and shape.user:
            self._add_user(position, shape)

    def _add_spelling(self, position: int, shape: ResourceShape) -> None:
        key = (shape.head, shape.kind, shape.first_separator, shape.second_separator, shape.user)
        spelling = self._spellings[shape.user.lower()].setdefault(key, _Spelling(position))
        spelling.positions.setdefault(shape.database.lower(), {}).setdefault(shape.database, position)

    def _add_user(self, position: int, shape: ResourceShape) -> None:
        database = (*shape.head, shape.database)
        if any(map(is_pattern, database)):
            self._database_patterns.append((position, shape))
        else:
            self._users[database].setdefault(shape.user, position)

    def candidates(self, arn: str, databases: Iterable[str]) -> list[int]:
        """Return the positions of the patterns that may be meant for a database user, in their order.

        Of patterns without wildcards that are the same but for the database, these are the first one, and the first
        ones that name one of the databases. None of the others is nearer to the ARN.

        arn: the ARN of the database user
        databases: its resource id, and names that may be confused with that; case does not count
        """
        user = arn.partition("/")[2].lower()
        names = {name.lower() for name in databases}
        positions = {*self._open_positions, *self._inexact_positions.get(user.rpartition("/")[2], ())}
        for spelling in self._spellings.get(user, {}).values():
            positions.add(spelling.position)
            for name in names:
                positions.update(spelling.positions.get(name, {}).values())
        return sorted(positions)

    def users_on(self, prefix: str) -> NamedUsers:
        """Return the users that the patterns name on a database, as far as they name one.

        prefix: what the ARNs of its users begin with, without the slash
        """
        if prefix not in self._named_users:
            users = [(position, user) for user, position in self._users.get(_split_prefix(prefix), {}).items()]
            users += [
                (position, shape.user) for position, shape in self._database_patterns if shape.has_database(prefix)
            ]
            users.sort()
            names = list(dict.fromkeys(user for _position, user in users))
            self._named_users[prefix] = NamedUsers(users[0][0] if users else -1, names)
        return self._named_users[prefix]
