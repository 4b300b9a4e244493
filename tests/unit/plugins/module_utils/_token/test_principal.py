# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How principals are written, and which are the same one."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.principal import parse_principal

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app-rds"


@pytest.mark.parametrize(
    ("text", "kind", "name", "account"),
    [
        ("app-rds", "role", "app-rds", None),
        (ROLE, "role", "app-rds", ACCOUNT),
        (f"arn:aws-cn:iam::{ACCOUNT}:role/with/a/path/app-rds", "role", "app-rds", ACCOUNT),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/app-rds/i-0123456789abcdef0", "role", "app-rds", ACCOUNT),
        (f"arn:aws:iam::{ACCOUNT}:user/ops", "user", "ops", ACCOUNT),
    ],
)
def test_parse_principal(text, kind, name, account):
    principal = parse_principal(text)
    assert (principal.kind, principal.name, principal.account) == (kind, name, account)


@pytest.mark.parametrize(
    "text", ["", "two words", "a" * 65, f"arn:aws:iam::{ACCOUNT}:group/ops", "arn:aws:iam::1:role/a"]
)
def test_texts_that_name_no_principal(text):
    with pytest.raises(RdsIamError, match="is neither the name of an IAM role nor the ARN"):
        parse_principal(text)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("App-RDS", True),  # IAM does not distinguish names by case
        (f"arn:aws:iam::{ACCOUNT}:role/path/app-rds", True),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/app-rds/session", True),
        ("arn:aws:iam::210987654321:role/app-rds", False),
        (f"arn:aws:iam::{ACCOUNT}:user/app-rds", False),
        ("app-rds2", False),
    ],
)
def test_is_same(other, same):
    assert parse_principal(ROLE).is_same(parse_principal(other)) is same
