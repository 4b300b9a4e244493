# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the parts of the AWS side together. The environment must be set before this is imported, see server.py."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import associations
import gaps
import gateway
import imds
import rights
import seed
import simulator
import static
import verifier
from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app


class AwsSide:
    """Everything that stands in for AWS, started and stopped together."""

    def __init__(self, plan: dict, state: Path) -> None:
        self.plan = plan
        self.state = state
        self.servers: list = []
        self.tasks: list[asyncio.Task] = []
        self.shutdown = asyncio.Event()

    async def start(self) -> None:
        plan = self.plan
        gaps.apply(trusted_root=Path(plan["truststore"]["root"]) / "global" / "global-bundle.pem")
        associations.apply()
        rights.apply()
        simulator.apply()
        seeded = seed.create(plan)
        (self.state / "seed.json").write_text(json.dumps(seeded, indent=2) + "\n")
        self._start(verifier.Server(plan, self.state / "verifier.jsonl"))
        for client in plan["clients"]:
            instance = seeded["clients"][client["name"]]
            self._start(imds.Server(client["imds"], plan["account_id"], plan["region"], instance))
        self._start(static.Server(plan["truststore"]))
        if plan["repository"]:
            self._start(static.Server(plan["repository"]))
        application = gateway.Gateway(app, plan, Path(plan["api_log"]))
        for address in filter(None, (plan["api"], plan.get("sts"))):
            serving = serve(application, self._config(address), shutdown_trigger=self.shutdown.wait)
            self.tasks.append(asyncio.create_task(serving))

    def _start(self, server) -> None:
        server.start()
        self.servers.append(server)

    @staticmethod
    def _config(address: dict) -> Config:
        config = Config()
        config.certfile, config.keyfile = address.get("certificate"), address.get("key")
        # Listening from here on; hypercorn itself would bind later, and fail where nobody looks.
        listener = imds.listen((address["host"], address["port"]))
        config.bind = [f"fd://{listener.detach()}"]
        config.accesslog = None
        config.loglevel = "ERROR"
        config.graceful_timeout = 1
        return config

    async def stop(self) -> None:
        self.shutdown.set()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=5)
        for server in self.servers:
            server.stop()
