# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time commands, and make a table of ratios with their limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NO_LIMIT = float("inf")


@dataclass
class Table:
    """A table of figures: of the collection, of its alternative, and their ratio with its limit."""

    rows: list[tuple] = field(default_factory=list)

    def add(self, subject, figure, alternative, limit, method):
        self.rows.append((subject, figure, alternative, limit, method))
        print(f"{subject}: {figure:.4g} to {alternative:.4g}, {figure / alternative:.2f}", file=sys.stderr)

    def show(self) -> bool:
        """Print the table as Markdown, and tell whether all limits hold."""
        print("| what | ours | the other | ratio | at most | method |\n|---|---|---|---|---|---|")
        for subject, figure, alternative, limit, method in self.rows:
            ratio = figure / alternative
            mark = "" if ratio <= limit else " **over**"
            at_most = "" if limit == NO_LIMIT else f"{limit:g}"
            print(f"| {subject} | {figure:.4g} | {alternative:.4g} | {ratio:.3f}{mark} | {at_most} | {method} |")
        return all(figure / alternative <= limit for _subject, figure, alternative, limit, _method in self.rows)


def timed(command, status=0, **environment) -> tuple[float, str]:
    """Return seconds and output of a command, which must end with this status."""
    begin = time.perf_counter()
    process = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if process.returncode != status:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{process.stdout}")
    return time.perf_counter() - begin, process.stdout
