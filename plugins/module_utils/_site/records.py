# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records that the filters and the playbooks exchange. Pure, and private to this collection."""

from __future__ import annotations

from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import HostFacts, LoginResult, SignerResult


class DatabaseUsers(TypedDict):
    """The database users of one database, by what is expected of their logins."""

    users: list[str]  # allowed
    denied: list[str]  # denied, although the database has them
    removed: list[str]  # denied, since the database must not have them


class SiteDatabase(DatabaseRecord, DatabaseUsers):
    """The record of a database that these playbooks can work with."""

    name: str  # in the inventory


class _ConnectOptions(TypedDict, total=False):
    users: list[str] | None
    denied: list[str] | None
    ca_file: str | None


class ConnectDatabase(_ConnectOptions):
    """An entry of the option connect_databases of the role connect."""

    name: str
    endpoint: str | None
    port: int
    region: str


class PingLogin(TypedDict):
    """An entry of the option logins of rds_iam_ping."""

    endpoint: str | None
    port: int
    region: str
    user: str
    expect: str
    ca_file: str


class PingResult(TypedDict, total=False):
    """The result of a task with rds_iam_ping. Without C(logins) it could try none, or was skipped."""

    logins: list[LoginResult]  # in the order of the option
    signer: SignerResult
    host: HostFacts  # where a login did not go as expected
    skipped: bool
    failed: bool
    unreachable: bool
    msg: str


class LoginRound(TypedDict):
    """The logins that a client was given once, and the result of the task that tried them."""

    databases: list[ConnectDatabase]
    result: PingResult


class DiagnosisCheck(TypedDict):
    """A check as rds_iam_doctor returns it."""

    name: str
    status: str
    message: str
    remedy: str


class Diagnosis(TypedDict, total=False):
    """The diagnosis of one login, as rds_iam_doctor returns it."""

    client: str
    database: str
    user: str
    status: str
    reason: str
    checks: list[DiagnosisCheck]


class DoctorLogin(TypedDict, total=False):
    """An entry of the option logins of rds_iam_doctor."""

    client: str
    database: str
    user: str
    expect: str
    error: str  # why there is no result
    login_result: dict[str, Any]  # a LoginResult
    user_plan: dict[str, Any]  # the result of rds_iam_db_user in check mode


class DoctorClient(TypedDict, total=False):
    """An entry of the option clients of rds_iam_doctor."""

    name: str
    instance_id: str
    host_facts: HostFacts
