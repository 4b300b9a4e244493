# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connect to a service of AWS, with the options of a module. Private to this collection."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import NO_REGION, aws_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

try:
    import boto3
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
except ImportError:
    boto3 = BotoCoreError = None  # AnsibleAWSModule says so when it starts

if TYPE_CHECKING:
    from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
    from botocore.client import BaseClient


def connect(module: AnsibleAWSModule, service: str, region: str | None = None, tries: int = 8) -> BaseClient:
    """Return a client for the service, with the options and the environment of the module.

    C(region) is another Region than that of the module. Throttling, answers of 5xx and lost connections are retried by
    botocore, with growing pauses, for about half a minute with eight C(tries); an API that takes a call and never
    answers is given up after three minutes. The user's aws_config has the last word. Raises RdsIamError.
    """
    try:
        return _client(module, service, region, tries)
    except (BotoCoreError, ValueError) as exc:
        raise aws_error("connect to AWS", exc) from None


def _client(module: AnsibleAWSModule, service: str, other_region: str | None, tries: int) -> BaseClient:
    _check_profile(module.params.get("profile"))
    region, endpoint, options = get_aws_connection_info(module)
    region = other_region or region
    if not region:
        raise RdsIamError(f"Failed to connect to AWS: {NO_REGION}.")
    retries = {"mode": "standard", "total_max_attempts": tries}
    config = Config(retries=retries, connect_timeout=10, read_timeout=20, user_agent_extra="dbops.rds_iam")
    config = config.merge(options.pop("aws_config", Config()))
    session = _session(options.pop("profile_name", None))
    return session.client(service, region_name=region, endpoint_url=endpoint, config=config, **options)


@functools.cache
def _session(profile: str | None) -> boto3.session.Session:
    """Return one session for the clients of all services: what it loads takes longer than the first calls."""
    return boto3.session.Session(profile_name=profile)


def _check_profile(profile: str | None) -> None:
    # A session of boto3 does not come to be where AWS_PROFILE names a profile that is not there.
    profiles = botocore.session.Session(profile=profile).available_profiles if profile else []
    if profile and profile not in profiles:
        raise RdsIamError(
            f"Failed to connect to AWS: there is no profile {profile} on the host that runs the module"
            f" (profiles there: {', '.join(profiles) or 'none'})."
        )
