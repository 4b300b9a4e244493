# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the database users of one server from what they are to what they are to be. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    desired_users,
    refusals,
    server_reader,
    session,
    user_conflicts,
    user_plan,
    user_reader,
    user_sessions,
    user_writer,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import DesiredUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.error_texts import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import Grant, Statement
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import show_level
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.refusals import Problem, Refused, listed
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_rows import user_rows
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def no_server(items: list[DesiredUser], diff: bool) -> dict:
    """Return what is reported of a server that could not be read, as if it had none of the database users.

    Which statements that takes depends on the server, so there are none.
    """
    plans = {item.account.key: [] for item in items}
    result = report(items, {}, plans, {}, diff)
    for item, user in zip(items, result["users"]):
        user["changed"] = item.present
    result["changed"] = any(user["changed"] for user in result["users"])
    if diff:
        made = [item for item in items if item.present]
        after = {str(item.account): user_plan.predicted(item, None).shown() for item in made}
        result["diff"] = {"before": {}, "after": after}
    del result["accounts_left"]
    return result


def report(items: list, current: dict, plans: dict, kept: dict, diff: bool) -> dict:
    """Return the result of a run that does what is planned. C(plans) and C(kept) are by name and host of a user."""
    left = {item.account.key: user_plan.predicted(item, current.get(item.account.key)) for item in items}
    left.update({key: current[key] for key in kept})
    changing = [item.account for item in items if plans[item.account.key]]
    result = {
        "changed": bool(changing),
        "users": [_user(item, plans[item.account.key], kept.get(item.account.key, "")) for item in items],
        "accounts_left": sum(1 for account in {**current, **left}.values() if account and account.takes_tokens),
    }
    if diff:
        result["diff"] = {
            "before": {str(a): current[a.key].shown() for a in changing if a.key in current},
            "after": {str(a): left[a.key].shown() for a in changing if left[a.key]},
        }
    return result


def _user(item: DesiredUser, statements: list[str], reason: str) -> dict:
    return {
        "name": item.account.name,
        "host": item.account.host,
        "state": "present" if item.present else "absent",
        "changed": bool(statements),
        "outcome": "kept" if reason else "done",
        "reason": reason,
        "sessions": [],
        "statements": statements,
    }


class Run:
    """One run against one server. C(result) is filled as far as it comes; C(warn) takes a sentence."""

    def __init__(self, connection, params: dict, result: dict, warn: Callable[[str], None]):
        self.connection, self.params, self.result, self.warn = connection, params, result, warn
        self.where = params["login_host"]
        self.kept: dict[tuple[str, str], str] = {}
        self.current: dict[tuple[str, str], DatabaseUser] = {}

    def plan(self, items: list[DesiredUser], diff: bool) -> None:
        """Read the server and plan, or raise Refused with all that stands against it."""
        traits = session.prepare(self.connection, self.where)
        login = server_reader.read_login(self.connection)
        self.server = Server(self.where, self.params["login_user"], traits, login)
        self.items, problems = items, []
        if any(item.account.privileges for item in items):
            dialect = user_reader.read_dialect(self.connection, self.server)
            self.items, problems = desired_users.on_server(items, dialect, self.where)
        self.current = user_writer.read(self.connection, self.items, traits)
        self.result["user_rows"] = self._user_rows()
        if self.params["only_managed"]:
            reasons = {item.account.key: user_conflicts.why_kept(item, self._existing(item)) for item in self.items}
            self.kept = {key: reason for key, reason in reasons.items() if reason}
        problems += user_conflicts.find_conflicts(self._active(), self.current, self.server)
        problems += self._dependents()
        problems += self._privileges()
        plans = {item.account.key: self._statements(item) for item in self.items}
        by_user = {str(item.account): plans[item.account.key] for item in self.items}
        problems += refusals.find_problems_of_users(by_user, self.server)
        if problems:
            raise Refused(list(dict.fromkeys(problems)), self.where)
        self.result.update(report(self.items, self.current, plans, self.kept, diff))
        self._warn_of_locks()
        self._warn_of_marks()

    def apply(self) -> None:
        """Send the statements, and compare with what the server then says."""
        if self.result["changed"]:
            user_writer.apply(self.connection, self._active(), self.current, self.result, self.server)
            left = user_writer.read(self.connection, self.items, self.server.traits)
            self.result["user_rows"] = self._user_rows(left)
            user_writer.verify(self._active(), left, self.result, self.server)

    def _user_rows(self, accounts: dict | None = None) -> list[dict]:
        return user_rows(accounts or self.current, [item.account.name for item in self.items])

    def _existing(self, item: DesiredUser) -> DatabaseUser | None:
        return self.current.get(item.account.key)

    def _active(self) -> list[DesiredUser]:
        """Return what is asked for, without the users that stay as they are."""
        return [item for item in self.items if item.account.key not in self.kept]

    def _statements(self, item: DesiredUser) -> list[str]:
        if item.account.key in self.kept:
            return []
        return user_plan.plan(item, self._existing(item), self.server)

    def _dependents(self) -> list[Problem]:
        """Return what stands against dropping users, and warn of what a drop that was asked for breaks."""
        dropped = [item for item in self._active() if not item.present and self._existing(item)]
        if not dropped:
            return []
        self._warn_of_blindness()
        found = server_reader.read_dependents(
            self.connection, [item.account.key for item in dropped], self.server.traits
        )
        problems = []
        for item in dropped:
            objects = found.get(item.account.key)
            if not objects:
                continue
            reason = f"these need it: {listed(objects)}"
            if item.force_drop and self._may_not_drop_definers() and server_reader.name_a_definer(objects):
                clause = f"{self.server.login_user} lacks {server_reader.DROPS_DEFINERS[0]} on *.* of {self.where}"
                reason = f"so the server does not let it drop {item.account}, which these need: {listed(objects)}"
                problems.append(Problem(f"{clause}, {reason}", "give them another DEFINER or drop them first"))
            elif item.force_drop:
                self.warn(f"{item.account} of {self.where} is dropped although {reason}.")
            elif self.params["only_managed"]:
                self.kept[item.account.key] = reason
            else:
                advice = "give them another DEFINER or drop them first, or set force_drop for it"
                problems.append(Problem(f"{item.account} of {self.where} is not dropped, since {reason}", advice))
        return problems

    def _may_not_drop_definers(self) -> bool:
        return self.server.traits.attributes and not any(map(self.server.login.holds, server_reader.DROPS_DEFINERS))

    def _privileges(self) -> list[Problem]:
        """Return what the server would refuse of the statements about privileges."""
        changes: dict[str, list[Statement]] = {}
        for item in self._active():
            changes[str(item.account)] = user_plan.privilege_changes(item, self._existing(item), self.server)
        every = [change for of_user in changes.values() for change in of_user]
        levels = refusals.tables_of(every)
        tables = server_reader.read_tables(self.connection, levels) if levels else {}
        problems = []
        for who, of_user in changes.items():
            problems += refusals.find_problems(who, of_user, tables, self.server)
        if not problems:
            self._warn_of_databases(every)
        return problems

    def _warn_of_databases(self, changes: list[Statement]) -> None:
        if any(isinstance(change, Grant) and change.level[0] and not change.level[1] for change in changes):
            databases = server_reader.read_databases(self.connection)
            names = refusals.databases_not_there(changes, databases, self.server.traits.literal)
            if names:
                levels = listed(show_level((name, "")) for name in names)
                self.warn(f"{self.where} has no database for the privileges on {levels}; they count once there is one.")

    def _warn_of_blindness(self) -> None:
        unseen = [name for name in server_reader.SEES_DEFINERS if not self.server.login.holds(name)]
        if unseen:
            self.warn(
                f"{self.server.login_user} lacks {listed(unseen)} on *.* of {self.where}, so it may not see all that"
                " names a user that is dropped as its DEFINER."
            )

    def _warn_of_locks(self) -> None:
        locked = [item.account for item in self._active() if self._is_left_locked(item)]
        if locked:
            self.warn(
                f"{listed(map(str, locked))} of {self.where} stay locked, so nobody can log in with them; set locked to"
                " false for those that are to be unlocked."
            )

    def _is_left_locked(self, item: DesiredUser) -> bool:
        existing = self._existing(item)
        return bool(item.present and existing and existing.locked and item.locked is None)

    def _warn_of_marks(self) -> None:
        made = [item.account for item in self._active() if item.present and not self._existing(item)]
        if made and not self.server.attribute and not self.server.mark("it"):
            self.warn(
                f"{listed(map(str, made))} of {self.where} cannot be marked with {MARK}, since {self.server.login_user}"
                " cannot pass on REFERENCES; only_managed will keep what is created now."
            )

    def sessions(self, check_mode: bool) -> None:
        """Count the open sessions of users that go or have less, and end those that are to be ended."""
        items = {
            item.account.key: item
            for item, user in zip(self.items, self.result["users"])
            if (user["statements"] or not item.present)
            and item.account.key not in self.kept
            and user_plan.takes_away(item, self._existing(item), self.server)
        }
        if not items:
            return
        self._warn_of_hidden_sessions()
        found = user_sessions.read_sessions(self.connection, items, self.current)
        chosen = {key: items[key].kill_sessions for key in items}
        numbers = {one.number for key, of_user in found.items() if chosen[key] for one in of_user if one.certain}
        left = self._kill(numbers) if numbers and not check_mode else set()
        for item, user in zip(self.items, self.result["users"]):
            of_user = found.get(item.account.key, [])
            ended = {one.number for one in of_user if one.number in numbers - left}
            user["sessions"] = [one.to_result(one.number in ended) for one in of_user]
            user["changed"] = user["changed"] or bool(ended)
            self.result["changed"] = self.result["changed"] or bool(ended)
            self._warn_of_sessions(item, [one for one in of_user if one.number not in ended])

    def _warn_of_hidden_sessions(self) -> None:
        if not self.server.login.holds("PROCESS"):
            self.warn(f"{self.server.login_user} lacks PROCESS on {self.where}, so it does not see sessions of others.")

    def _kill(self, numbers: set[int]) -> set[int]:
        try:
            return user_sessions.kill(self.connection, numbers)
        except DriverError as exc:
            raise RdsIamError(
                f"{len(numbers)} sessions on {self.where} could not be ended: {server_error(exc)[1]}; the users"
                " are as they are to be, so end the sessions by hand."
            ) from None

    def _warn_of_sessions(self, item: DesiredUser, open_sessions: list) -> None:
        if not open_sessions:
            return
        clients = listed(dict.fromkeys(one.client or "an unknown client" for one in open_sessions))
        several = len(open_sessions) > 1
        count = f"{len(open_sessions)} sessions" if several else "One session"
        advice = "end them by hand" if item.kill_sessions else "set kill_sessions for it, or end them by hand"
        self.warn(
            f"{count} of {item.account} on {self.where} {'are' if several else 'is'} open, from {clients}, and may go"
            f" on with what the user had; {advice}."
        )
