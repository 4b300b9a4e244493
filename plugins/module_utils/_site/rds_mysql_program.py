# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the program rds-mysql. Pure, and private to this collection.

It is one file that holds everything, so that there is no moment at which its parts do not fit together.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import ConnectDatabase

# The parts of the collection that make the program, in an order in which each finds what it uses.
_PARTS = (
    "_venv",
    "_errors",
    "_token/errors",
    "_token/endpoint",
    "_token/credentials",
    "_token/signer",
    "_token/issue",
    "_engines/mysql/client_program",
    "_engines/mysql/client_options",
    "_engines/mysql/masking",
    "_engines/mysql/login_relay",
    "_engines/mysql/rds_mysql",
)
_IMPORTS_OF_PARTS = re.compile(
    r"^from (?:__future__|ansible_collections[.][^ ]+) import (?:[(][^)]*[)]|[^(\n]*)\n", re.MULTILINE
)
# The third line of comments is the mark by which the role connect knows the program.
_HEAD = """\
#!{python} -I
# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Managed by dbops.rds_iam, role connect: it writes over changes, and removes the file.

from __future__ import annotations

# The modules that follow make the program. They are parts of the collection as well, here without the imports from
# each other.
"""


def rds_mysql_program(databases: Iterable[ConnectDatabase], python: str, ca_file: str) -> str:
    """Return the text of rds-mysql for databases.

    python: the path of the Python that runs it
    ca_file: the CA file of the databases that have none of their own
    """
    entries = (_entry(database, ca_file) for database in sorted(databases, key=lambda database: database["name"]))
    table = "".join(["DATABASES = {\n", *entries, "}\n"])
    return "\n".join(
        [_HEAD.format(python=python), _parts(), table, 'if __name__ == "__main__":\n    run_program(DATABASES)\n']
    )


@functools.lru_cache(maxsize=1)
def _parts() -> str:
    directory = Path(__file__).parents[1]
    return "\n".join(
        _IMPORTS_OF_PARTS.sub("", (directory / f"{part}.py").read_text(encoding="utf-8")) for part in _PARTS
    )


def _entry(database: ConnectDatabase, ca_file: str) -> str:
    """Return the lines of a database. Its values are texts and numbers, which JSON and Python write in the same way."""
    values = {
        "endpoint": database["endpoint"],
        "port": int(database["port"]),
        "region": database["region"],
        "ca_file": database.get("ca_file") or ca_file,
        "users": list(database.get("users") or ()),
    }
    lines = (f"        {_literal(key)}: {_literal(value)},\n" for key, value in values.items())
    return f"    {_literal(database['name'])}: {{\n{''.join(lines)}    }},\n"


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
