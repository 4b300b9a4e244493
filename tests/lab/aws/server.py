# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AWS side of the lab in one process: API, token verifier, instance metadata, trust store.

Usage: python tests/lab/aws/server.py PLAN.json

PLAN.json (its directory is the state directory; nothing is written outside of it):

    region            "eu-west-1"
    account_id        "123456789012"
    admin             {access_key_id, secret_access_key}: becomes the IAM user "lab-admin", who may do everything
    api               {host, port}: the AWS endpoint, plain HTTP
    sts               {host, port, certificate, key} or nothing: HTTPS endpoint for hosts that ask who they are
    verifier_socket   path of the Unix socket that the database servers' plugin asks, see verifier.py
    api_log           path of the log of API calls, see gateway.py
    ready_file        path; written when everything answers, removed at the end
    truststore        {host, port, certificate, key, root}: HTTPS server over the directory "root"
    repository        {host, port, root} or null: HTTP server over an apt repository
    databases         [{identifier, kind: instance|cluster, engine: mariadb|mysql|aurora-mysql, engine_version,
                        endpoint, reader_endpoint, members: [{identifier, endpoint}], port, addresses: {IP: endpoint},
                        master_username, master_password, managed_secret: bool, instance_class}]
                      "reader_endpoint" and "members" are those of a cluster; "addresses" says where the real server
                      listens ("port") under each of the names
    clients           [{name, imds: {host, port} or {netns_pid}}]
                      netns_pid: serve http://169.254.169.254 inside the network namespace of that process

Written to the state directory: seed.json {databases: {identifier: {resource_id, master_user_secret_arn}},
clients: {name: instance_id}}, verifier.jsonl (one line per login decision), the API log and the ready file.
SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path


def ministack_environment(plan: dict, state: Path) -> dict[str, str]:
    """Return the variables that ministack reads when it is imported: IAM on, no Docker, nothing kept on disk."""
    return {
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": plan["account_id"],
        "MINISTACK_REGION": plan["region"],
        "GATEWAY_PORT": str(plan["api"]["port"]),
        "BIND_HOST": plan["api"]["host"],
        "DOCKER_HOST": f"unix://{state}/no-docker.sock",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "STATE_DIR": str(state / "ministack"),
        "S3_DATA_DIR": str(state / "ministack-s3"),
        "LOG_LEVEL": "ERROR",
    }


async def serve(plan: dict, state: Path) -> None:
    """Run until SIGTERM or SIGINT."""
    os.environ.update(ministack_environment(plan, state))
    sys.dont_write_bytecode = True
    import lab  # noqa: PLC0415 - imports ministack, which reads the environment

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    ready = Path(plan["ready_file"])
    ready.unlink(missing_ok=True)
    side = lab.AwsSide(plan, state)
    try:
        await side.start()
        ready.write_text(json.dumps({"pid": os.getpid()}) + "\n")
        await stop.wait()
    finally:
        ready.unlink(missing_ok=True)
        await side.stop()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: server.py PLAN.json")
    path = Path(sys.argv[1]).resolve()
    asyncio.run(serve(json.loads(path.read_text()), path.parent))


if __name__ == "__main__":
    main()
