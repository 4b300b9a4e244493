# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the benchmarks share: running a command for its time, and a table of ratios with their limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ANY = float("inf")


@dataclass
class Table:
    """Ours and the other, with a limit for the ratio where there is one."""

    rows: list[tuple] = field(default_factory=list)

    def add(self, what, ours, theirs, limit, method):
        self.rows.append((what, ours, theirs, limit, method))
        print(f"{what}: {ours:.4g} to {theirs:.4g}, {ours / theirs:.2f}", file=sys.stderr)

    def show(self) -> bool:
        """Print the table as Markdown; whether all limits hold."""
        print("| what | ours | the other | ratio | at most | method |\n|---|---|---|---|---|---|")
        for what, ours, theirs, limit, method in self.rows:
            ratio = ours / theirs
            mark = "" if ratio <= limit else " **over**"
            most = "" if limit == ANY else f"{limit:g}"
            print(f"| {what} | {ours:.4g} | {theirs:.4g} | {ratio:.3f}{mark} | {most} | {method} |")
        return all(ours / theirs <= limit for _what, ours, theirs, limit, _method in self.rows)


def timed(command, status=0, **environment) -> tuple[float, str]:
    """Seconds and output of a command, which must end with this status."""
    begin = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != status:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return time.perf_counter() - begin, done.stdout
