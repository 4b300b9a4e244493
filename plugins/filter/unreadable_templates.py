# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from ansible.template import is_trusted_as_template
from jinja2 import Environment, TemplateError, pass_context
from jinja2.runtime import Context


@pass_context
def unreadable_templates(context: Context, hosts: list[str], variable: str) -> list[str]:
    """Return the hosts for which the variable is text that Jinja cannot read. Its value is not looked up."""
    return [host for host in hosts if _is_unreadable(context["hostvars"].raw_get(host).get(variable))]


def _is_unreadable(value: object) -> bool:
    if not isinstance(value, str) or not is_trusted_as_template(value):
        return False
    try:
        Environment(autoescape=False).parse(str(value))
    except TemplateError:
        return True
    return False


class FilterModule:
    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"unreadable_templates": unreadable_templates}
