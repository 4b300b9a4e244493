# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""check_links.py DIRECTORY: fail if a link between the HTML pages there, or to a place in one, leads nowhere."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path: Path):
        super().__init__()
        self.links, self.places = set(), set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and tag != "base":
                self.links.add(value)
            if name == "id" or (name == "name" and tag == "a"):
                self.places.add(value)


def dead_links(directory: Path):
    pages = {path: Page(path) for path in directory.rglob("*.html")}
    for path, page in sorted(pages.items()):
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.exists() or (target in pages and place and place not in pages[target].places):
                yield f"{path.relative_to(directory)}: {link}"


dead = list(dead_links(Path(sys.argv[1]).resolve()))
if dead:
    sys.exit("These links lead nowhere:\n" + "\n".join(dead))
