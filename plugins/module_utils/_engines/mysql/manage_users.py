# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take the database users of one server from what they are to what they are to be. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    admin_login,
    preflight_checks,
    server_reader,
    session,
    session_cleanup,
    user_conflicts,
    user_plan,
    user_reader,
    user_writer,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser, UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import (
    DesiredUser,
    parse_users,
    resolve_privileges,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.preflight_checks import (
    PlanRefusedError,
    Problem,
    summarize,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import Grant, Statement
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import show_level
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_outcome import UserOutcome
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_rows import MarkedUserRow, select_rows
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


class UserRun:
    """One run against one server.

    params: those of rds_iam_db_user
    warn: takes a sentence for whoever runs the module
    with_diff: the result has a diff
    """

    connection: Connection
    server: Server

    def __init__(self, params: dict[str, Any], warn: Callable[[str], None], *, with_diff: bool) -> None:
        self.params, self.warn, self.with_diff = params, warn, with_diff
        self.database: str = params["login_host"]
        self.desired_users: list[DesiredUser] = []
        self.existing_users: dict[UserKey, DatabaseUser] = {}  # all of the server, as they were before the run
        self.keep_reasons: dict[UserKey, str] = {}  # of users that are to go, and stay
        self.outcomes: list[UserOutcome] = []
        self.user_rows: list[MarkedUserRow] | None = None
        self.remaining_iam_users: int | None = None
        self.diff: dict[str, dict[str, object]] | None = None

    def execute(self, check_mode: bool) -> None:
        """Plan, and do it unless it is check mode.

        Raises PlanRefusedError with all that stands against the plan, before anything is sent; RdsIamError for each
        other failure; and DriverError where the server cannot be read. to_result() returns what is certain then.
        """
        self.desired_users = parse_users(self.params["users"])
        with admin_login.open_session(self.params) as self.connection:
            self._plan()
            if not check_mode and any(outcome.changed for outcome in self.outcomes):
                self._apply()
            session_cleanup.end_sessions(
                self.connection, self.outcomes, self.existing_users, self.server, self.warn, check_mode=check_mode
            )

    def assume_no_users(self) -> None:
        """Predict the result for a server that execute() could not reach, as if it had none of the database users.

        Which statements that takes depends on the server, so there are none.
        """
        self.outcomes = [UserOutcome(desired_user, [], desired_user.present) for desired_user in self.desired_users]
        if self.with_diff:
            self.diff = self._predict_diff(self._predict_users())

    def to_result(self) -> dict[str, object]:
        """Return what rds_iam_db_user returns, without what is not certain."""
        optional_values = {
            "iam_database_users_remaining": self.remaining_iam_users,
            "user_rows": self.user_rows,
            "diff": self.diff,
        }
        return {
            "changed": any(outcome.changed for outcome in self.outcomes),
            "users": [outcome.to_result() for outcome in self.outcomes],
            **{key: value for key, value in optional_values.items() if value is not None},
        }

    def _plan(self) -> None:
        """Read the server, and predict the result, or raise PlanRefusedError."""
        traits = session.prepare(self.connection, self.database)
        login = server_reader.read_login(self.connection)
        self.server = Server(self.database, self.params["login_user"], traits, login)
        problems = self._resolve_privileges()
        self.existing_users = self._read_users()
        self.user_rows = self._select_rows(self.existing_users)
        if self.params["only_managed"]:
            reasons = {
                user.user.key: user_conflicts.reason_to_keep(user, self._existing(user)) for user in self.desired_users
            }
            self.keep_reasons = {key: reason for key, reason in reasons.items() if reason}
        problems += user_conflicts.find_conflicts(self._active_users(), self.existing_users, self.server)
        problems += self._find_dependents()
        problems += self._find_privilege_problems()
        outcomes = [self._plan_user(desired_user) for desired_user in self.desired_users]
        plans = {str(outcome.desired_user.user): outcome.statements for outcome in outcomes}
        problems += preflight_checks.find_user_problems(plans, self.server)
        if problems:
            raise PlanRefusedError(list(dict.fromkeys(problems)), self.database)
        self.outcomes = outcomes
        users = self._predict_users()
        self.remaining_iam_users = sum(user.takes_tokens for user in users.values())
        if self.with_diff:
            self.diff = self._predict_diff(users)
        self._warn_of_locks()
        self._warn_of_marks()

    def _resolve_privileges(self) -> list[Problem]:
        """Name the privileges as the server does, and return a problem for each that it does not have."""
        if not any(desired_user.user.privileges for desired_user in self.desired_users):
            return []
        dialect = user_reader.read_dialect(self.connection, self.server)
        self.desired_users, problems = resolve_privileges(self.desired_users, dialect, self.database)
        return problems

    def _read_users(self) -> dict[UserKey, DatabaseUser]:
        keys = [desired_user.user.key for desired_user in self.desired_users]
        return user_reader.read_users(self.connection, self.server.traits, keys)

    def _select_rows(self, users: Mapping[UserKey, DatabaseUser]) -> list[MarkedUserRow]:
        return select_rows(users, [desired_user.user.name for desired_user in self.desired_users])

    def _existing(self, desired_user: DesiredUser) -> DatabaseUser | None:
        return self.existing_users.get(desired_user.user.key)

    def _active_users(self) -> list[DesiredUser]:
        """Return what is asked for, without the users that stay as they are."""
        return [desired_user for desired_user in self.desired_users if desired_user.user.key not in self.keep_reasons]

    def _plan_user(self, desired_user: DesiredUser) -> UserOutcome:
        reason = self.keep_reasons.get(desired_user.user.key, "")
        statements = [] if reason else user_plan.plan(desired_user, self._existing(desired_user), self.server)
        return UserOutcome(desired_user, statements, bool(statements), reason)

    def _predict_users(self) -> dict[UserKey, DatabaseUser]:
        """Return all users of the server as they will be."""
        users = dict(self.existing_users)
        for desired_user in self._active_users():
            user = user_plan.predict(desired_user, users.pop(desired_user.user.key, None))
            if user:
                users[user.key] = user
        return users

    def _predict_diff(self, users: Mapping[UserKey, DatabaseUser]) -> dict[str, dict[str, object]]:
        """Return what changes, with these users as they will be."""
        keys = [outcome.key for outcome in self.outcomes if outcome.changed]
        states = {"before": self.existing_users, "after": users}
        return {
            label: {str(state[key]): state[key].to_diff() for key in keys if key in state}
            for label, state in states.items()
        }

    def _apply(self) -> None:
        """Send the statements, and compare with what the server then says."""
        active_outcomes = [outcome for outcome in self.outcomes if not outcome.keep_reason]
        self.user_rows = None  # until they are read again
        try:
            user_writer.apply(self.connection, active_outcomes, self.existing_users, self.server)
            users = self._read_users()
            self.user_rows = self._select_rows(users)
            user_writer.verify(active_outcomes, users, self.server)
        except RdsIamError:
            self.user_rows = self.diff = self.remaining_iam_users = None
            raise

    def _find_dependents(self) -> list[Problem]:
        """Return what stands against dropping users, and warn of what a drop that was asked for breaks."""
        dropped_users = [user for user in self._active_users() if not user.present and self._existing(user)]
        if not dropped_users:
            return []
        self._warn_of_hidden_definers()
        keys = [desired_user.user.key for desired_user in dropped_users]
        dependents = server_reader.read_dependents(self.connection, keys, self.server.traits)
        problems = [
            self._check_drop(user, dependents[user.user.key]) for user in dropped_users if user.user.key in dependents
        ]
        return [problem for problem in problems if problem]

    def _check_drop(self, desired_user: DesiredUser, dependents: list[str]) -> Problem | None:
        """Return what stands against dropping a user that others depend on; or keep it, or warn."""
        user, objects = desired_user.user, summarize(dependents)
        reason = f"these need it: {objects}"
        if desired_user.force_drop:
            if self._may_not_drop_definers() and server_reader.name_a_definer(dependents):
                privilege = server_reader.DROPS_DEFINERS[0]
                clause = (
                    f"{self.server.login_user} lacks {privilege} on *.* of {self.database}, so the server does not let"
                    f" it drop {user}, which these need: {objects}"
                )
                return Problem(clause, "give them another DEFINER or drop them first")
            self.warn(f"{user} of {self.database} is dropped although {reason}.")
            return None
        if self.params["only_managed"]:
            self.keep_reasons[user.key] = reason
            return None
        advice = "give them another DEFINER or drop them first, or set force_drop for it"
        return Problem(f"{user} of {self.database} is not dropped, since {reason}", advice)

    def _may_not_drop_definers(self) -> bool:
        return self.server.traits.attributes and not any(map(self.server.login.holds, server_reader.DROPS_DEFINERS))

    def _find_privilege_problems(self) -> list[Problem]:
        """Return what the server would refuse of the statements about privileges."""
        changes = {
            str(desired_user.user): user_plan.privilege_changes(desired_user, self._existing(desired_user), self.server)
            for desired_user in self._active_users()
        }
        all_changes = [change for user_changes in changes.values() for change in user_changes]
        levels = preflight_checks.tables_of(all_changes)
        tables = server_reader.read_tables(self.connection, levels) if levels else {}
        problems = []
        for user, user_changes in changes.items():
            problems += preflight_checks.find_privilege_problems(user, user_changes, tables, self.server)
        if not problems:
            self._warn_of_databases(all_changes)
        return problems

    def _warn_of_databases(self, changes: list[Statement]) -> None:
        if any(isinstance(change, Grant) and change.level[0] and not change.level[1] for change in changes):
            databases = server_reader.read_databases(self.connection)
            names = preflight_checks.missing_databases(changes, databases, self.server.traits.literal)
            if names:
                levels = summarize(show_level((name, "")) for name in names)
                self.warn(
                    f"{self.database} has no database for the privileges on {levels}; they count once there is one."
                )

    def _warn_of_hidden_definers(self) -> None:
        missing_privileges = [name for name in server_reader.SEES_DEFINERS if not self.server.login.holds(name)]
        if missing_privileges:
            self.warn(
                f"{self.server.login_user} lacks {summarize(missing_privileges)} on *.* of {self.database}, so it may"
                " not see all that names a user that is dropped as its DEFINER."
            )

    def _warn_of_locks(self) -> None:
        locked_users = [str(user.user) for user in self._active_users() if self._stays_locked(user)]
        if locked_users:
            self.warn(
                f"{summarize(locked_users)} of {self.database} stay locked, so nobody can log in with them; set locked"
                " to false for those that are to be unlocked."
            )

    def _stays_locked(self, desired_user: DesiredUser) -> bool:
        existing_user = self._existing(desired_user)
        return bool(desired_user.present and existing_user and existing_user.locked and desired_user.locked is None)

    def _warn_of_marks(self) -> None:
        new_users = [str(user.user) for user in self._active_users() if user.present and not self._existing(user)]
        if new_users and not self.server.attribute and not self.server.mark(new_users[0]):
            self.warn(
                f"{summarize(new_users)} of {self.database} cannot be marked with {MARK}, since"
                f" {self.server.login_user} cannot pass on REFERENCES; only_managed will keep what is created now."
            )
