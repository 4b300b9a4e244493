# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send the modules that take the master password to a host without a file that has it, or do not send them.

Ansible writes a module with its input to a file, on the host and on the controller, unless the connection hands it over
on the standard input of the Python there (pipelining). That is switched on here, whatever the settings are: without
become nothing speaks against it, also where sudo wants a terminal. Where it cannot be, nothing is sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.vars import merge_hash

SECRET = "login_password"
_DELEGATE = (
    "delegate it to a host with the connection ssh or local (db_users_delegate_to of the role dbops.rds_iam.db_users);"
    " a host that is reached through SSM has ssh with the document AWS-StartSSHSession as its ProxyCommand"
)
_NO_BECOME = "it needs no root, so set become to false"


class HiddenText(str):
    """A secret that ansible-core writes to a module's input like any text, and to its debug output not at all."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class ActionModule(ActionBase):
    """Run the module of the task with pipelining."""

    _supports_async = False  # a module that is left to itself is a file
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(None, task_vars)
        arguments = dict(self._task.args)
        if arguments.get(SECRET) is not None:
            arguments[SECRET] = HiddenText(arguments[SECRET])
        with self._pipelining():
            if not self._is_pipelining_enabled("new"):
                return {**result, "failed": True, "changed": False, "msg": self._refusal()}  # for failed_when, too
            answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        if self._wants_terminal(answer):
            answer["msg"] = f"sudo wants a terminal for {self._task.action}, which {_NO_BECOME}."
        return merge_hash(result, answer)

    @contextlib.contextmanager
    def _pipelining(self) -> Iterator[None]:
        """Switch pipelining on for as long as the module runs."""
        connection = self._connection
        if not connection.has_pipelining:
            yield
            return
        try:
            before = connection.get_option("pipelining")
        except KeyError:  # a plugin that has it without an option for it
            before = None
        connection.set_option("pipelining", True)
        try:
            yield
        finally:
            connection.set_option("pipelining", before)

    def _refusal(self) -> str:
        connection, become = self._connection, self._connection.become
        if constants.DEFAULT_KEEP_REMOTE_FILES:
            reason = "ANSIBLE_KEEP_REMOTE_FILES is set"
            advice = "unset it (keep_remote_files in ansible.cfg)"
        elif become and not become.pipelining:
            reason, advice = f"the become method {become.name.rpartition('.')[2]} has no pipelining", _NO_BECOME
        elif not connection.has_pipelining:
            reason, advice = f"the connection {connection.transport} has no pipelining", _DELEGATE
        else:
            reason = "ssh is told to ask for a terminal"
            advice = "take -t and RequestTTY out of its arguments (ansible_ssh_extra_args, ansible_ssh_common_args)"
        return (
            f"{SECRET} of {self._task.action} would be in a file on {self._host()}, since {reason}, so nothing was sent"
            f" there; {advice}."
        )

    def _host(self) -> str:
        return self._task.delegate_to or self._play_context.remote_addr or "the host"

    def _wants_terminal(self, answer: dict[str, Any]) -> bool:
        output = f"{answer.get('module_stderr', '')} {answer.get('module_stdout', '')} {answer.get('msg', '')}"
        return bool(answer.get("failed") and self._connection.become and "must have a tty" in output)
