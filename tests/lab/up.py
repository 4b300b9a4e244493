# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab up: decide on the lab's shape, make what it needs, start its supervisor and wait until all of it answers."""

from __future__ import annotations

import itertools
import json
import os
import random
import secrets
import shutil
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import base_amazon
import base_debian
import base_tree
import certificates
import database
import hosts_namespaces
import hosts_plain
from errors import LabError, program, run
from processes import MARK, identity
from running import end_lab, end_processes, lock, top
from state import CHECKOUT, SOCKET_PATH_LIMIT, State, write_json, write_secret

ENGINES = {"mariadb": ["mariadb"], "mysql": ["mysql"], "both": ["mariadb", "mysql"]}
AURORA_VERSION = "8.0.mysql_aurora.3.08.0"
ENDPOINTS_OF_A_CLUSTER = 4  # writer, reader, and one for each of two members
REGION = "eu-west-1"
ACCOUNT = "123456789012"
# program -> package that brings it
NEEDED = {
    "cc": "gcc",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
DIRECTORY = Path(__file__).parent
FAMILIES = {family.NAME: family for family in (base_debian, base_amazon)}


def say(text: str) -> None:
    print(text, flush=True)


def up(state: State, size: dict) -> None:
    began = time.monotonic()
    os.umask(0o022)
    state.root.parent.mkdir(parents=True, exist_ok=True)
    with lock(state):
        if _running(state, size):
            word = "was up already"
        else:
            end_lab(state)
            _start(state, size)
            word = "is up"
    _report(state, word, time.monotonic() - began)


def _running(state: State, size: dict) -> bool:
    """Tell whether a lab of this size is there and answers."""
    if not top(state) or not state.lab.exists():
        return False
    if json.loads(state.shape.read_text())["size"] != size:
        return False
    check = [DIRECTORY / "lab", "exec", "--state", state.root, "--", sys.executable, "-B"]
    process = subprocess.run(
        [*check, DIRECTORY / "answers.py", state.root], stdout=subprocess.PIPE, text=True, check=False
    )
    if process.returncode:
        say(f"The lab is made again, because it does not answer. {process.stdout.strip()}")
    return process.returncode == 0


def _start(state: State, size: dict) -> None:
    hosts = _form()
    _check_machine(state, hosts, size)
    cache = Path(os.environ.get("LAB_CACHE") or CHECKOUT / ".cache" / "lab").absolute()
    plugin = database.compile_plugin(cache)
    servers = {engine: _server(cache, engine) for engine in ENGINES[size["engine"]]}
    bases = {}
    if hosts is hosts_namespaces:
        families = list(FAMILIES) if size["family"] == "both" else [size["family"]]
        bases = {name: base_tree.prepare(cache, FAMILIES[name], say) for name in families[: size["clients"]]}
    state.make()
    user = database.server_user(state.root, cache)
    shape = {**_shape(state, hosts, size, servers, bases), "server_user": user, "servers": servers}
    write_json(state.shape, shape)
    _write_hosts(state, shape)
    _write_keys(state, shape)
    signer = _write_certificates(state, shape)
    for item in shape["databases"]:
        template = Path(servers[item["server"]]["template"])
        certificate = signer.sign(*item["addresses"].values())
        database.server_of(state, shape, item).prepare(template, plugin, certificate)
    _start_supervisor(state, hosts)


def _server(cache: Path, engine: str) -> dict:
    """Return the command and the version of this engine's server, and the template of its data directory."""
    command = database.ENGINES[engine].command(cache)
    version = database.version(command)
    template = database.ENGINES[engine].template(cache, version)
    return {"command": command, "version": version, "template": str(template)}


def _form():
    if os.geteuid() != 0:
        raise LabError("The lab needs root, for its SSH servers at least: run it as root or with sudo.")
    if not shutil.which("unshare"):
        raise LabError("The lab needs unshare, which is missing here: apt-get install util-linux.")
    return hosts_namespaces if hosts_namespaces.possible() else hosts_plain


def _check_machine(state: State, hosts, size: dict) -> None:
    needed = {**NEEDED, **hosts.NEEDED}
    absent = {name: package for name, package in needed.items() if not program(name)}
    packages = sorted({*absent.values(), *hosts.missing()})
    if packages:
        programs = ", ".join(sorted(absent) or packages)
        raise LabError(f"The lab needs {programs}, which is missing here: apt-get install {' '.join(packages)}.")
    if set(str(state.root)) & set(':,"\\ \t\n'):
        raise LabError(f"The path {state.root} holds a character that mount or sshd do not take: use another --state.")
    names = [*map(_identifier, range(size["databases"])), *map(_cluster_identifier, range(size["clusters"]))]
    longest = state.database(max(names, key=len)) / "mysqld.sock"
    # Ansible adds about 30 characters to the directory of its connections' sockets.
    excess = max(len(str(longest)), len(str(state.control)) + 30, len(str(state.verifier))) - SOCKET_PATH_LIMIT
    if excess > 0:
        raise LabError(f"The path {state.root} is {excess} characters too long for Unix sockets: use another --state.")


def _identifier(index: int) -> str:
    return ("orders", "billing")[index] if index < 2 else f"db{index + 1}"


def _cluster_identifier(index: int) -> str:
    return f"cluster{index + 1}" if index else "sales"


def _shape(state: State, hosts, size: dict, servers: dict, bases: dict) -> dict:
    addresses = hosts.shape(size["databases"] + size["clusters"] * ENDPOINTS_OF_A_CLUSTER, size["clients"])
    free = iter(addresses["databases"])
    databases = [_instance(state, index, servers, free) for index in range(size["databases"])]
    databases += [_cluster(state, index, servers, free) for index in range(size["clusters"])]
    return {
        "size": size,
        "form": hosts.NAME,
        "bases": {name: {"root": str(base.root), "repository": str(base.repository)} for name, base in bases.items()},
        "region": REGION,
        "account_id": ACCOUNT,
        "admin": {
            "access_key_id": "AKIA" + "".join(random.choices(string.ascii_uppercase + "234567", k=16)),
            "secret_access_key": secrets.token_urlsafe(30),
        },
        **{server: addresses[server] for server in ("api", "truststore", "sts", "repository")},
        "endpoint_url": f"http://{addresses['api']['host']}:{addresses['api']['port']}",
        "truststore_url": f"https://{certificates.TRUSTSTORE}",
        "names": [
            *(pair for item in databases for pair in item["addresses"].items()),
            (addresses["truststore"]["host"], certificates.TRUSTSTORE),
            (addresses["sts"]["host"], certificates.STS.format(region=REGION)),
        ],
        "databases": databases,
        "clients": [
            {
                "name": f"client{index + 1}",
                "family": family,
                **address,
                "key_file": str(state.key),
                # Where a database is MySQL, so is the client that has apt; in the plain form it is the machine's own.
                "mysql_client": family == base_debian.NAME and "mysql" in servers,
            }
            for index, (address, family) in enumerate(zip(addresses["clients"], itertools.cycle(bases or [None])))
        ],
    }


def _instance(state: State, index: int, servers: dict, free: Iterator[str]) -> dict:
    """A DB instance. Where there are both engines, they alternate."""
    identifier, engine = _identifier(index), list(servers)[index % len(servers)]
    return {
        **_database(state, identifier, engine),
        "kind": "instance",
        "engine": engine,
        "engine_version": servers[engine]["version"],
        "endpoint": _endpoint(identifier),
        "reader_endpoint": None,
        "members": [],
        "addresses": {next(free): _endpoint(identifier)},
    }


def _cluster(state: State, index: int, servers: dict, free: Iterator[str]) -> dict:
    """An Aurora cluster with a writer and a reader: one server, which stands in for both, under all their names."""
    identifier = _cluster_identifier(index)
    names = [_endpoint(identifier, "cluster-"), _endpoint(identifier, "cluster-ro-")]
    members = [f"{identifier}-{number}" for number in (1, 2)]
    return {
        **_database(state, identifier, "mysql" if "mysql" in servers else "mariadb"),
        "kind": "cluster",
        "engine": "aurora-mysql",
        "engine_version": AURORA_VERSION,
        "endpoint": names[0],
        "reader_endpoint": names[1],
        "members": [{"identifier": member, "endpoint": _endpoint(member)} for member in members],
        "addresses": {next(free): name for name in [*names, *map(_endpoint, members)]},
    }


def _endpoint(identifier: str, kind: str = "") -> str:
    # As in the documentation of the collection, whose examples work here as they are printed.
    return f"{identifier}.{kind}cabcdefghijk.{REGION}.rds.amazonaws.com"


def _database(state: State, identifier: str, server: str) -> dict:
    """Return the fields that instances and clusters have in common; "server" is the real one behind it."""
    return {
        "identifier": identifier,
        "server": server,
        "instance_class": "db.t3.medium",
        "port": 3306,
        "master_username": "admin",
        "master_password": secrets.token_urlsafe(18),
        "managed_secret": identifier in ("billing", "sales"),
        "socket": str(state.database(identifier) / "mysqld.sock"),
        "general_log": str(state.database(identifier) / "general.log"),
    }


def _write_hosts(state: State, shape: dict) -> None:
    lines = [f"{address} {name}\n" for address, name in shape["names"]]
    state.hosts.write_text(Path("/etc/hosts").read_text() + "\n" + "".join(lines))


def _write_keys(state: State, shape: dict) -> None:
    make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]
    run("make the SSH key", [*make_key, state.key])
    known_hosts = []
    for client in shape["clients"]:
        place = state.client(client["name"])
        place.mkdir(mode=0o700)
        run(f"make the host key of {client['name']}", [*make_key, place / "host_key"])
        public = " ".join((place / "host_key.pub").read_text().split()[:2])
        host = client["host"] if client["port"] == 22 else f"[{client['host']}]:{client['port']}"
        known_hosts.append(f"{host} {public}\n")
    state.known_hosts.write_text("".join(known_hosts))


def _write_certificates(state: State, shape: dict) -> certificates.Authority:
    """Write the trust store and its web certificate, which is that of AWS STS too.

    Returns the authority for the database servers.
    """
    authorities = certificates.make_rds_authorities(REGION)
    certificates.write_truststore(state.truststore, REGION, authorities)
    web = certificates.make_authority("Lab Web CA", certificates.rsa.generate_private_key(65537, 2048))
    certificate, key = web.sign(certificates.TRUSTSTORE, certificates.STS.format(region=REGION))
    write_secret(state.certificates / "web.pem", certificate)
    write_secret(state.certificates / "web.key", key)
    (state.certificates / "web-ca.pem").write_bytes(web.pem)
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    state.system_bundle.write_bytes((system.read_bytes() if system.exists() else b"") + web.pem)
    return authorities[0]


def _start_supervisor(state: State, hosts) -> None:
    command = hosts.supervisor([sys.executable, "-B", str(DIRECTORY / "supervisor.py"), str(state.root)])
    with state.log("supervisor").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=state.root,
            env={**os.environ, **hosts.environment(state), MARK: str(state.root)},
            start_new_session=True,
        )
    state.top.write_text(identity(process.pid) or "")
    try:
        while not state.lab.exists():
            if process.poll() is not None:
                raise LabError(_failure(state))
            time.sleep(0.02)
    except BaseException:
        # Also when the user interrupts: a lab is up, or its processes are gone. The logs stay until the next `up`.
        end_processes(state)
        raise


def _failure(state: State) -> str:
    if state.failure.exists():
        return state.failure.read_text().strip()
    return f"Failed to start the lab: see {state.log('supervisor')}."


def _report(state: State, word: str, seconds: float) -> None:
    lab = json.loads(state.lab.read_text())
    reason = "" if lab["form"] == hosts_namespaces.NAME else " (this machine allows no namespaces or mounts)"
    lines = [
        f"The lab {word}, in the {lab['form']} form{reason}, after {seconds:.1f} s.",
        f"  AWS API      {lab['endpoint_url']}",
        *(f"  {item['identifier']:<12} {item['endpoint']}:{item['port']}" for item in lab["databases"]),
        *(f"  {item['name']:<12} {item['user']}@{item['host']}:{item['port']}" for item in lab["clients"]),
        f"  described in {state.lab}",
    ]
    say("\n".join(lines))
