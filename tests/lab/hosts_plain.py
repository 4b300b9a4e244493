# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain form, for machines that allow no namespaces, as an ordinary container: all is on loopback addresses.

A client is an sshd of its own whose sessions get the lab's names and its instance metadata service by environment.
The clients share the machine's files, and a client can reach the metadata service of another: it rehearses, it does not
isolate.
"""

from __future__ import annotations

import glob
import os
import socket
import subprocess
from pathlib import Path

from errors import LabError
from processes import MARK, die_with_parent
from state import State

NAME = "plain"
NEEDED: dict[str, str] = {}
SSHD = "/usr/sbin/sshd"
SSHD_DIRECTORY = Path("/run/sshd")  # compiled into sshd, which does not start without it
METADATA_PORT = 1338


def missing() -> list[str]:
    return [] if _wrapper() else ["libnss-wrapper"]


def shape(endpoints: int, clients: int) -> dict:
    """Return the addresses of this form: the first block of loopback addresses on which nobody listens."""
    if endpoints > 80 or clients > 140:
        raise LabError("The lab has addresses for 80 databases (a cluster counts as four) and 140 clients at most.")
    for block in range(1, 255):
        addresses = {
            "api": {"host": f"127.77.{block}.1", "port": 4566},
            "truststore": {"host": f"127.77.{block}.2", "port": 443},
            "sts": {"host": f"127.77.{block}.3", "port": 443},
            "repository": None,
            "databases": [f"127.77.{block}.{11 + index}" for index in range(endpoints)],
            "clients": [
                {"host": f"127.77.{block}.{101 + index}", "port": 2201 + index, "user": "root"}
                for index in range(clients)
            ],
        }
        listeners = [(addresses[server]["host"], addresses[server]["port"]) for server in ("api", "truststore", "sts")]
        listeners += [(address, 3306) for address in addresses["databases"]]
        listeners += [
            (client["host"], port) for client in addresses["clients"] for port in (client["port"], METADATA_PORT)
        ]
        if all(_free(*address) for address in listeners):
            return addresses
    raise LabError("No block of loopback addresses 127.77.N.0 is free on ports 443, 3306, 4566: free them.")


def supervisor(command: list[str]) -> list[str]:
    return command


def environment(state: State) -> dict[str, str]:
    """Return the variables with which processes find the lab's names."""
    return {"LD_PRELOAD": _wrapper(), "NSS_WRAPPER_HOSTS": str(state.hosts)}


def client_variables(state: State, name: str) -> dict:
    """Return the inventory variables that keep the files of clients apart, which share one machine."""
    place = state.client(name)
    bundle = str(place / "ssl" / "global-bundle.pem")
    return {
        "ca_bundle_path": bundle,
        "connect_ca_file": bundle,
        "db_users_ca_file": bundle,
        "connect_wrapper_path": str(place / "bin" / "rds-mysql"),
        "ansible_remote_tmp": str(place / "tmp"),
    }


def prepare(state: State, shape: dict) -> None:
    """Make what sshd needs outside of the state directory, and note it for `lab down`."""
    if not SSHD_DIRECTORY.exists():
        state.made_outside.write_text(f"{SSHD_DIRECTORY}\n")
        SSHD_DIRECTORY.mkdir(mode=0o755)


def start_clients(state: State, shape: dict, environment: dict) -> list[tuple[subprocess.Popen, dict]]:
    """Start the clients. With each process comes where its instance metadata service is to listen."""
    started = []
    for client in shape["clients"]:
        place = state.client(client["name"])
        for directory in ("bin", "ssl"):
            (place / directory).mkdir()
        config = place / "sshd_config"
        config.write_text(_sshd_config(state, client))
        with state.log(client["name"]).open("ab") as log:
            process = subprocess.Popen(
                [SSHD, "-f", config, "-D", "-e"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=die_with_parent,
            )
        started.append((process, {"host": client["host"], "port": METADATA_PORT}))
    return started


def enter(top: int) -> None:
    """Do nothing: the environment is all that differs."""


def _sshd_config(state: State, client: dict) -> str:
    session = {
        **environment(state),
        MARK: str(state.root),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{client['host']}:{METADATA_PORT}/",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SSL_CERT_FILE": str(state.system_bundle),
    }
    set_env = " ".join(f'"{name}={value}"' for name, value in session.items())
    return f"""\
ListenAddress {client["host"]}
Port {client["port"]}
HostKey {state.client(client["name"]) / "host_key"}
AuthorizedKeysFile {state.key.with_suffix(".pub")}
# The state directory may be below one that others can write to, as /tmp.
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
Subsystem sftp internal-sftp
SetEnv {set_env}
"""


def _wrapper() -> str:
    libraries = sorted(glob.glob("/usr/lib/*/libnss_wrapper.so") + glob.glob("/usr/lib*/libnss_wrapper.so"))
    return libraries[0] if libraries else ""


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
