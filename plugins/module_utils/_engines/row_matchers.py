# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the row matcher of a server by the name of its engine. Pure, and private to this collection."""

from __future__ import annotations

from functools import partial
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import RowMatcher
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE, FAMILIES
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import user_matching


def _mysql_row_matcher(engine: str, engine_version: str) -> RowMatcher:
    return partial(user_matching.candidate_rows, server=user_matching.ServerKind.of(engine, engine_version))


# By the name of an engine, the function that makes the matcher for an engine and a version of it.
_ROW_MATCHERS: dict[str, Callable[[str, str], RowMatcher]] = dict.fromkeys(FAMILIES["mysql"], _mysql_row_matcher)


def row_matcher_for(engine: str, engine_version: str) -> RowMatcher:
    """Return the function that finds the rows for a login on a server.

    engine: the name that RDS gives to the engine; one that is not supported is taken for that of a login which names
    none
    engine_version: the version as RDS has it; an empty string if unknown
    """
    return _ROW_MATCHERS.get(engine, _ROW_MATCHERS[DEFAULT_ENGINE])(engine, engine_version)
