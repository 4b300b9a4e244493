# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.template import trust_as_template
from ansible_collections.dbops.rds_iam.plugins.filter.unreadable_templates import FilterModule

unreadable_templates = FilterModule().filters()["unreadable_templates"]


class Hosts:
    """Stands for hostvars: what is looked up there is rendered, and what is asked for as raw is not."""

    def __init__(self, value):
        self.value = value

    def raw_get(self, _host):
        return {} if self.value is None else {"password": self.value}


@pytest.mark.parametrize(
    ("value", "unreadable"),
    [
        (trust_as_template("pa{#ss"), True),
        (trust_as_template("pa{{ss"), True),
        (trust_as_template("pa{%ss"), True),
        ("pa{#ss", False),  # as with the tag !unsafe
        (trust_as_template("{{ vault_password }}"), False),
        (trust_as_template("pa{ss}"), False),
        (12345678, False),
        (None, False),
    ],
)
def test_text_that_jinja_cannot_read(value, unreadable):
    found = unreadable_templates({"hostvars": Hosts(value)}, ["orders"], "password")
    assert found == (["orders"] if unreadable else [])
