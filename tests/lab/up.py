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
from pathlib import Path

import base_amazon
import base_debian
import base_tree
import certificates
import database
import hosts_namespaces
import hosts_plain
from errors import LabError, run
from processes import MARK, identity
from running import end_lab, end_processes, lock, top
from state import CHECKOUT, SOCKET_PATH_LIMIT, State, write_json, write_secret

REGION = "eu-west-1"
ACCOUNT = "123456789012"
# program -> package that brings it
NEEDED = {
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "cc": "gcc",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
HERE = Path(__file__).parent
FAMILIES = {family.NAME: family for family in (base_debian, base_amazon)}


def say(text: str) -> None:
    print(text, flush=True)


def up(state: State, engine: str, databases: int, clients: int, family: str) -> None:
    began = time.monotonic()
    os.umask(0o022)
    state.root.parent.mkdir(parents=True, exist_ok=True)
    with lock(state):
        wanted = {"engine": engine, "databases": databases, "clients": clients, "family": family}
        if _running(state, wanted):
            word = "was up already"
        else:
            end_lab(state)
            _start(state, wanted)
            word = "is up"
    _report(state, word, time.monotonic() - began)


def _running(state: State, wanted: dict) -> bool:
    """Whether a lab of this shape is there and answers."""
    if not top(state) or not state.lab.exists():
        return False
    if json.loads(state.shape.read_text())["wanted"] != wanted:
        return False
    check = [HERE / "lab", "exec", "--state", state.root, "--", sys.executable, "-B"]
    done = subprocess.run([*check, HERE / "answers.py", state.root], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        say(f"The lab is made again, because it does not answer. {done.stdout.strip()}")
    return done.returncode == 0


def _start(state: State, wanted: dict) -> None:
    hosts = _form()
    _check_machine(state, hosts, wanted["databases"])
    cache = Path(os.environ.get("LAB_CACHE") or CHECKOUT / ".cache" / "lab").absolute()
    bases = {}
    if hosts is hosts_namespaces:
        families = list(FAMILIES) if wanted["family"] == "both" else [wanted["family"]]
        bases = {name: base_tree.prepare(cache, FAMILIES[name], say) for name in families[: wanted["clients"]]}
    version = database.version()
    plugin = database.compile_plugin(cache)
    template = database.template(cache, version)
    state.make()
    shape = _shape(state, hosts, wanted, version, bases)
    write_json(state.shape, shape)
    _write_hosts(state, shape)
    _write_keys(state, shape)
    signer = _write_certificates(state, shape)
    for item in shape["databases"]:
        certificate = signer.sign(item["endpoint"])
        database.prepare(state, item, template, plugin, certificate, shape["server_user"])
    _start_supervisor(state, hosts)


def _form():
    if os.geteuid() != 0:
        raise LabError("The lab needs root, for its SSH servers at least: run it as root or with sudo.")
    if not shutil.which("unshare"):
        raise LabError("The lab needs unshare, which is missing here: apt-get install util-linux.")
    return hosts_namespaces if hosts_namespaces.possible() else hosts_plain


def _check_machine(state: State, hosts, databases: int) -> None:
    needed = {**NEEDED, **hosts.NEEDED}
    absent = {name: package for name, package in needed.items() if not database.program(name)}
    packages = sorted({*absent.values(), *hosts.missing()})
    if packages:
        what = ", ".join(sorted(absent) or packages)
        raise LabError(f"The lab needs {what}, which is missing here: apt-get install {' '.join(packages)}.")
    if set(str(state.root)) & set(':,"\\ \t\n'):
        raise LabError(f"The path {state.root} holds a character that mount or sshd do not take: use another --state.")
    longest = state.database(_identifier(databases - 1)) / "mysqld.sock"
    # Ansible adds about 30 characters to the directory of its connections' sockets.
    excess = max(len(str(longest)), len(str(state.control)) + 30, len(str(state.verifier))) - SOCKET_PATH_LIMIT
    if excess > 0:
        raise LabError(f"The path {state.root} is {excess} characters too long for Unix sockets: use another --state.")


def _identifier(index: int) -> str:
    return ("orders", "billing")[index] if index < 2 else f"db{index + 1}"


def _shape(state: State, hosts, wanted: dict, version: str, bases: dict) -> dict:
    addresses = hosts.shape(wanted["databases"], wanted["clients"])
    databases = [
        _database(state, _identifier(index), address, version, wanted["engine"])
        for index, address in enumerate(addresses["databases"])
    ]
    names = [(item["server_address"], item["endpoint"]) for item in databases]
    return {
        "wanted": wanted,
        "form": hosts.NAME,
        "server_user": database.server_user(state),
        "bases": {name: {"root": str(base.root), "repository": str(base.repository)} for name, base in bases.items()},
        "region": REGION,
        "account_id": ACCOUNT,
        "admin": {
            "access_key_id": "AKIA" + "".join(random.choices(string.ascii_uppercase + "234567", k=16)),
            "secret_access_key": secrets.token_urlsafe(30),
        },
        **{server: addresses[server] for server in ("api", "truststore", "repository")},
        "endpoint_url": f"http://{addresses['api']['host']}:{addresses['api']['port']}",
        "truststore_url": f"https://{certificates.TRUSTSTORE}",
        "names": [*names, (addresses["truststore"]["host"], certificates.TRUSTSTORE)],
        "databases": databases,
        "clients": [
            {"name": f"client{index + 1}", "family": family, **address, "key_file": str(state.key)}
            for index, (address, family) in enumerate(zip(addresses["clients"], itertools.cycle(bases or [None])))
        ],
    }


def _database(state: State, identifier: str, address: str, version: str, engine: str) -> dict:
    return {
        "identifier": identifier,
        "kind": "instance",
        "engine": engine,
        "engine_version": version,
        "instance_class": "db.t3.medium",
        # As in the documentation of the collection, whose examples work here as they are printed.
        "endpoint": f"{identifier}.cabcdefghijk.{REGION}.rds.amazonaws.com",
        "reader_endpoint": None,
        "port": 3306,
        "server_address": address,
        "master_username": "admin",
        "master_password": secrets.token_urlsafe(18),
        "managed_secret": identifier == "billing",
        "socket": str(state.database(identifier) / "mysqld.sock"),
        "general_log": str(state.database(identifier) / "general.log"),
    }


def _write_hosts(state: State, shape: dict) -> None:
    lines = [f"{address} {name}\n" for address, name in shape["names"]]
    state.hosts.write_text(Path("/etc/hosts").read_text() + "\n" + "".join(lines))


def _write_keys(state: State, shape: dict) -> None:
    make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]
    run("make the SSH key", [*make_key, state.key])
    known = []
    for client in shape["clients"]:
        place = state.client(client["name"])
        place.mkdir(mode=0o700)
        run(f"make the host key of {client['name']}", [*make_key, place / "host_key"])
        public = " ".join((place / "host_key.pub").read_text().split()[:2])
        host = client["host"] if client["port"] == 22 else f"[{client['host']}]:{client['port']}"
        known.append(f"{host} {public}\n")
    state.known_hosts.write_text("".join(known))


def _write_certificates(state: State, shape: dict) -> certificates.Authority:
    """Write the trust store and its web certificate. Returns the authority for the database servers."""
    authorities = certificates.rds_authorities(REGION)
    certificates.write_truststore(state.truststore, REGION, authorities)
    web = certificates.authority("Lab Web CA", certificates.rsa.generate_private_key(65537, 2048))
    certificate, key = web.sign(certificates.TRUSTSTORE)
    write_secret(state.certificates / "web.pem", certificate)
    write_secret(state.certificates / "web.key", key)
    (state.certificates / "web-ca.pem").write_bytes(web.pem)
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    state.system_bundle.write_bytes((system.read_bytes() if system.exists() else b"") + web.pem)
    return authorities[0]


def _start_supervisor(state: State, hosts) -> None:
    command = hosts.supervisor([sys.executable, "-B", str(HERE / "supervisor.py"), str(state.root)])
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
