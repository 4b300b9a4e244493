# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take apart a policy document, which is JSON of AWS. Pure, and private to this collection.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

from typing import Any

PolicyDocument = dict[str, Any]
StatementElement = dict[str, Any]

CONNECT = "rds-db:connect"
# The version of the policy language that has variables. Earlier ones take ${...} as text.
VERSION = "2012-10-17"


def statements(document: object) -> list[StatementElement]:
    """Return the statements of a document, of which IAM also takes a single one without a list."""
    element = document.get("Statement", []) if isinstance(document, dict) else []
    return [raw for raw in (element if isinstance(element, list) else [element]) if isinstance(raw, dict)]


def texts(statement: StatementElement, key: str) -> list[str]:
    """Return the values of an element of a statement, of which IAM also takes a single one without a list."""
    value = statement.get(key, [])
    return [str(text) for text in (value if isinstance(value, list) else [value])]


def has_variables(document: PolicyDocument) -> bool:
    """Tell whether C(${...}) in a document is a variable."""
    return document.get("Version") == VERSION
