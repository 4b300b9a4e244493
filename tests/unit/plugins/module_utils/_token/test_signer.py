# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tokens equal those of botocore's own client, which is the known-good answer."""

from __future__ import annotations

import datetime

import boto3
import botocore.auth
import botocore.session
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import errors, signer
from botocore.credentials import Credentials, RefreshableCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True)
# Printable characters of any script: control characters are refused, lone surrogates cannot be encoded.
USER = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), min_size=1, max_size=32)
CREDENTIALS = {
    "key": Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    "session": Credentials("ASIDEXAMPLE", "secret/with+signs=", "session//token++==" * 60),
}


@pytest.fixture(autouse=True)
def frozen(monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None))


@pytest.fixture(scope="module", params=sorted(CREDENTIALS))
def pair(request):
    """Our credentials, and botocore's client with the same ones."""
    source = CREDENTIALS[request.param]
    client = boto3.client(
        "rds",
        region_name="eu-west-1",
        aws_access_key_id=source.access_key,
        aws_secret_access_key=source.secret_key,
        aws_session_token=source.token,
    )
    return source, client


@settings(max_examples=1500, deadline=None)
@given(data=st.data())
def test_equals_botocore(pair, data):
    source, client = pair
    host = ".".join(data.draw(st.lists(LABEL, min_size=1, max_size=5).filter(lambda labels: not labels[-1].isdigit())))
    port = data.draw(st.one_of(st.sampled_from([1, 80, 443, 1150, 3306, 65535]), st.integers(1, 65535)))
    user = data.draw(USER)
    region = data.draw(st.sampled_from(["eu-west-1", "us-gov-east-1", "cn-north-1"]))
    expected = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    assert signer.sign(source, host, port, user, region) == expected


def test_an_empty_session_token_is_none():
    """A line C(aws_session_token =) in a file of AWS gives one."""
    key = CREDENTIALS["key"]
    empty = Credentials(key.access_key, key.secret_key, "")
    place = ("db.example.com", 3306, "app", "eu-west-1")
    assert signer.sign(empty, *place) == signer.sign(key, *place)


@pytest.mark.parametrize(
    ("endpoint", "port", "user", "word"),
    [
        ("db.example.com/?x=", 3306, "app", "host name"),
        ("db.example.com\n", 3306, "app", "host name"),
        ("::1", 3306, "app", "host name"),
        ("[::1]", 3306, "app", "host name"),
        ("2001:db8::7", 3306, "app", "host name"),
        ("10.0.0.7", 3306, "app", "host name"),
        ("", 3306, "app", "host name"),
        ("db.example.com", 0, "app", "Port 0"),
        ("db.example.com", 65536, "app", "Port 65536"),
        ("db.example.com", 3306, "", "user"),
        ("db.example.com", 3306, "a\nb", "user"),
    ],
)
def test_bad_input_is_refused(endpoint, port, user, word):
    with pytest.raises(errors.TokenError, match=word):
        signer.sign(CREDENTIALS["key"], endpoint, port, user, "eu-west-1")


def test_expires_with_the_token_or_the_credentials():
    token = signer.sign(CREDENTIALS["key"], "db.example.com", 3306, "app", "eu-west-1")
    assert signer.expires_at(CREDENTIALS["key"], token) == NOW + datetime.timedelta(seconds=900)
    early = NOW + datetime.timedelta(seconds=60)
    ending = RefreshableCredentials("AK", "SK", "T", early, refresh_using=dict, method="test")
    assert signer.expires_at(ending, token) == early
