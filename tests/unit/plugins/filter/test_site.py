# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of the playbooks: their documentation is that of their functions, and each of them is used."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.dbops.rds_iam.plugins.filter import site as plugin

ROOT = Path(__file__).parents[4]
FILTERS = plugin.FilterModule().filters()


@pytest.mark.parametrize("name", FILTERS)
def test_documentation(name):
    documentation = yaml.safe_load((ROOT / f"plugins/filter/{name}.yml").read_text())["DOCUMENTATION"]
    parameters = list(inspect.signature(FILTERS[name]).parameters.values())[1:]
    assert documentation.get("positional", "") == ", ".join(parameter.name for parameter in parameters)
    options = documentation["options"]
    required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    assert {option for option, spec in options.items() if spec.get("required")} == {"_input", *required}
    assert set(options) == {"_input", *(parameter.name for parameter in parameters)}


def test_every_filter_is_used():
    files = [path for place in ("playbooks", "roles") for path in (ROOT / place).rglob("*.yml")]
    used = set(re.findall(r"dbops\.rds_iam\.(\w+)", " ".join(path.read_text() for path in files)))
    assert set(FILTERS) - used == set()
