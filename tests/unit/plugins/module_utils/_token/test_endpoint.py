# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import parse_endpoint, resolve_region

CASES = [
    ("orders.cabc1.eu-west-1.rds.amazonaws.com", "eu-west-1", "aws", "instance"),
    ("orders.cluster-cabc1.us-east-2.rds.amazonaws.com", "us-east-2", "aws", "cluster"),
    ("orders.cluster-ro-cabc1.ap-southeast-7.rds.amazonaws.com", "ap-southeast-7", "aws", "reader"),
    ("orders.cluster-custom-cabc1.mx-central-1.rds.amazonaws.com", "mx-central-1", "aws", "custom"),
    ("orders.proxy-cabc1.il-central-1.rds.amazonaws.com", "il-central-1", "aws", "proxy"),
    ("ro.endpoint.proxy-cabc1.eu-west-1.rds.amazonaws.com", "eu-west-1", "aws", "proxy"),
    ("orders.global-cabc1.global.rds.amazonaws.com", None, "aws", "global"),
    ("orders.cabc1.rds.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn", "instance"),
    ("orders.cabc1.cn-northwest-1.rds.amazonaws.com.cn", "cn-northwest-1", "aws-cn", "instance"),
    ("orders.cabc1.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1", "aws-us-gov", "instance"),
    ("orders.cluster-cabc1.rds.us-gov-east-1.amazonaws.com", "us-gov-east-1", "aws-us-gov", "cluster"),
    ("orders.cabc1.rds.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "aws-iso", "instance"),
    ("orders.cabc1.rds.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "aws-iso-b", "instance"),
    ("orders.cabc1.eusc-de-east-1.rds.amazonaws.eu", "eusc-de-east-1", "aws-eusc", "instance"),
    ("ORDERS.Cabc1.EU-WEST-1.RDS.amazonaws.com.", "eu-west-1", "aws", "instance"),
    ("db.example.com", None, None, "unknown"),
    ("10.0.0.7", None, None, "unknown"),
    ("::1", None, None, "unknown"),
    ("", None, None, "unknown"),
    ("orders.cabc1.eu-west-1.rds.amazonaws.com.evil.example", None, None, "unknown"),
    ("orders.cabc1.eu-west-1.rdsxamazonaws.com", None, None, "unknown"),
    ("orders.cabc1.global.rds.amazonaws.com", None, None, "unknown"),
    ("orders.global-cabc1.eu-west-1.rds.amazonaws.com", None, None, "unknown"),
]


@pytest.mark.parametrize(("host", "region", "partition", "kind"), CASES)
def test_parse(host, region, partition, kind):
    endpoint = parse_endpoint(host)
    assert (endpoint.region, endpoint.partition, endpoint.kind) == (region, partition, kind)
    assert endpoint.host == host.lower().rstrip(".")


def test_region_from_the_endpoint():
    host = CASES[0][0]
    assert resolve_region(host) == resolve_region(host, "eu-west-1") == "eu-west-1"


def test_region_given_where_the_name_does_not_tell():
    assert resolve_region("db.example.com", "eu-west-1") == "eu-west-1"


def test_contradicting_region_is_refused():
    with pytest.raises(RdsIamError, match="is in the region eu-west-1, and the region us-east-1 was given"):
        resolve_region(CASES[0][0], "us-east-1")


@pytest.mark.parametrize("host", ["db.example.com", "::1", "10.0.0.7", "orders.global-cabc1.global.rds.amazonaws.com"])
def test_unknown_region_is_refused(host):
    with pytest.raises(RdsIamError, match="give the option region"):
        resolve_region(host)
