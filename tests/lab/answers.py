# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that all of a lab answers. Runs inside the lab's network: python tests/lab/answers.py STATE_DIRECTORY."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
from state import State

SECONDS = 5


def find_problems(state: State, shape: dict) -> list[str]:
    """Return a short sentence for each part that does not answer."""
    checks = [(_api, shape), (_truststore, state)]
    checks += [(_database, state, item, name) for item in shape["databases"] for name in item["addresses"].values()]
    checks += [(_client, state, client) for client in shape["clients"]]
    with ThreadPoolExecutor(8) as pool:
        return [answer for answer in pool.map(lambda check: check[0](*check[1:]), checks) if answer]


def _api(shape: dict) -> str | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(shape["endpoint_url"], timeout=SECONDS).close()
    except urllib.error.HTTPError:
        return None  # a refusal is an answer
    except OSError as exc:
        return f"The AWS API on {shape['endpoint_url']} does not answer ({exc})."
    return None


def _truststore(state: State) -> str | None:
    shape = json.loads(state.shape.read_text())
    context = ssl.create_default_context(cafile=state.system_bundle)
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    url = f"{shape['truststore_url']}/global/global-bundle.pem"
    try:
        urllib.request.build_opener(*handlers).open(url, timeout=SECONDS).close()
    except OSError as exc:
        return f"The trust store {url} does not answer ({exc})."
    return None


def _database(state: State, database: dict, endpoint: str) -> str | None:
    try:
        pymysql.connect(
            host=endpoint,
            port=database["port"],
            user=database["master_username"],
            password=database["master_password"],
            connect_timeout=SECONDS,
            ssl=ssl.create_default_context(cafile=state.truststore / "global" / "global-bundle.pem"),
        ).close()
    except (OSError, pymysql.Error) as exc:
        return f"Database {database['identifier']} does not let its master user in ({exc})."
    return None


def _client(state: State, client: dict) -> str | None:
    command = [
        *("ssh", "-F", "none", "-i", client["key_file"], "-o", f"UserKnownHostsFile={state.known_hosts}"),
        *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={SECONDS}"),
        *("-p", str(client["port"]), f"{client['user']}@{client['host']}", "true"),
    ]
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if process.returncode:
        return f"SSH to {client['name']} ({client['host']}:{client['port']}) fails ({process.stderr.strip()})."
    return None


def main() -> int:
    state = State(Path(sys.argv[1]))
    problems = find_problems(state, json.loads(state.shape.read_text()))
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
