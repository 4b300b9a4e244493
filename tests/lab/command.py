# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the lab: up, exec, down."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import hosts_namespaces
import hosts_plain
from errors import LabError
from processes import MARK
from running import end_lab, lock, top
from state import CHECKOUT, State

SHAPE = "engine", "databases", "clusters", "clients", "family"
FORMS = {form.NAME: form for form in (hosts_namespaces, hosts_plain)}


def execute(state: State, command: list[str]) -> None:
    first = top(state)
    if not first or not state.lab.exists():
        raise LabError(f"No lab is running in {state.root}: start one with lab up.")
    lab = json.loads(state.lab.read_text())
    hosts = FORMS[lab["form"]]
    hosts.enter(first)
    environment = _environment(state, lab, hosts)
    try:
        os.execvpe(command[0], command, environment)
    except OSError as exc:
        raise LabError(f"Failed to run {command[0]}: {exc.strerror}.") from None


def _environment(state: State, lab: dict, hosts) -> dict[str, str]:
    """The caller's environment with the lab's account in place of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        **hosts.environment(state),
        MARK: str(state.root),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": lab["endpoint_url"],
        "AWS_REGION": lab["region"],
        "AWS_DEFAULT_REGION": lab["region"],
        "AWS_ACCESS_KEY_ID": lab["admin"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": lab["admin"]["secret_access_key"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "ANSIBLE_INVENTORY": lab["inventory"],
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(state.control),
        **dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"), str(state.system_bundle)),
    }


def down(state: State) -> None:
    if not state.root.exists():
        print(f"There is no lab in {state.root}.")
        return
    with lock(state):
        end_lab(state)
    print(f"The lab in {state.root} is gone.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab", description="A stand-in for AWS with real databases and real hosts.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start the lab; returns when all of it answers; safe to repeat")
    start.add_argument("--engine", choices=["mariadb", "mysql", "both"], default="mariadb")
    start.add_argument("--databases", type=_count, default=2, metavar="N")
    start.add_argument("--clusters", type=lambda text: _count(text, 0), default=0, metavar="N")
    start.add_argument("--clients", type=_count, default=2, metavar="N")
    families = ["debian", "amazon", "both"]
    start.add_argument("--family", choices=families, default="both", help="of the clients' Linux; both take turns")
    inside = commands.add_parser("exec", help="run a command inside the lab's network")
    stop = commands.add_parser("down", help="stop the lab and remove everything that it made")
    for command in (start, inside, stop):
        command.add_argument("--state", type=Path, default=CHECKOUT / ".lab", metavar="DIR", help="default: .lab")
    inside.add_argument("words", nargs="+", metavar="-- COMMAND")
    return parser.parse_args()


def _count(text: str, least: int = 1) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more")
    return number


def main() -> int:
    arguments = _arguments()
    state = State(arguments.state)
    try:
        if arguments.command == "up":
            from up import up  # noqa: PLC0415 - imports much that the other commands do not need

            up(state, {name: getattr(arguments, name) for name in SHAPE})
        elif arguments.command == "exec":
            execute(state, arguments.words)
        else:
            down(state)
    except LabError as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
