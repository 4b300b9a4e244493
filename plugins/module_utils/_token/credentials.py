# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the AWS credentials of this host as botocore does. Private to this collection."""

from __future__ import annotations

import functools
import os
import sys
from datetime import datetime

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import NoCredentials, UnreadableCredentials
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV


@functools.cache
def botocore_session(profile: str | None):
    """One session for each profile in a process: finding the credentials is the slow part of a token."""
    from botocore.session import Session

    return Session(profile=profile)


def _find(profile: str | None):
    """What a session of botocore finds, which looks into the environment first, unless a profile is named.

    Most of the time of a first token is spent on loading what a session needs, and the environment needs none of it.
    """
    from botocore.credentials import EnvProvider

    named = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    return (None if named else EnvProvider().load()) or botocore_session(profile).get_credentials()


def find_credentials(profile: str | None = None):
    """The credentials that botocore finds: environment, profile, web identity, container, instance profile."""
    try:
        found = _find(profile)
        if found is not None:
            found.get_frozen_credentials()  # fetches them, if they are the kind that is fetched
    except ImportError:
        raise UnreadableCredentials(
            f"botocore is not installed for {sys.executable} on this host, nor in {VENV}; install it (package"
            " python3-botocore on Debian and Ubuntu, or the role dbops.rds_iam.mysql_client)."
        ) from None
    except Exception as exc:  # files, programs and services that answer with anything; each becomes one sentence
        reason = " ".join(str(exc).split())[:300].rstrip(".") or type(exc).__name__
        raise UnreadableCredentials(
            f"AWS credentials could not be read: {reason}; correct the profile, the variable or the service that they"
            " come from."
        ) from None
    if found is None:
        raise NoCredentials(
            "No AWS credentials were found on this host; attach an instance profile to it"
            " (role dbops.rds_iam.role_attachment) or configure a profile."
        )
    return found


def credentials_end(source) -> datetime | None:
    """When temporary credentials end."""
    return getattr(source, "_expiry_time", None)  # botocore has no public name for it
