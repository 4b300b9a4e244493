# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records that rds_iam_ping returns. Pure, and private to this collection.

The module documents the fields. The site and the doctor read them on the controller, where they come back as JSON.
"""

from __future__ import annotations

from typing import TypedDict


class SignerResult(TypedDict, total=False):
    """A signer without its credentials: their source, and the principal whose they are."""

    source: str | None  # as botocore calls it; None without credentials
    principal: str | None  # an ARN, or the name of the role of the instance profile; None if unknown
    role_name: str | None  # None for a principal that is no role, or unknown
    is_expected: bool | None  # None where any principal is
    error: str | None  # why there are no credentials, or why their principal is unknown


class LoginResult(TypedDict, total=False):
    """The result of one login. A login that could not be tried has no facts about a session."""

    endpoint: str
    port: int
    user: str
    expected: str  # allowed or denied
    verdict: str  # allowed, denied, failed or not_tried
    as_expected: bool
    attempts: int
    tried_at: str  # the time of the last attempt, as 2026-01-02T03:04:05Z by the clock of the client
    signer: SignerResult
    client_host: str | None  # the address or name by which the server knows the client
    msg: str  # a sentence, where the login did not go as expected
    failed_at: str | None  # credentials, token, name, port, tls, certificate or login; where the login was not allowed
    server_error: int  # the number of the error that the server answered with
    current_user: str  # of a session, like the rest
    server_version: str
    tls_version: str
    tls_cipher: str


class HostCredentials(SignerResult, total=False):
    """The credentials of a client, without the secrets."""

    expires_at: str | None  # as 2026-01-02T03:04:05Z; None for credentials that do not expire
    expired: bool
    metadata_disabled: bool  # whether AWS_EC2_METADATA_DISABLED keeps botocore from the instance metadata service


class BundleFacts(TypedDict):
    """The CA file of a client."""

    path: str
    certificates: int  # the number of live roots
    not_after: str | None  # the end of the first of them, as 2026-01-02T03:04:05Z
    error: str | None  # why the file cannot be read


class ProgramFacts(TypedDict):
    """A database client program."""

    path: str
    family: str  # MariaDB or MySQL
    version: str
    options: list[str]  # that make it verify a server and send a token
    error: str | None  # why it does not take them


class TargetFacts(TypedDict, total=False):
    """The part of the way to an endpoint that a client can go without credentials."""

    endpoint: str
    port: int
    failed_at: str | None  # name, port, tls or certificate; None where nothing failed
    msg: str | None
    server_error: int


class HostFacts(TypedDict, total=False):
    """The facts about a client that decide about its logins. One that could not be asked has C(msg) alone."""

    clock_skew: float | None  # seconds by which its clock is ahead of that of AWS
    instance_id: str | None
    metadata_error: str | None  # why the instance metadata service did not answer, as a clause
    credentials: HostCredentials
    ca_bundle: BundleFacts
    programs: list[ProgramFacts]  # rds-mysql runs the first
    libraries: dict[str, str | None]  # the versions of botocore and pymysql, None for a missing one
    targets: list[TargetFacts]
    msg: str
