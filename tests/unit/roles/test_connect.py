# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The entry points of the role connect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles/connect"
ENTRY_POINTS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]


def reached(tasks: str) -> str:
    """The text of a file of tasks, of the files that it includes, and of the templates and variables that they use."""
    text = (ROLE / "tasks" / tasks).read_text()
    text += "".join(reached(name) for name in re.findall(r"(?:include|import)_tasks: (\S+)", text))
    text += "".join((ROLE / "templates" / name).read_text() for name in re.findall(r"src: (\S+\.j2)", text))
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    for _turn in variables:
        text += "".join(str(value) for name, value in variables.items() if name in text and str(value) not in text)
    return text


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_an_entry_point_reads_each_option_that_it_lists(entry_point):
    text = reached(f"{entry_point}.yml")
    assert [name for name in ENTRY_POINTS[entry_point]["options"] if not re.search(rf"\b{name}\b", text)] == []
