# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests of the connection, with the versions of PyMySQL that hosts have: they differ in what they send."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Directories with one version each and nothing else, which tests/tools/setup.sh makes.
DRIVERS = sorted((Path(__file__).parents[6] / ".cache/pymysql").iterdir())


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_hostile_servers(driver):
    def run(*arguments):
        own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(driver), os.environ.get("PYTHONPATH", "")])}
        return subprocess.run([sys.executable, *arguments], env=own, capture_output=True, text=True, check=False)

    assert run("-c", "import pymysql; print(pymysql.__file__)").stdout.startswith(str(driver))
    # By its name alone: inside ansible-test the file is in a package, whose importer is not there for this process.
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=prepend")
    tests = run("-m", "pytest", *options, Path(__file__).with_name("test_connection.py"))
    assert tests.returncode == 0, tests.stdout
