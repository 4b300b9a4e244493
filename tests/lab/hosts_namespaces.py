# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespaces form: a network of the lab's own, with the servers on a bridge and each client as a host of its own.

Everything hangs on one process, which is the first of its process namespace: its end ends all others, and with the last
of them the kernel removes the network and the mounts. Nothing of it is ever visible in the machine's own namespaces.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from base_tree import REPOSITORY_HOST, REPOSITORY_PORT, USER, USER_ID
from errors import LabError, run
from processes import die_with_parent
from state import State, write_secret

NAME = "namespaces"
NEEDED = {"ip": "iproute2", "nsenter": "util-linux", "mmdebstrap": "mmdebstrap"}
SERVER_ADDRESS = REPOSITORY_HOST
TRUSTSTORE_ADDRESS = "10.77.0.2"
STS_ADDRESS = "10.77.0.3"
PREFIX = 24
CLIENT_SCRIPT = Path(__file__).with_name("client.sh")
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation"]
PROBE = """\
set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
! command -v ip > /dev/null || { ip link add probe0 type bridge && ip link add probe1 type veth; }
"""


def possible() -> bool:
    """Tell whether this machine lets us make networks, mounts and process namespaces."""
    probe = [*UNSHARE, "private", "sh", "-c", PROBE]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(probe, check=False, **silent).returncode == 0


def missing() -> list[str]:
    return []


def shape(endpoints: int, clients: int) -> dict:
    """Return the addresses of this form."""
    if endpoints > 80 or clients > 140:
        raise LabError("The lab has addresses for 80 databases (a cluster counts as four) and 140 clients at most.")
    return {
        "api": {"host": SERVER_ADDRESS, "port": 4566},
        "truststore": {"host": TRUSTSTORE_ADDRESS, "port": 443},
        "sts": {"host": STS_ADDRESS, "port": 443},
        "repository": {"host": REPOSITORY_HOST, "port": REPOSITORY_PORT},
        "databases": [f"10.77.0.{11 + index}" for index in range(endpoints)],
        "clients": [{"host": f"10.77.0.{101 + index}", "port": 22, "user": USER} for index in range(clients)],
    }


def supervisor(command: list[str]) -> list[str]:
    """Return the command line that starts the supervisor in namespaces of its own."""
    # With "slave", what the machine mounts later is seen in the lab; what the lab mounts is never seen outside.
    return [*UNSHARE, "slave", "--", *command]


def environment(state: State) -> dict[str, str]:
    """Return the variables with which processes find the lab's names: none, for the lab has its own /etc/hosts."""
    return {}


def client_variables(state: State, name: str) -> dict:
    return {}


def prepare(state: State, shape: dict) -> None:
    """Lay out the lab's network and its /etc/hosts. Runs in the supervisor."""
    run("mount the lab's memory", ["mount", "-t", "tmpfs", "-o", "mode=755", "lab", state.run])
    run("give the lab its names", ["mount", "--bind", state.hosts, "/etc/hosts"])
    network = [["link", "set", "lo", "up"], ["link", "add", "lab0", "type", "bridge"], ["link", "set", "lab0", "up"]]
    servers = {SERVER_ADDRESS, *(address for address, _name in shape["names"])}
    network += [["address", "add", f"{address}/{PREFIX}", "dev", "lab0"] for address in sorted(servers)]
    for arguments in network:
        run("lay out the lab's network", ["ip", *arguments])
    for family, base in shape["bases"].items():
        (state.repository / family).symlink_to(base["repository"])


def start_clients(state: State, shape: dict, environment: dict) -> list[tuple[subprocess.Popen, dict]]:
    """Start the clients. With each process comes where its instance metadata service is to listen."""
    hosts = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for address, name in shape["names"])
    started = []
    for index, client in enumerate(shape["clients"]):
        place = state.run / client["name"]
        base = Path(shape["bases"][client["family"]]["root"])
        _write_upper(state, base, client, hosts, place / "upper")
        process = _start_client(state, base, client, place, environment)
        # The first line of the script is its process id as the whole machine counts: inside, ids are others.
        pid = int(process.stdout.readline() or 0)
        if not pid:
            raise LabError(f"Failed to start {client['name']}: see {state.log(client['name'])}.")
        started.append((process, {"netns_pid": pid}))
        link = ["ip", "link", "add", f"lab{index + 1}", "master", "lab0", "up", "type", "veth"]
        run(f"connect {client['name']}", [*link, "peer", "name", "eth0", "netns", str(process.pid)])
        process.stdin.write(b"connected\n")
        process.stdin.close()
    return started


def _start_client(state: State, base: Path, client: dict, place: Path, environment: dict) -> subprocess.Popen:
    namespaces = [*UNSHARE, "private", "--uts", "--ipc"]
    script = ["sh", CLIENT_SCRIPT, client["name"], f"{client['host']}/{PREFIX}", base, place]
    with state.log(client["name"]).open("ab") as log:
        return subprocess.Popen(
            [*namespaces, *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            preexec_fn=die_with_parent,
        )


def _write_upper(state: State, base: Path, client: dict, hosts: str, upper: Path) -> None:
    """Write the files that make a client out of the base tree."""
    for directory in ("etc/ssh", "etc/ssl/certs", "usr/local/share/ca-certificates", f"home/{USER}/.ssh"):
        (upper / directory).mkdir(parents=True)
    (upper / "etc/hostname").write_text(f"{client['name']}\n")
    (upper / "etc/hosts").write_text(f"{hosts}127.0.1.1 {client['name']}\n")
    shutil.copy(state.client(client["name"]) / "host_key", upper / "etc/ssh/ssh_host_ed25519_key")
    web_ca = (state.certificates / "web-ca.pem").read_text()
    (upper / "usr/local/share/ca-certificates/lab.crt").write_text(web_ca)
    system = (base / "etc/ssl/certs/ca-certificates.crt").read_text()
    (upper / "etc/ssl/certs/ca-certificates.crt").write_text(system + web_ca)
    home = upper / "home" / USER
    write_secret(home / ".ssh/authorized_keys", state.key.with_suffix(".pub").read_text())
    (home / ".ssh").chmod(0o700)
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, USER_ID, USER_ID)


def enter(top: int) -> None:
    """Move this process into the network and the mounts of the lab, and keep the working directory."""
    directory = os.getcwd()
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ("net", "mnt"):
        with open(f"/proc/{top}/ns/{kind}", "rb") as namespace:
            if libc.setns(namespace.fileno(), 0) != 0:
                raise LabError(f"Failed to enter the lab's {kind} namespace: {os.strerror(ctypes.get_errno())}.")
    os.chdir(directory)
