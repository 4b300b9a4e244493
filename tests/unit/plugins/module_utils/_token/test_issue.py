# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A token from the name of an endpoint, and the errors on the way to it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import MissingCredentialsError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.issue import issue
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.signer import sign
from botocore.credentials import Credentials

ENDPOINT = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session")


@pytest.mark.parametrize(("endpoint", "region"), [(ENDPOINT, None), (ENDPOINT, "eu-west-1"), ("alias", "eu-west-1")])
def test_it_is_signed_for_the_region(endpoint, region):
    before = datetime.now(timezone.utc).replace(microsecond=0)
    token = issue(endpoint, 3306, "app", region, find=lambda _profile: KEYS)
    assert token.region == "eu-west-1" and token.secret.startswith(f"{endpoint}:3306/?Action=connect&DBUser=app&")
    assert before <= token.expires_at - timedelta(seconds=900) <= datetime.now(timezone.utc)
    assert token.secret not in repr(token)
    assert (
        token.secret.partition("X-Amz-Date")[0]
        == sign(KEYS, endpoint, 3306, "app", "eu-west-1").partition("X-Amz-Date")[0]
    )


def test_the_credentials_are_those_of_the_profile():
    profiles = []

    def find(profile):
        profiles.append(profile)
        return KEYS

    issue(ENDPOINT, 3306, "app", profile="shop", find=find)
    assert profiles == ["shop"]


def find_none(_profile):
    raise MissingCredentialsError("No AWS credentials were found.")


@pytest.mark.parametrize(
    ("endpoint", "port", "region", "find", "words"),
    [
        ("alias", 3306, None, find_none, "region of alias cannot be known"),
        (ENDPOINT, 3306, "us-east-1", find_none, "is in the region eu-west-1"),
        (ENDPOINT, 3306, None, find_none, "No AWS credentials"),
        (ENDPOINT, 0, None, lambda _profile: KEYS, "Port 0"),
    ],
)
def test_each_failure_is_an_error_of_the_collection(endpoint, port, region, find, words):
    with pytest.raises(RdsIamError, match=words):
        issue(endpoint, port, "app", region, find=find)
