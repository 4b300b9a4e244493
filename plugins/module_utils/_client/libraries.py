# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PyMySQL and botocore for the Pythons of a client that need them. Private to this collection.

These are the Python that Ansible uses, which runs the modules, and the one that runs rds-mysql and needs botocore only.
Both also look into the virtual environment of _venv, which the former makes where no packages give it the libraries.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sys
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._client.packages import Run, reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV

REQUIREMENTS = ["botocore>=1.29", "PyMySQL>=1.0.2"]
_OLDEST_DRIVER = (1, 0, 2)
_VENV_PYTHON = f"{VENV}/bin/python3"
# Looks where the modules and rds-mysql look, and imports for real, since a package may be damaged. Its arguments are
# the virtual environment and the libraries.
_PROBE = """\
import importlib, json, sys
sys.path.append("%s/lib/python%d.%d/site-packages" % ((sys.argv[1],) + sys.version_info[:2]))
found = {}
for name in sys.argv[2:]:
    try:
        module = importlib.import_module(name)
        found[name] = [module.__file__, list(getattr(module, "VERSION", ()))]
    except Exception:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class LibraryState:
    """Whether the libraries are lacking, and a driver that is too old and comes before any other."""

    is_lacking: bool
    old_driver: str = ""


def inspect(run: Run, program_python: str) -> LibraryState:
    """Return whether the Python of this process has both libraries, and that of rds-mysql has botocore."""
    found = _probe(run, sys.executable, "botocore.session", "pymysql")
    driver, version = found.get("pymysql", ["", []])
    if driver and tuple(version[:3]) < _OLDEST_DRIVER and not driver.startswith(f"{VENV}/"):
        return LibraryState(True, f"PyMySQL {'.'.join(map(str, version[:3]))} in {os.path.dirname(driver)}")
    is_whole = len(found) == 2 and tuple(version[:3]) >= _OLDEST_DRIVER
    if is_whole and any(file.startswith(f"{VENV}/") for file, _version in found.values()):
        is_whole = os.access(_VENV_PYTHON, os.X_OK)
    if is_whole and not _is_this_python(program_python):
        pythons = [program_python, _VENV_PYTHON]  # rds-mysql goes on with the other one, if it has to
        is_whole = any(_probe(run, python, "botocore.session") for python in pythons)
    return LibraryState(not is_whole)


def _probe(run: Run, python: str, *names: str) -> dict[str, list]:
    """Return file and version of each of the libraries that this Python can import for every user."""
    if not os.access(python, os.X_OK):
        return {}
    status, output, _errors = run([python, "-s", "-c", _PROBE, VENV, *names])
    return json.loads(output) if status == 0 else {}


def _is_this_python(python: str) -> bool:
    """Whether it is the same program in the same place: one in a virtual environment has libraries of its own."""
    here, there = sys.executable, python
    return os.path.dirname(here) == os.path.dirname(there) and os.path.realpath(here) == os.path.realpath(there)


def is_of_the_system() -> bool:
    """Whether packages of the distribution give their libraries to the Python of this process."""
    return sys.prefix == "/usr"


def venv_packages() -> list[str]:
    """Return the packages that a virtual environment needs: Debian has a part of its Python in one of its own."""
    if sys.base_prefix != "/usr" or not shutil.which("apt-get") or importlib.util.find_spec("ensurepip"):
        return []
    return [f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"]


def make_venv(run: Run, client: str) -> None:
    """Make the virtual environment with the libraries beside the one that is there, and put it in its place.

    Its interpreter and its libraries work in any place, and nothing else of it is used. Raises RdsIamError.
    """
    new, old = f"{VENV}.new", f"{VENV}.old"
    install = [f"{new}/bin/python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
    umask = os.umask(0o022)  # it is for all users
    try:
        for command in ([sys.executable, "-m", "venv", "--clear", new], install):
            status, output, errors = run(command)
            if status:
                raise RdsIamError(
                    f"PyMySQL and botocore could not be installed in {VENV} on {client}: {reason(errors or output)};"
                    " let pip on this host reach a Python package index, or set mysql_client_python_packages to"
                    " packages that hold them."
                )
        shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(VENV, old)
        os.rename(new, VENV)
    finally:
        os.umask(umask)
        for place in (new, old):
            shutil.rmtree(place, ignore_errors=True)
