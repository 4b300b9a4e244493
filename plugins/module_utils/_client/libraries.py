# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find and install PyMySQL and botocore for the Pythons of a client that need them. Private to this collection.

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
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._client.packages import Run, clean_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV

REQUIREMENTS = ["botocore>=1.29", "PyMySQL>=1.0.2"]
_LIBRARIES = ("botocore.session", "pymysql")
_OLDEST_DRIVER = (1, 0, 2)
_VENV_PYTHON = f"{VENV}/bin/python3"
# Looks where the modules and rds-mysql look, and imports for real, since a package may be damaged. Its arguments are
# the virtual environment and the libraries.
_PROBE = """\
import importlib, json, sys
sys.path.append("%s/lib/python%d.%d/site-packages" % ((sys.argv[1],) + sys.version_info[:2]))
libraries = {}
for name in sys.argv[2:]:
    try:
        module = importlib.import_module(name)
        libraries[name] = [module.__file__, list(getattr(module, "VERSION", ()))]
    except Exception:
        pass
print(json.dumps(libraries))
"""


@dataclass(frozen=True)
class LibraryState:
    """The state of the libraries on a client."""

    is_lacking: bool
    old_driver: str = ""  # version and place of a PyMySQL that is too old and comes before any other


def inspect(run: Run, program_python: str) -> LibraryState:
    """Return whether the Python of this process lacks one of the libraries, or that of rds-mysql lacks botocore."""
    libraries = _probe(run, sys.executable, *_LIBRARIES)
    driver, version = libraries.get("pymysql", ["", []])
    if driver and tuple(version[:3]) < _OLDEST_DRIVER and not driver.startswith(f"{VENV}/"):
        return LibraryState(True, f"PyMySQL {'.'.join(map(str, version[:3]))} in {os.path.dirname(driver)}")
    is_whole = len(libraries) == len(_LIBRARIES) and tuple(version[:3]) >= _OLDEST_DRIVER
    if is_whole and any(file.startswith(f"{VENV}/") for file, _version in libraries.values()):
        is_whole = os.access(_VENV_PYTHON, os.X_OK)
    if is_whole and not _is_this_python(program_python):
        pythons = [program_python, _VENV_PYTHON]  # rds-mysql goes on with the other one, if it has to
        is_whole = any(_probe(run, python, "botocore.session") for python in pythons)
    return LibraryState(not is_whole)


def _probe(run: Run, python: str, *names: str) -> dict[str, list[Any]]:
    """Return file and version of each of the libraries that this Python can import for every user."""
    if not os.access(python, os.X_OK):
        return {}
    status, output, _errors = run([python, "-s", "-c", _PROBE, VENV, *names])
    return json.loads(output) if status == 0 else {}


def _is_this_python(python: str) -> bool:
    """Return whether it is the program of this process in its place: a virtual environment has its own libraries."""
    return all(part(sys.executable) == part(python) for part in (os.path.dirname, os.path.realpath))


def is_of_the_system() -> bool:
    """Return whether packages of the distribution give their libraries to the Python of this process."""
    return sys.prefix == "/usr"


def venv_packages() -> list[str]:
    """Return the packages that a virtual environment needs: Debian has a part of its Python in one of its own."""
    if sys.base_prefix != "/usr" or not shutil.which("apt-get") or importlib.util.find_spec("ensurepip"):
        return []
    return [f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"]


def make_venv(run: Run, client: str) -> None:
    """Make the virtual environment with the libraries beside the one that is there, and put it in its place.

    Its interpreter and its libraries work in any place, and nothing else of it is used. C(client) is the name of the
    host for messages. Raises RdsIamError.
    """
    new_venv, old_venv = f"{VENV}.new", f"{VENV}.old"
    install = [
        f"{new_venv}/bin/python3",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *REQUIREMENTS,
    ]
    umask = os.umask(0o022)  # it is for all users
    try:
        for command in ([sys.executable, "-m", "venv", "--clear", new_venv], install):
            status, output, errors = run(command)
            if status:
                cause = clean_reason(errors or output)
                raise RdsIamError(
                    f"PyMySQL and botocore could not be installed in {VENV} on {client}: {cause}; let pip on this"
                    " host reach a Python package index, or set db_client_python_packages to packages that hold"
                    " them."
                )
        shutil.rmtree(old_venv, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(VENV, old_venv)
        os.rename(new_venv, VENV)
    finally:
        os.umask(umask)
        for directory in (new_venv, old_venv):
            shutil.rmtree(directory, ignore_errors=True)
