# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings with which Sphinx makes HTML of the files in the archive and of the pages that antsibull-docs writes."""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

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
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
PLUGIN = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.(\w+)_(module|lookup|filter|inventory|role)")


def link_files(app: Sphinx, name: str, source: list[str]) -> None:
    """Link README.md for a directory, and leave out links to files of the source tree that have no page."""
    directory = Path(app.srcdir, name).parent

    def replace(match: re.Match[str]) -> str:
        text, target, _anchor = match.groups()
        path = (directory / target).resolve()
        if (path / "README.md").exists():
            return f"[{text}]({target.rstrip('/')}/README.md)"
        in_source_only = (CHECKOUT / path.relative_to(app.srcdir)).exists() and not path.exists()
        return text if path.is_dir() or in_source_only else match[0]

    source[0] = LINK.sub(replace, source[0])


def link_ansible(
    _app: Sphinx, _env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Link the pages of Ansible for what it and other collections document; return None for any other reference."""
    page, plugin = LABELS.get(node["reftarget"]), PLUGIN.match(node["reftarget"])
    if plugin:
        page = "collections/{}/{}/{}_{}.html".format(*plugin.groups())
    return nodes.reference("", "", content, internal=False, refuri=ANSIBLE + page) if page else None


def setup(app: Sphinx) -> None:
    app.connect("source-read", link_files)
    app.connect("missing-reference", link_ansible)
