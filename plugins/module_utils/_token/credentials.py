# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the AWS credentials of this host as botocore does. Private to this collection.

The program rds-mysql contains this file, without its imports from the collection.
"""

from __future__ import annotations

import functools
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import (
    MissingCredentialsError,
    UnreadableCredentialsError,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV

if TYPE_CHECKING:
    from botocore.session import Session


class FrozenCredentials(Protocol):
    """Credentials as they are at one moment. C(token) is the session token, None for those of an IAM user."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


class Credentials(Protocol):
    """Credentials of botocore, which fetches some kinds again before they expire."""

    def get_frozen_credentials(self) -> FrozenCredentials: ...


class FoundCredentials(Credentials, Protocol):
    """Credentials with the name of their source in botocore."""

    @property
    def method(self) -> str: ...


@functools.cache
def botocore_session(profile: str | None) -> Session:
    """Return the session of a profile, one in a process: finding the credentials is the slow part of a token."""
    from botocore.session import Session  # noqa: PLC0415 - botocore may be missing, which find_credentials explains

    return Session(profile=profile)


def find_credentials(profile: str | None = None) -> FoundCredentials:
    """Return what botocore finds first: environment, profile, web identity, container, or instance profile.

    profile: a profile of the AWS configuration files; None for the one of the environment

    Raises TokenError.
    """
    try:
        credentials = _load_credentials(profile)
        if credentials is not None:
            credentials.get_frozen_credentials()  # fetches them, if they are the kind that is fetched
    except ImportError:
        raise UnreadableCredentialsError(
            f"botocore is not installed for {sys.executable} on this host, nor in {VENV}; install it (package"
            " python3-botocore on Debian and Ubuntu, or the role dbops.rds_iam.db_client)."
        ) from None
    except Exception as exc:  # files, programs and services that answer with anything; each becomes one sentence
        reason = " ".join(str(exc).split())[:300].rstrip(".") or type(exc).__name__
        raise UnreadableCredentialsError(
            f"AWS credentials could not be read: {reason}; correct the profile, the variable or the service that they"
            " come from."
        ) from None
    if credentials is None:
        raise MissingCredentialsError(
            "No AWS credentials were found on this host; attach an instance profile to it"
            " (role dbops.rds_iam.role_attachment) or configure a profile."
        )
    return credentials


def _load_credentials(profile: str | None) -> FoundCredentials | None:
    """Return what a session of botocore finds, which looks into the environment first, unless a profile is set.

    Most of the time of a first token is spent on loading what a session needs, and the environment needs none of it.
    """
    from botocore.credentials import EnvProvider  # noqa: PLC0415 - as above

    has_profile = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    credentials = None if has_profile else EnvProvider().load()
    return credentials or botocore_session(profile).get_credentials()


def expiry_of(credentials: Credentials) -> datetime | None:
    """Return the time when temporary credentials expire; None for others."""
    return getattr(credentials, "_expiry_time", None)  # botocore has no public name for it
