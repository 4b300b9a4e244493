# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments of rds-mysql in all their spellings, judged by the clients themselves.

A client prints its variables as its arguments have set them. So it says what it makes of a spelling, and what it makes
of that which rds-mysql writes in its place. With C(SOAK) in the environment all spellings are tried, else a sample.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mysql
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import client_options, rds_mysql
from cached import make_once

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("LAB_CACHE") or CHECKOUT / ".cache/lab").absolute()
SAMPLE = 12_000  # spellings for each client
PREFIXES = (
    *("", "loose-", "skip-", "enable-", "disable-", "maximum-", "loose-skip-", "loose_maximum_", "skip_", "autoset-"),
    *("maximum-loose-", "enable-skip-", "LOOSE-"),
)
VALUES = ("", "=x/y", "=0", "=1", "=", "=report", "=off")
# What may stand between other arguments.
WORDS = ("report", "-p", "--", "", "-", "--ssl-mode=DISABLED", "--host=elsewhere", "=x", "--user=root", "select 1")
SOCKET, USER = "/tmp/rds-mysql-x/socket", "app"
# What a client prints that decides where it logs in, as whom, by which plugin and whom it trusts.
DECIDING = re.compile(
    r"user|host|port|protocol|socket|password|pipe|shared-memory|dns-srv|bind-address|network|plugin-dir|default-auth"
    r"|ssl|tls|server-public-key|get-server-public-key|enable-cleartext|secure-auth|oci|authentication|telemetry"
    r"|character-sets-dir|register-factor|plugin-authentication"
)


class Client:
    """A client program and what it says of its options."""

    def __init__(self, family: str, command: list[str], place: Path):
        self.family, self.command, self.place = family, command, place
        self._expected = {}
        text = self._print("--no-defaults", "--help")
        shown, self.variables = text.partition("Variables (--variable-name")[0], self.table("--no-defaults")
        self.names = sorted(
            {*re.findall(r"--([a-z][a-z0-9-]+)", shown), *self.variables, "defaults-file", "login-path"}
        )
        self.letters = sorted(set(re.findall(r"^  -(\S), ", shown, re.M)))
        assert len(self.names) > 70 and len(self.letters) > 25

    def _print(self, *arguments: str, environment: dict | None = None) -> str:
        """Return what the client prints; nothing if it fails, or logs in, since an argument swallows another."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        options |= {"text": True, "errors": "surrogateescape", "cwd": self.place, "start_new_session": True}
        environment = environment or {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}
        with subprocess.Popen([*self.command, *arguments], env=environment, **options) as running:
            try:
                printed = running.communicate(timeout=5)[0]
            except subprocess.TimeoutExpired:
                running.kill()
                return ""
        return printed if running.returncode == 0 else ""

    def table(self, *arguments: str, environment: dict | None = None) -> dict[str, str] | None:
        """The variables after these arguments; None if the client ends with an error, or would not print them."""
        lines = self._print(*arguments, "--help", environment=environment).splitlines()
        start = next((number for number, line in enumerate(lines) if line.startswith("-----")), None)
        if start is None:
            return None
        pairs = [line.partition(" ") for line in lines[start + 1 :]]
        return {name: value.strip() for name, _space, value in pairs if re.fullmatch(r"[a-z0-9-]+", name)}

    def rewritten(self, options: list[str], user: str) -> dict[str, str] | None:
        """The variables after what rds-mysql gives the client for these options."""
        return self.table(*rds_mysql.client_arguments(options, self.family, SOCKET, user))

    def expected(self, user: str) -> dict[str, str]:
        """Return the options that decide about the login, without options of the caller."""
        if user not in self._expected:
            self._expected[user] = deciding(self.rewritten([], user))
        return self._expected[user]


def fetched(package: str, program: str) -> list[str]:
    """The command of a client of Debian's unstable release, from the cache or fetched now."""
    try:
        root = make_once(CACHE / f"{package}-sid", lambda place: mysql.unpack(package, place))
    except mysql.NoMirrorError as exc:
        pytest.skip(str(exc))
    return [*mysql.loader(root), str(root / "usr/bin" / program)]


CLIENTS = {
    "MariaDB": (client_options.MARIADB, lambda: ["mariadb"]),
    "MySQL": (client_options.MYSQL, lambda: fetched("mysql-client-core", "mysql")),
}
if "SOAK" in os.environ:
    CLIENTS["newest MariaDB"] = client_options.MARIADB, lambda: fetched("mariadb-client-core", "mariadb")


@pytest.fixture(scope="module", params=CLIENTS)
def client(request, tmp_path_factory):
    family, command = CLIENTS[request.param]
    return Client(family, command(), tmp_path_factory.mktemp("client"))


def spellings(client: Client) -> list[tuple[str, ...]]:
    """Every option, by all its first letters, with all prefixes and values; letters alone and in groups; and rows."""
    names = {name[:end] for name in client.names for end in range(1, len(name) + 1)}
    long = [(f"--{prefix}{name}{value}",) for prefix in PREFIXES for name in sorted(names) for value in VALUES]
    long += [
        (f"--{prefix}{name}".replace("-", "_").replace("__", "--", 1), "report")
        for prefix in PREFIXES[:7]
        for name in client.names
    ]
    letters = [*client.letters, "k", "z", "é"]
    groups = ["".join(group) for length in (1, 2, 3) for group in itertools.product(letters, repeat=length)]
    short = [(f"-{group}{value}",) for group in groups for value in ("", "report")]
    short += [(f"-{group}", "report") for group in groups]
    rows = random.Random(3)
    pool = [spelling[0] for spelling in rows.sample(long, 3000) + rows.sample(short, 3000)]
    pool += [f"--{option.name}" for option in client_options.PASSED_ON] * 20
    mixed = [
        tuple(rows.choice(pool + list(WORDS) * 300) for _word in range(rows.randint(2, 4))) for _row in range(6000)
    ]
    everything = list(dict.fromkeys(long + short + mixed))
    if "SOAK" in os.environ:
        return everything
    return rows.sample(everything, SAMPLE // 2) + rows.sample(mixed, SAMPLE // 4) + rows.sample(long, SAMPLE // 4)


def accepted(client: Client, spelling: tuple[str, ...]) -> tuple[list[str], str | None, list[str]] | None:
    """The options in full, the user and the positional arguments; None for what rds-mysql does not take."""
    try:
        read = client_options.parse(list(spelling))
        options = client_options.for_client(read, client.family)
    except client_options.ArgumentError:
        return None
    return None if read.help or read.version else (options, read.user, read.positional)


def deciding(table: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in table.items() if DECIDING.match(name)}


def judge(client: Client, spelling: tuple[str, ...]) -> str:
    """Tell what the client makes of a spelling: refused by rds-mysql, refused by the client, good, or what is wrong."""
    read = accepted(client, spelling)
    if read is None:
        return "refused"
    options, user, positional = read
    expected = client.expected(user or USER)
    table = client.rewritten(options, user or USER)
    if table is None:
        return "refused by the client"
    if deciding(table) != expected:
        return f"{spelling} changes {dict(deciding(table).items() - expected.items())}"
    client_table = client.table("--no-defaults", *spelling)
    if client_table is None or positional or "--" in spelling:
        return "good"
    return difference(spelling, user, client_table, table) or "good"


def difference(spelling: tuple[str, ...], user: str | None, client_table: dict[str, str], table: dict[str, str]) -> str:
    """Say what the client reads otherwise than rds-mysql does; nothing if they agree."""
    if (client_table["user"] if user else "(No default value)") != (user or client_table["user"]):
        return f"{spelling} is the user {client_table['user']} for the client, and {user} for rds-mysql"
    others = {name: value for name, value in client_table.items() if not DECIDING.match(name)}
    if others.items() - table.items():
        return f"{spelling} is {dict(others.items() - table.items())} for the client, which is not what it gets"
    return ""


def test_no_spelling_decides_about_the_login(client):
    """And among those that rds-mysql refuses are many with which the client would do something else."""
    tried = spellings(client)
    assert len(set(tried)) > 10_000
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda spelling: judge(client, spelling), tried))
    counted = {verdict: verdicts.count(verdict) for verdict in ("good", "refused", "refused by the client")}
    print(client.family, len(set(tried)), counted)
    assert sorted({verdict for verdict in verdicts if verdict not in counted}) == []
    assert counted["good"] > 1000 and counted["refused"] > 5000
    refused = [spelling for spelling, verdict in zip(tried, verdicts) if verdict == "refused" and "=" in spelling[0]]
    tried = random.Random(5).sample(refused, 1000)
    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(lambda spelling: client.table("--no-defaults", *spelling), tried))
    plain = deciding(client.table("--no-defaults"))
    assert sum(table is not None and deciding(table) != plain for table in tables) > 10


def test_no_variable_of_the_environment_decides_about_the_login(client, monkeypatch):
    """Every one whose name is in the program or in its library."""
    program = Path(shutil.which(client.command[-1]) or client.command[-1]).resolve()
    libraries = [path for path in program.parents[1].glob("lib/**/libm*client*.so*") if path.is_file()]
    libraries += Path("/usr/lib").glob("**/libmariadb.so*") if client.family == client_options.MARIADB else []
    text = b"\0".join(path.read_bytes() for path in [program, *libraries])
    names = {name.decode() for name in re.findall(rb"(?<![\w%])(?:LIB)?(?:MYSQL|MARIADB)_[A-Z_]+(?=\0)", text)}
    assert {"MYSQL_PWD", "MYSQL_TCP_PORT", "MYSQL_HOST"} <= names
    plain = client.rewritten([], USER)
    for name in names:
        monkeypatch.setenv(name, "7")
    given = {**os.environ, "PATH": "/usr/bin:/bin"}
    assert client.table("--no-defaults", environment=given) != client.table("--no-defaults")
    passed_on = rds_mysql.client_environment()
    arguments = rds_mysql.client_arguments([], client.family, SOCKET, USER)
    assert deciding(client.table(*arguments, environment=passed_on)) == deciding(plain)
    left = {name: value for name, value in passed_on.items() if name in names}
    assert {name for name, value in left.items() if value == "7"} <= set(rds_mysql.HARMLESS_VARIABLES)
