# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses at which RDS publishes its CA bundles."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import ca_bundle_address

COMMERCIAL = "https://truststore.pki.rds.amazonaws.com"
GOVCLOUD = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com"
CHINA = "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("bundle", "address"),
    [
        ("global", f"{COMMERCIAL}/global/global-bundle.pem"),
        ("eu-west-1", f"{COMMERCIAL}/eu-west-1/eu-west-1-bundle.pem"),
        ("ap-southeast-7", f"{COMMERCIAL}/ap-southeast-7/ap-southeast-7-bundle.pem"),
        ("govcloud", f"{GOVCLOUD}/global/global-bundle.pem"),
        ("us-gov-east-1", f"{GOVCLOUD}/us-gov-east-1/us-gov-east-1-bundle.pem"),
        ("china", f"{CHINA}/global/global-bundle.pem"),
        ("cn-northwest-1", f"{CHINA}/cn-northwest-1/cn-northwest-1-bundle.pem"),
    ],
)
def test_addresses(bundle, address):
    assert ca_bundle_address.address(bundle, "pem") == address
    assert ca_bundle_address.address(bundle, "p7b") == address.removesuffix("pem") + "p7b"


@pytest.mark.parametrize(
    ("bundle", "word"),
    [
        ("rds-ca-2019-root.pem", "expired on 2024-08-22"),
        ("rds-combined-ca-bundle.pem", "the last of them on 2024-08-22"),
        ("us-iso-east-1", "give the url"),
        ("Global", "is not known"),
        ("../x", "is not known"),
    ],
)
def test_bundles_that_are_refused(bundle, word):
    with pytest.raises(RdsIamError, match=word):
        ca_bundle_address.address(bundle, "pem")
