# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credentials that botocore finds."""

from __future__ import annotations

import functools

import botocore.auth
import botocore.session
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import credentials, errors, signer


def test_no_credentials_is_one_sentence(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(credentials, "botocore_session", credentials.botocore_session.__wrapped__)
    with pytest.raises(errors.TokenError, match="No AWS credentials were found"):
        credentials.find_credentials()
    with pytest.raises(errors.TokenError, match="could not be read"):
        credentials.find_credentials("no-such-profile")


def test_later_tokens_cost_no_new_session(monkeypatch, tmp_path):
    sessions = []

    class Counted(botocore.session.Session):
        def __init__(self, *arguments, **options):
            sessions.append(self)
            super().__init__(*arguments, **options)

    keys = "aws_access_key_id = AKID\naws_secret_access_key = secret\n"
    (tmp_path / "credentials").write_text(f"[default]\n{keys}\n[two]\n{keys}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(botocore.session, "Session", Counted)
    monkeypatch.setattr(credentials, "botocore_session", functools.cache(credentials.botocore_session.__wrapped__))
    for number in range(100):
        for profile in (None, "two"):
            signer.sign(credentials.find_credentials(profile), "db.example.com", 3306, f"user{number}", "eu-west-1")
    assert len(sessions) == 2, "one for each profile"
