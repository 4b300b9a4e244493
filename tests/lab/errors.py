# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the lab, a sentence for the person who typed the command; and finding and running programs."""

from __future__ import annotations

import os
import shutil
import subprocess


class LabError(Exception):
    """The message is a whole sentence: what failed, why, what to do."""


def program(name: str) -> str:
    """The path of a program, also where only root looks; empty if it is not there."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin") or ""


def run(what: str, command: list, **options) -> str:
    """Run a command. Its output, or a LabError with what failed and why: the first error of apt, or the last line."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines() or [f"{command[0]} ended with status {done.returncode}"]
        errors = [line[3:] for line in lines if line.startswith("E: ")]
        raise LabError(f"Failed to {what}: {(errors or lines[-1:])[0]}")
    return done.stdout
