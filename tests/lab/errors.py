# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the lab, a sentence for the person who typed the command; and finding and running programs."""

from __future__ import annotations

import os
import shutil
import subprocess


class LabError(Exception):
    """An error whose message is a whole sentence: what failed, why, what to do."""


def program(name: str) -> str:
    """Return the path of a program, also where only root looks; empty if it is not there."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin") or ""


def run(task: str, command: list, **options) -> str:
    """Run a command and return its output. The task is what it is for: "make the SSH key".

    Raises LabError with the task and the reason, which is the first error of apt, or the last line of the output.
    """
    process = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if process.returncode != 0:
        lines = process.stdout.strip().splitlines() or [f"{command[0]} ended with status {process.returncode}"]
        errors = [line[3:] for line in lines if line.startswith("E: ")]
        raise LabError(f"Failed to {task}: {(errors or lines[-1:])[0]}")
    return process.stdout
