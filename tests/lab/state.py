# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory of a lab: where everything is that belongs to it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SOCKET_PATH_LIMIT = 107  # what sun_path holds, without its end


@dataclass(frozen=True)
class State:
    """Paths below the state directory. The directory can be passed by the servers' user; secrets have mode 0600."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.resolve())

    @property
    def shape(self) -> Path:
        """The decisions of `lab up`, before anything runs."""
        return self.root / "shape.json"

    @property
    def lab(self) -> Path:
        """The public description. It is written last: where it is, everything has answered."""
        return self.root / "lab.json"

    @property
    def failure(self) -> Path:
        """The sentence of the supervisor that gave up."""
        return self.root / "failed"

    @property
    def top(self) -> Path:
        """Identity of the process whose end ends the lab; also what tells a state directory from any other."""
        return self.root / "lab.pid"

    @property
    def made_outside(self) -> Path:
        """Directories that the plain form had to make for sshd, one a line."""
        return self.root / "made-outside"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def seed(self) -> Path:
        return self.root / "seed.json"

    @property
    def server_ready(self) -> Path:
        return self.root / "server.ready"

    @property
    def verifier(self) -> Path:
        return self.root / "verifier.sock"

    @property
    def hosts(self) -> Path:
        """The lab's own /etc/hosts."""
        return self.root / "hosts"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def truststore(self) -> Path:
        return self.root / "truststore"

    @property
    def system_bundle(self) -> Path:
        """The machine's own web CAs and the lab's."""
        return self.root / "ca-certificates.crt"

    @property
    def inventory(self) -> Path:
        return self.root / "inventory.yml"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def key(self) -> Path:
        return self.root / "ssh" / "id_ed25519"

    @property
    def control(self) -> Path:
        """For Ansible's SSH connections: two labs have the same addresses and must not share them."""
        return self.root / "cp"

    @property
    def run(self) -> Path:
        """Empty from outside; in the namespaces form a file system in memory is mounted here."""
        return self.root / "run"

    @property
    def repository(self) -> Path:
        """The packages that clients can install, a directory for each family."""
        return self.root / "repository"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def database(self, identifier: str) -> Path:
        return self.root / "databases" / identifier

    def client(self, name: str) -> Path:
        return self.root / "clients" / name

    def make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)
        self.top.touch()
        for directory in ("logs", "ssh", "certificates", "cp", "run", "clients", "repository"):
            (self.root / directory).mkdir(mode=0o700)
        (self.root / "databases").mkdir(mode=0o711)
        (self.root / "truststore").mkdir()

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def write_secret(path: Path, data: bytes | str, owner: tuple[int, int] = (-1, -1)) -> None:
    """Write a file that only its owner can read, in one step."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)
        os.fchown(stream.fileno(), *owner)
    unfinished.rename(path)


def write_json(path: Path, value: dict) -> None:
    write_secret(path, json.dumps(value, indent=2) + "\n")
