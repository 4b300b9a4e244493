# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How Sphinx makes HTML of the files in the archive and of the pages that antsibull-docs writes."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes

project = "dbops.rds_iam"
author = copyright = "dbops.rds_iam contributors"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "sphinx_ansible_theme"
html_title = project
html_copy_source = html_show_sphinx = html_use_index = False
highlight_language = "YAML+Jinja"
myst_heading_anchors = 3

CHECKOUT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
LABELS = {
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
PLUGIN = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+)_(module|lookup|filter|inventory|role)")


def links_between_files(app, name, source):
    """A link to a directory leads to its README.md; what is in the source tree only is no link here."""
    here = Path(app.srcdir, name).parent

    def link(match):
        text, target, _place = match.groups()
        path = (here / target).resolve()
        if (path / "README.md").exists():
            return f"[{text}]({target.rstrip('/')}/README.md)"
        only_there = (CHECKOUT / path.relative_to(app.srcdir)).exists() and not path.exists()
        return text if path.is_dir() or only_there else match[0]

    source[0] = LINK.sub(link, source[0])


def elsewhere(app, env, node, content):
    """What Ansible and other collections document is where Ansible publishes it."""
    page, found = LABELS.get(node["reftarget"]), PLUGIN.match(node["reftarget"])
    if found:
        page = "collections/{}/{}/{}_{}.html".format(*found.groups())
    return nodes.reference("", "", content, internal=False, refuri=ANSIBLE + page) if page else None


def setup(app):
    app.connect("source-read", links_between_files)
    app.connect("missing-reference", elsewhere)
