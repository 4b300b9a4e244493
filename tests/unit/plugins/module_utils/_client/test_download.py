# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.download import public_address

HIDDEN = "the address in url"
ADDRESSES = {
    "https://mirror.example.com/rds/global-bundle.pem": "https://mirror.example.com/rds/global-bundle.pem",
    "HTTPS://mirror:8443": "https://mirror:8443",
    "http://[2001:db8::1]:80/b.pem": "http://[2001:db8::1]:80/b.pem",
    "https://reader:s3cret@mirror/b.pem": "https://mirror/b.pem",
    "https://s3cret@mirror/b.pem": "https://mirror/b.pem",
    "https://mirror/b.pem?X-Amz-Signature=s3cret": "https://mirror/b.pem",
    "https://mirror?s3cret": "https://mirror",
    "https://mirror/b.pem#s3cret": "https://mirror/b.pem",
    "https://mirror/b.pem;token=s3cret": "https://mirror/b.pem",
    "https://reader:s3cret@mirror/b.pem?a=s3cret&b=s3cret#s3cret": "https://mirror/b.pem",
    # Where the password ends cannot be said.
    "https://reader:s3/cret@mirror/b.pem": HIDDEN,
    "https://reader:s3?cret@mirror/b.pem": HIDDEN,
    "https://reader:s3#cret@mirror/b.pem": HIDDEN,
    "https://reader:s3@cret@mirror/b.pem": HIDDEN,
    "https://reader:s3;cret@mirror/b.pem": "https://mirror/b.pem",
    "https://mirror/b.pem?mail=s3cret@example.com": HIDDEN,
    "https://mirror:s3cret/b.pem": HIDDEN,
    "https://mirror\\s3cret@evil/b.pem": "https://evil/b.pem",
    "https://mirror/b.pem s3cret": HIDDEN,
    "https://mirror/b.pem\ns3cret": HIDDEN,
    "reader:s3cret@mirror/b.pem": HIDDEN,
    "mirror/b.pem?s3cret": HIDDEN,
    "ftp://reader:s3cret@mirror/b.pem": HIDDEN,
    "file:///etc/s3cret": HIDDEN,
    "": HIDDEN,
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_nothing_that_may_be_secret_is_repeated(url):
    assert public_address(url) == ADDRESSES[url]
    assert not any(part in public_address(url) for part in ("s3", "cret"))
