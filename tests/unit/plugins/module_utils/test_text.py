# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of sentences."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items, one_line


def test_one_line_has_neither_line_breaks_nor_an_end():
    assert one_line("  it failed:\n\tno such host. ") == "it failed: no such host"


def test_a_long_list_is_cut():
    names = [f"i-{number}" for number in range(13)]
    assert list_items(names[:10]) == ", ".join(names[:10])
    assert list_items(names, "; ") == "; ".join(names[:10]) + " and 3 more"
