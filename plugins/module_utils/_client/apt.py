# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install packages on Debian, Ubuntu and distributions that derive from them. Private to this collection.

ansible.builtin.apt has no option against what C(APT::Get::AutomaticRemove) removes, and takes the time of an empty
directory for that of the package lists.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path

from ansible_collections.dbops.rds_iam.plugins.module_utils._client import packages

_LISTS = Path("/var/lib/apt/lists")
_FRESH = 24 * 3600  # seconds
_LOCK_TIMEOUT = 60  # seconds; on a new instance apt-daily.service is often at work
_ENVIRONMENT = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",  # lists the services that it would restart
}
_OPTIONS = ("-q", "-o", "APT::Get::AutomaticRemove=false", "-o", f"DPkg::Lock::Timeout={_LOCK_TIMEOUT}")
_INSTALL = ("-y", "--no-upgrade", "install", "--")
# In check mode the lists are read into a directory of this run, and no hook of the host hears of it.
_PRIVATE = """\
Dir::State::Lists "{directory}/lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
_SECTION = re.compile(r"^The following (.+):\n((?: .*\n?)+)", re.M)
_SECTIONS = {
    "packages will be REMOVED": "remove",
    "packages will be DOWNGRADED": "downgrade",
    "packages will be upgraded": "upgrade",
    "held packages will be changed": "change what is on hold,",
    "NEW packages will be installed": "install",
}
_FINISH = "finish (dpkg --configure -a) what is half installed,"
_UNMET = "packages have unmet dependencies"
_STEP = re.compile(r"^(Inst|Conf|Remv) (\S+)( \[)?", re.M)
_BROKEN = re.compile(r"^Errors were encountered while processing:\n((?: .*\n?)+)", re.M)
_DEPENDENCY = re.compile(r"(Conflicts|Breaks|Depends|PreDepends): ")


def parse(output: str, errors: str, failed: bool) -> packages.Plan:
    """Return the plan that C(apt-get --simulate) prints."""
    names: dict[str, list[str]] = {verb: [] for verb in (*_SECTIONS.values(), _FINISH)}
    sections = dict(_SECTION.findall(output))
    for title, verb in _SECTIONS.items():
        names[verb] = [name.rstrip("*") for name in sections.get(title, "").split() if not name.startswith("(")]
    steps = _STEP.findall(output)
    unpacked = {name for step, name, _installed in steps if step == "Inst"}
    for step, name, installed in steps:
        verb = {"Remv": "remove", "Conf": _FINISH, "Inst": "upgrade" if installed else "install"}[step]
        if step != "Conf" or name not in unpacked:
            names[verb].append(name)
    harm = packages.find_harm(names)
    return packages.Plan(
        sorted(set(names["install"])), harm, explain_failure(output, errors) if failed and not harm else ""
    )


def explain_failure(output: str, errors: str) -> str:
    """Return why apt-get failed: its errors, and the dependencies that are unmet."""
    unmet = dict(_SECTION.findall(output)).get(_UNMET, "")
    conflicts = [" ".join(line.split()) for line in unmet.splitlines() if _DEPENDENCY.search(line)]
    broken = [f"dpkg fails with {' '.join(names.split())}" for names in _BROKEN.findall(errors)]
    messages = [line[len("E: ") :] for line in errors.splitlines() if line.startswith("E: ")]
    return packages.clean_reason("; ".join([*conflicts, *broken, *messages] or [errors or output or "apt-get failed"]))


class Apt:
    """apt of this host."""

    def __init__(self, run: packages.Run, check_mode: bool) -> None:
        self.is_refreshed = False
        self._run, self._check_mode = run, check_mode
        self._config: list[str] = []
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def find_missing(self, names: list[str]) -> list[str]:
        """Return those of the packages that are not installed."""
        if not names:
            return []
        form = "${db:Status-Status} ${binary:Package}\n"
        _status, output, _errors = self._run(["dpkg-query", "--show", "--showformat", form, "--", *names], _ENVIRONMENT)
        rows = [line.split() for line in output.splitlines()]
        installed = {name.partition(":")[0] for status, name in rows if status == "installed"}
        return [name for name in names if name not in installed]

    def plan(self, names: list[str]) -> packages.Plan:
        """Return the changes that installing the packages would make, with package lists that are there and not old."""
        if not self.is_refreshed and not _lists_are_fresh():
            self.refresh()
        plan = self._simulate(names)
        if plan.error and not self.is_refreshed:
            self.refresh()
            plan = self._simulate(names)
        return plan

    def install(self, names: list[str]) -> str:
        """Install the packages; return why that failed, if it did."""
        keep = [part for option in ("confdef", "confold") for part in ("-o", f"Dpkg::Options::=--force-{option}")]
        status, output, errors = self._apt("--no-remove", *keep, *_INSTALL, *names)
        return explain_failure(output, errors) if status else ""

    def refresh(self) -> None:
        """Read the package lists. A fault of a repository shows when a package is not found."""
        self.is_refreshed = True
        if self._check_mode:
            self._directory = tempfile.TemporaryDirectory()
            directory = Path(self._directory.name)
            (directory / "lists/partial").mkdir(parents=True)
            (directory / "apt.conf").write_text(_PRIVATE.format(directory=directory))
            self._config = ["-c", str(directory / "apt.conf")]
        end = time.monotonic() + _LOCK_TIMEOUT
        while True:
            status, _output, errors = self._apt("update")
            if not status or "Could not get lock" not in errors or time.monotonic() > end:
                return
            time.sleep(1)

    def _simulate(self, names: list[str]) -> packages.Plan:
        status, output, errors = self._apt("-s", "-o", "Debug::NoLocking=true", *_INSTALL, *names)
        return parse(output, errors, status != 0)

    def _apt(self, *arguments: str) -> tuple[int, str, str]:
        return self._run(["apt-get", *_OPTIONS, *self._config, *arguments], _ENVIRONMENT)


def _lists_are_fresh() -> bool:
    try:
        age = time.time() - os.stat(_LISTS).st_mtime
    except OSError:
        return False
    return age < _FRESH and any(_LISTS.glob("*_Packages*"))
