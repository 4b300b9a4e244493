# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draw the end of the demo as an SVG: take what tests/tools/demo prints, and print the picture."""

from __future__ import annotations

import re
import sys
from xml.sax.saxutils import escape

LINE, CHAR, EDGE = 19, 8.0, 16  # of the text, in the units of the picture
HEAD = """\
<!--
Copyright: dbops.rds_iam contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by make picture.
-->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" xml:space="preserve">
  <title>The end of the demo</title>
  <style>
    rect {{ fill: #161b22 }}
    text {{ fill: #e6edf3; font: 13px monospace; white-space: pre }}
    .good {{ fill: #3fb950 }}
  </style>
  <rect width="100%" height="100%" rx="8"/>
"""
SENTENCE = re.compile(r"\d+ of \d+ logins were tried, and all are proven: [^.]+\.")
PROOF = re.compile(rf"((?<=  )yes$|^{SENTENCE.pattern})")


def proof(output: str) -> list[str]:
    """Return the table and the sentence below it, without the frame that Ansible puts around them."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", output)
    table = re.search(r"^ *- (client +database .*)\n((?: *- .*\n)+)", text, re.M)
    sentence = SENTENCE.search(text)
    if not table or not sentence:
        sys.exit("picture: there is no proof in this output; it draws what tests/tools/demo prints.")
    rows = [re.sub(r"^ *- ", "", row) for row in table[2].splitlines()]
    return ["$ make demo", "...", table[1], *rows, "", sentence[0]]


def draw(lines: list[str]) -> str:
    parts = [HEAD.format(width=max(map(len, lines)) * CHAR + 2 * EDGE, height=len(lines) * LINE + 2 * EDGE)]
    for number, line in enumerate(lines, 1):
        text = PROOF.sub(r'<tspan class="good">\1</tspan>', escape(line))
        parts.append(f'  <text x="{EDGE}" y="{EDGE + number * LINE - 5}">{text}</text>\n')
    return "".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    print(draw(proof(sys.stdin.read())), end="")
