# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that say that they are pure: the controller imports them, and nothing of it changes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.dbops.rds_iam.plugins.module_utils import _errors

PLUGINS = Path(__file__).parents[2] / "plugins"
PACKAGE = "ansible_collections.dbops.rds_iam.plugins"
IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    before = list(sys.path)
    importlib.import_module(name)
    if sys.path != before:
        print(name, sys.path)
"""


def dotted(path: Path) -> str:
    return ".".join([PACKAGE, *path.relative_to(PLUGINS).with_suffix("").parts])


def test_importing_what_is_pure_changes_no_search_path():
    pure = {
        dotted(path)
        for path in (PLUGINS / "module_utils").rglob("*.py")
        if "Pure" in (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    }
    filters = {dotted(path) for path in (PLUGINS / "filter").glob("*.py")}
    assert f"{PACKAGE}.module_utils._doctor.diagnosis" in pure
    # Inside ansible-test the importer of collections is not there for this process.
    place = str(Path(_errors.__file__).parents[5])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([place, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", IMPORTS, *sorted(pure | filters)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")
