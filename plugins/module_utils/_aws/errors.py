# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explain failures of AWS calls in one sentence. Pure, and private to this collection."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line

_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "Client.UnauthorizedOperation",
    "NotAuthorized",
    "UnauthorizedOperation",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_NOT_ACCEPTED = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_SERVER_ERRORS = 500  # the first of their HTTP statuses
_THROTTLED = {
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}

NO_REGION = (
    "no AWS region is set; give the option region (module_defaults sets it for all tasks), set AWS_REGION,"
    " or give the profile a region"
)

# By the name of the botocore class, so that this file is importable on a host without botocore.
_LOCAL_REASONS = {
    "NoRegionError": NO_REGION,
    "NoCredentialsError": (
        "no AWS credentials were found; set AWS_PROFILE or the options of the module, or run where an instance profile"
        " is attached"
    ),
    "PartialCredentialsError": "the AWS credentials are incomplete; give the access key and the secret key",
    "TokenRetrievalError": "the AWS SSO login has expired; log in again",
    "SSOTokenLoadError": "there is no AWS SSO login; log in first",
    "UnauthorizedSSOTokenError": "the AWS SSO login has expired; log in again",
}
_UNREACHABLE = {
    "ConnectionClosedError",
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "HTTPClientError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "SSLError",
}


def aws_error(task: str, exc: Exception, service: str = "") -> RdsIamError:
    """Return the error for a failed AWS call.

    C(task) completes "Failed to ..."; C(service) is the prefix of the IAM action, for denials that do not name one.
    """
    return RdsIamError(f"Failed to {task}: {aws_reason(exc, service)}.")


def aws_reason(exc: Exception, service: str = "") -> str:
    """Return why an AWS call failed and what to do, as the end of a sentence without its full stop."""
    return _client_reason(exc, service) if getattr(exc, "response", None) else _local_reason(exc)


def error_code(exc: Exception) -> str:
    """Return the error code that AWS answered with, empty if there was no answer."""
    return (getattr(exc, "response", None) or {}).get("Error", {}).get("Code") or ""


def _local_reason(exc: Exception) -> str:
    names = [cls.__name__ for cls in type(exc).__mro__]
    for name in names:
        if name in _LOCAL_REASONS:
            return _LOCAL_REASONS[name]
    if _UNREACHABLE.intersection(names):
        return f"AWS could not be reached ({one_line(exc)}); check the network, the region and the endpoint"
    return one_line(exc) or names[0]


def _client_reason(exc: Any, service: str) -> str:
    error = exc.response.get("Error", {})
    code, message = error.get("Code") or "Unknown", one_line(error.get("Message") or "")
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    operation = getattr(exc, "operation_name", "") or "the call"
    if code in _EXPIRED:
        return "the AWS credentials have expired; renew them and run again"
    if code in _NOT_ACCEPTED:
        # The message of a wrong signature quotes the request, session token included: it is not repeated.
        return f"AWS does not accept the credentials ({code}); check the keys, the session token and this host's clock"
    if code in _DENIED:
        return _denied_reason(message, f"{service}:{operation}" if service else operation)
    if code in _THROTTLED:
        return f"AWS still throttled {operation} after all retries ({code}); run again later"
    if status >= _SERVER_ERRORS:
        return f"AWS answered {operation} with an error of its own ({status} {code}) on every try; run again later"
    return f"{message} ({code})" if message else f"AWS answered {code}"


def _denied_reason(message: str, action: str) -> str:
    """Return who is denied what, as far as the message of AWS names it; C(action) is for one that names no action."""
    action_match = re.search(r"perform:? ([\w-]+:\w+)", message)
    action = action_match[1] if action_match else action
    principal_match = re.search(r"\barn:aws[\w-]*:(?:iam|sts)::\S+", message)
    subject = f"{principal_match[0]} is" if principal_match else "these credentials are"
    resource_match = re.search(r"on resource: (\S+)", message)
    resource = f" on {resource_match[1]}" if resource_match and resource_match[1] != "*" else ""
    if "explicit deny" in message:
        return f"{subject} denied {action}{resource} by an explicit Deny in a policy; have that policy changed"
    return f"{subject} not allowed {action}{resource}; allow this action in the caller's IAM policy"
