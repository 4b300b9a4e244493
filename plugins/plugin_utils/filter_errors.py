# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raise the error of the collection as filters do. Private to this collection."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar

from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

Result = TypeVar("Result")


def as_filter(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return a function that raises AnsibleFilterError in place of RdsIamError, with the same sentence."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Result:
        try:
            return function(*args, **kwargs)
        except RdsIamError as exc:
            raise AnsibleFilterError(str(exc)) from None

    return wrapper
