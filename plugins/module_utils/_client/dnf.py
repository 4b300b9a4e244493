# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install packages on Amazon Linux 2023 and the family of Red Hat Enterprise Linux. Private to this collection.

Without C(allowerasing) dnf still lets a new package take the place of one that it obsoletes, also to get around a
conflict, and still downgrades what a new package needs in an older version. C(protected_packages) names all that are
installed, and keeps it from the former; the latter is seen in its plan.
"""

from __future__ import annotations

import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._client import packages

_ENVIRONMENT = {"LC_ALL": "C", "LANGUAGE": "C"}
_SECTION = re.compile(r"^(\w[\w ]*):\n((?: .*\n?)+)", re.M)
_NAME = re.compile(r"^ (\S+)", re.M)
_REPLACED = re.compile(r"^\s+replacing\s+(\S+)", re.M)
_VERBS = {"Installing": "install", "Upgrading": "upgrade", "Downgrading": "downgrade", "Removing": "remove"}
_PROTECTED = re.compile(r"removing the following protected packages: (.+)")
_HINT = re.compile(r"\(try to (add|use) .*\)")
_ABORTED = "Operation aborted"


def parse(output: str, errors: str, failed: bool) -> packages.Plan:
    """Return the plan that C(dnf install --assumeno) prints. It fails with each plan that is not empty."""
    names: dict[str, list[str]] = {verb: [] for verb in _VERBS.values()}
    for title, rows in _SECTION.findall(output):
        verb = _VERBS.get(title.split()[0])
        if verb:
            names[verb] += _NAME.findall(rows)
            # dnf 5 also has a package replace an older version of itself, and shows no architecture.
            replaced = [re.sub(r"\.(noarch|x86_64|aarch64|i686)$", "", name) for name in _REPLACED.findall(rows)]
            names["remove"] += [name for name in replaced if name not in _NAME.findall(rows)]
    protected = _PROTECTED.search(errors)
    if protected:
        names["remove"] += re.split(r",\s*", protected[1].strip())
    harm = packages.find_harm(names)
    explained = _ABORTED in errors or _ABORTED in output or bool(harm)
    error = explain_failure(output, errors) if failed and not explained else ""
    return packages.Plan(sorted(set(names["install"])), harm, error)


def explain_failure(output: str, errors: str) -> str:
    """Return why dnf failed, without its advice to erase what is in the way."""
    _before, _error, message = errors.rpartition("Error:")
    return packages.clean_reason(_HINT.sub("", message or errors or output or "dnf failed"))


class Dnf:
    """dnf of this host."""

    def __init__(self, run: packages.Run) -> None:
        self.is_refreshed = False
        self._run = run
        self._protected = ""

    def find_missing(self, names: list[str]) -> list[str]:
        """Return those of the packages that are not installed."""
        query = ["rpm", "--query", "--whatprovides"]
        return [name for name in names if self._run([*query, name], _ENVIRONMENT)[0]]

    def plan(self, names: list[str]) -> packages.Plan:
        """Return the changes that installing the packages would make, with new metadata where dnf cannot find them."""
        plan = self._assume_no(names)
        if plan.error and not self.is_refreshed:
            self.refresh()
            plan = self._assume_no(names)
        return plan

    def install(self, names: list[str]) -> str:
        """Install the packages; return why that failed, if it did."""
        status, output, errors = self._dnf("--assumeyes", *names)
        return explain_failure(output, errors) if status else ""

    def refresh(self) -> None:
        """Have the next commands read the metadata of the repositories anew."""
        self.is_refreshed = True

    def _assume_no(self, names: list[str]) -> packages.Plan:
        status, output, errors = self._dnf("--assumeno", *names)
        return parse(output, errors, status != 0)

    def _dnf(self, answer: str, *names: str) -> tuple[int, str, str]:
        if not self._protected:
            query = ["rpm", "--query", "--all", "--queryformat", "%{NAME},"]
            installed = self._run(query, _ENVIRONMENT)[1].rstrip(",")
            self._protected = f"--setopt=protected_packages={installed}"
        options = [answer, *(["--refresh"] if self.is_refreshed else []), self._protected]
        return self._run(["dnf", *options, "install", "--", *names], _ENVIRONMENT)
