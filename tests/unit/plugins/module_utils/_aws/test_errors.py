# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import botocore.exceptions as boto
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code

CALLER = "arn:aws:sts::123456789012:assumed-role/ops/me"


def client_error(code, message="", status=400, operation="ModifyDBInstance"):
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(response, operation)


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (
            client_error(
                "AccessDenied",
                f"User: {CALLER} is not authorized to perform: rds:ModifyDBInstance on resource:"
                " arn:aws:rds:eu-west-1:123456789012:db:orders because no identity-based policy allows the action",
            ),
            f"{CALLER} is not allowed rds:ModifyDBInstance on arn:aws:rds:eu-west-1:123456789012:db:orders;"
            " allow this action in the caller's IAM policy",
        ),
        (
            client_error("UnauthorizedOperation", "You are not authorized. Encoded message: AAA", 403, "RunInstances"),
            "these credentials are not allowed rds:RunInstances; allow this action in the caller's IAM policy",
        ),
        (
            client_error("AccessDenied", f"{CALLER} is not authorized to perform: iam:PassRole with an explicit deny"),
            f"{CALLER} is denied iam:PassRole by an explicit Deny in a policy; have that policy changed",
        ),
        (client_error("ExpiredToken", "x"), "the AWS credentials have expired; renew them and run again"),
        (client_error("RequestLimitExceeded", "x", 503), "AWS still throttled ModifyDBInstance after all retries"),
        (client_error("InternalFailure", "x", 500), "AWS answered ModifyDBInstance with an error of its own (500"),
        (client_error("InvalidParameterValue", "Bad\n value."), "Bad value (InvalidParameterValue)"),
        (client_error("Odd"), "AWS answered Odd"),
        (boto.NoCredentialsError(), "no AWS credentials were found"),
        (boto.NoRegionError(), "no AWS region is set"),
        (boto.PartialCredentialsError(provider="env", cred_var="x"), "the AWS credentials are incomplete"),
        (boto.UnauthorizedSSOTokenError(), "the AWS SSO login has expired"),
        (boto.EndpointConnectionError(endpoint_url="https://x"), "AWS could not be reached"),
        (boto.ConnectionClosedError(endpoint_url="https://x"), "AWS could not be reached"),
        (boto.ReadTimeoutError(endpoint_url="https://x"), "AWS could not be reached"),
        (boto.SSLError(endpoint_url="https://x", error="bad"), "AWS could not be reached"),
        (ValueError(), "ValueError"),
    ],
)
def test_one_sentence(exc, expected):
    message = str(aws_error("do it", exc, "rds"))
    assert message.startswith(f"Failed to do it: {expected}")
    assert "\n" not in message
    assert message.endswith(".") and not message.endswith("..")


def test_a_wrong_signature_does_not_quote_the_request():
    quoted = "The Canonical String should have been x-amz-security-token:SECRETTOKEN"
    message = str(aws_error("do it", client_error("SignatureDoesNotMatch", quoted, 403)))
    assert "SECRETTOKEN" not in message
    assert "does not accept the credentials" in message


def test_error_code():
    assert error_code(client_error("Odd")) == "Odd"
    assert error_code(boto.NoRegionError()) == ""
