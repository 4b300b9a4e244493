# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program rds-mysql, without the databases that it knows. Private to this collection.

The role connect puts the program together: the modules that are imported here, this one, and the databases. It runs
the client of the host, for which a relay (login_relay.py) logs in with a token.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_options import (
    ArgumentError,
    Arguments,
    for_client,
    parse,
    usage,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_program import (
    MARIADB,
    MYSQL,
    family_of,
    find_client_programs,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_relay import (
    Target,
    start_relay,
    trust_authorities,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.issue import issue
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV

LOGIN_TIMEOUT = 30  # seconds, if --connect-timeout says nothing else
# The variables of the clients that say neither where to log in, nor as whom, by which plugin and whom to trust.
HARMLESS_VARIABLES = ("MYSQL_HISTFILE", "MYSQL_HISTIGNORE", "MYSQL_PS1", "MARIADB_HISTFILE")
# Between a client and the relay there is no TLS; between the relay and the database there is.
LOCAL_OPTIONS = {MARIADB: ["--skip-ssl"], MYSQL: ["--ssl-mode=DISABLED"]}
_LAST_STREAM = 2  # the number of standard error
_POSITIONAL = 2  # arguments: the database and the schema


class UsageError(Exception):
    """No client is started. The message is one sentence on the reason."""


class Database(TypedDict):
    """A database that rds-mysql knows."""

    endpoint: str
    port: int
    region: str
    ca_file: str
    users: list[str]  # those that this host may log in as, the default first


@dataclass(frozen=True)
class ClientProgram:
    """The client program of this host."""

    path: str
    family: str  # MARIADB or MYSQL
    version: str  # as the program prints it


def run_program(databases: dict[str, Database]) -> None:
    """Run rds-mysql with the arguments of this process. Returns only where it has printed its help or version."""
    open_standard_streams()
    find_botocore()
    try:
        become_client(parse(sys.argv[1:]), databases)
    except (ArgumentError, RdsIamError, UsageError) as exc:
        raise SystemExit(f"rds-mysql: {exc}") from None


def open_standard_streams() -> None:
    """Open the closed ones among input, output and errors to nowhere, so that no other file gets their numbers."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= _LAST_STREAM:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def find_botocore() -> None:
    """Go on with the Python that the role db_client made for botocore, if that is another version than this one."""
    python = f"{VENV}/bin/python3"
    if not importlib.util.find_spec("botocore") and sys.prefix != VENV and os.path.exists(python):
        os.execv(python, [python, "-I", *sys.argv])


def become_client(arguments: Arguments, databases: dict[str, Database]) -> None:
    """Start the relay of the login that the arguments ask for, and become the client program."""
    if arguments.help:
        sys.stdout.write(f"{help_text(databases)}\n")
        return
    if arguments.version:
        sys.stdout.write(f"rds-mysql of dbops.rds_iam, with {find_client().version}\n")
        return
    database, schema = choose_database(arguments.positional, databases)
    user = choose_user(arguments.user, database)
    client = find_client()
    options = for_client(arguments, client.family) + ([] if schema is None else [f"--database={schema}"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    timeout = arguments.connect_timeout or LOGIN_TIMEOUT
    target = relay_target(database, user, authentication_method(client), timeout)
    try:
        socket_path = start_relay(target)
    except OSError as exc:
        raise UsageError(f"no socket can be made for the client: {exc.strerror or exc}.") from None
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
    try:
        own_arguments = client_arguments(options, client.family, socket_path, user)
        os.execve(client.path, [client.path, *own_arguments], client_environment())
    except OSError as exc:
        raise UsageError(f"{client.path} cannot be started: {exc.strerror}.") from None


def client_arguments(options: list[str], family: str, socket_path: str, user: str) -> list[str]:
    """Return the arguments of the client: no option file, the options of the caller, and the way to the relay.

    The port is for other hosts, to which MariaDB's client goes if its command C(connect) names one, without TLS and
    without a secret: no database listens there, since ports of RDS begin at 1150. The socket comes after it, as that
    client takes the last of them for the protocol.
    """
    relay = ["--host=localhost", "--port=1", "--protocol=SOCKET", f"--socket={socket_path}"]
    return ["--no-defaults", *options, *LOCAL_OPTIONS[family], *relay, f"--user={user}"]


def choose_database(positional: list[str], databases: dict[str, Database]) -> tuple[Database, str | None]:
    """Return the database that the first positional argument names, or the only one, and the default schema."""
    names = ", ".join(sorted(databases)) or "none"
    if len(positional) > _POSITIONAL:
        raise UsageError(f"the argument {positional[_POSITIONAL]!r} is one too many; a statement goes behind -e.")
    if positional and positional[0] not in databases:
        raise UsageError(f"there is no database {positional[0]!r} here; there are: {names}.")
    if not positional and len(databases) != 1:
        raise UsageError(f"name the database to log in to; there are: {names}.\n\n{help_text(databases)}")
    name = positional[0] if positional else next(iter(databases))
    return databases[name], positional[1] if len(positional) == _POSITIONAL else None


def choose_user(option: str | None, database: Database) -> str:
    """Return the value of the option -u, or without one the default user of the database."""
    user = next(iter(database["users"]), "") if option is None else option
    if not user:
        raise UsageError("name the user to log in as, with -u; no login of this database is allowed by default.")
    try:
        user.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the user {user!a} is not UTF-8.") from None
    return user


def find_client() -> ClientProgram:
    """Return the client program of this host. Raises UsageError if there is none that answers."""
    path = next(iter(find_client_programs()), None)
    if not path:
        raise UsageError(
            "there is no mysql or mariadb client on this host; install one (role dbops.rds_iam.db_client)."
        )
    command = [path, "--no-defaults", "--version"]
    try:
        # A program has no module.run_command. pylint: disable-next=ansible-bad-function
        result = subprocess.run(command, check=False, capture_output=True, text=True, env=client_environment())
    except OSError as exc:
        raise UsageError(f"{path} cannot be started: {exc.strerror}.") from None
    if result.returncode != 0:
        raise UsageError(f"{path} does not say its version: it ends with the status {result.returncode}.")
    return ClientProgram(path, family_of(result.stdout), result.stdout.strip())


def authentication_method(client: ClientProgram) -> bytes:
    """Return the authentication method that a client knows without a plugin, for the password that it lacks.

    MySQL's clients of version 9 have lost that of MariaDB, and early ones of version 5.7 do not have the newer one.
    """
    is_newer = client.family == MYSQL and "Distrib 5." not in client.version
    return b"caching_sha2_password" if is_newer else b"mysql_native_password"


def relay_target(database: Database, user: str, method: bytes, timeout: float) -> Target:
    """Return the login that the relay makes; a first token shows that it can be signed.

    method: the authentication method that the client is offered
    timeout: seconds for the login
    """
    ca_file = database["ca_file"]
    try:
        context = trust_authorities(ca_file)
    except FileNotFoundError:
        raise UsageError(
            f"the CA file {ca_file} does not exist; install it with the role dbops.rds_iam.ca_bundle."
        ) from None
    except OSError as exc:
        raise UsageError(f"the CA file {ca_file} cannot be used: {exc.strerror or exc}.") from None

    def make_token() -> str:
        return issue(database["endpoint"], database["port"], user, database["region"]).secret

    make_token()
    return Target(
        endpoint=database["endpoint"],
        port=database["port"],
        ca_file=ca_file,
        context=context,
        user=user,
        make_token=make_token,
        method=method,
        timeout=timeout,
    )


def client_environment() -> dict[str, str]:
    """Return the caller's environment without the variables that would tell a client about the login.

    The rest stays, as terminal, language, pager, editor and the caller's own credentials: the client runs as the
    caller, and there is no secret of the login in it.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MYSQL_", "LIBMYSQL_", "MARIADB_")) or name in HARMLESS_VARIABLES
    }
    # A login path of MySQL's is read in spite of --no-defaults.
    return {**environment, "MYSQL_TEST_LOGIN_FILE": os.devnull}


def help_text(databases: dict[str, Database]) -> str:
    """Return the help of rds-mysql: its purpose, the databases that it knows, and the options that it passes on."""
    width = max(map(len, databases), default=0)
    lines_of_databases = [
        f"  {name:{width}}  {database['endpoint']}:{database['port']}, as {', '.join(database['users']) or 'no user'}"
        for name, database in sorted(databases.items())
    ]
    lines = [
        "Usage: rds-mysql [DATABASE [SCHEMA]] [-u USER] [OPTION]...",
        "",
        "Run the mysql or mariadb client of this host, logged in to a database with a fresh IAM token.",
        "",
        "The databases, and the users that this host may log in as, the default first:",
        *(lines_of_databases or ["  none"]),
        "",
        "The options, which go to the client (and -u, --help, --version):",
        usage(),
    ]
    return "\n".join(lines)
