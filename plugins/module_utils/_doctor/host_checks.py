# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check a client: its way to the server, clock, credentials and programs. Pure, and private to this collection."""

from __future__ import annotations

from typing import Any, cast

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import (
    HostCredentials,
    LoginResult,
    SignerResult,
    TargetFacts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credential_sources import FROM_PROFILE

_MAX_SKEW = 300  # seconds; a signature of more than that in the future or the past is refused
NETWORK = ("name", "port", "tls", "certificate")
_REMEDIES_OF_NETWORK = {
    "name": "correct the DNS of the host: it must resolve the endpoint as RDS shows it",
    "certificate": "let the role dbops.rds_iam.ca_bundle install the current bundle (dbops.rds_iam.site --tags step8)",
}


def check_network(evidence: LoginEvidence) -> list[Check]:
    """Return a check for each part of the way to the server, of the login or else of the client without credentials."""
    result = evidence.result
    target: LoginResult | TargetFacts | None = (evidence.facts or {}).get("target")
    if result.get("verdict") in ("allowed", "denied") or result.get("failed_at") in (*NETWORK, "login"):
        target = result
    if not target:
        reason = evidence.host.reason if isinstance(evidence.host, Unreadable) else "the host did not try"
        return [Check(name, UNKNOWN, reason) for name in NETWORK]
    failed_at = target.get("failed_at")
    if failed_at not in NETWORK:
        return [Check(name, PASSED, _describe_reached(name, target)) for name in NETWORK]
    position = NETWORK.index(failed_at)
    message, _semicolon, advice = (target["msg"] or "").rstrip(".").rpartition("; ")
    remedy = _REMEDIES_OF_NETWORK.get(failed_at) or (advice if message else "check the endpoint and the port")
    return [
        *(Check(name, PASSED, _describe_reached(name, target)) for name in NETWORK[:position]),
        Check(failed_at, FAILED, message or advice, remedy),
        *(Check(name, UNKNOWN, f"not reached, since {failed_at} failed") for name in NETWORK[position + 1 :]),
    ]


def _describe_reached(name: str, target: LoginResult | TargetFacts) -> str:
    address = f"{target['endpoint']}:{target['port']}"
    return {
        "name": f"{target['endpoint']} resolves",
        "port": f"{address} answers",
        "tls": f"{address} offers TLS",
        "certificate": f"the certificate of {address} is accepted",
    }[name]


def check_clock(evidence: LoginEvidence) -> Check:
    if evidence.facts is None:
        return Check("clock", UNKNOWN, "the clock of the host could not be read")
    skew = evidence.facts.get("clock_skew")
    if skew is None:
        return Check("clock", UNKNOWN, "the metadata service did not say what time it is")
    if abs(skew) > _MAX_SKEW:
        direction = "ahead of" if skew > 0 else "behind"
        return Check(
            "clock",
            FAILED,
            f"the clock of {evidence.client} is {abs(skew):.0f} seconds {direction} that of AWS, so its tokens are not"
            " valid",
            "let the host keep its time (chrony with the Amazon Time Sync Service, 169.254.169.123)",
        )
    return Check("clock", PASSED, f"the clock of {evidence.client} is right")


def check_profile(evidence: LoginEvidence) -> Check:
    instance, role = evidence.instance, evidence.role
    attach = "attach it with the role dbops.rds_iam.role_attachment (dbops.rds_iam.site --tags step6)"
    if instance is None or isinstance(instance, Unreadable):
        return Check("profile", UNKNOWN, instance.reason if instance else "the EC2 instance of the host is not known")
    if instance.profile is None:
        return Check("profile", FAILED, f"no instance profile is attached to {instance.instance_id}", attach)
    if isinstance(role, Unreadable):
        return Check("profile", UNKNOWN, role.reason)
    if role is None:
        return Check(
            "profile",
            FAILED,
            f"the instance profile {instance.profile} of {instance.instance_id} has no role in it",
            "let the role dbops.rds_iam.iam_role put it there (dbops.rds_iam.site --tags step4)",
        )
    if not role.trusts_ec2:
        return Check(
            "profile",
            FAILED,
            f"the IAM role {role.name} does not let EC2 assume it, so the host gets no credentials",
            "add ec2.amazonaws.com to its trust policy, as the role dbops.rds_iam.iam_role does for one that it made"
            " (dbops.rds_iam.site --tags step4)",
        )
    return Check("profile", PASSED, f"{instance.instance_id} has the instance profile {instance.profile}")


def signer_of(evidence: LoginEvidence) -> SignerResult:
    """Return the signer of the login, or of the client where it signed none; empty where that is not known."""
    signer_of_client: SignerResult = evidence.facts["credentials"] if evidence.facts else {}
    return evidence.result.get("signer") or signer_of_client


def is_expected_signer(signer: SignerResult) -> bool:
    """Return whether these are surely the credentials that the client is to sign with."""
    is_expected = signer.get("is_expected")
    return bool(signer.get("source") == FROM_PROFILE if is_expected is None else is_expected)


def check_credentials(evidence: LoginEvidence) -> Check:
    signer, facts = signer_of(evidence), evidence.facts
    if not signer:
        reason = evidence.host.reason if isinstance(evidence.host, Unreadable) else "the host was not asked"
        return Check("credentials", UNKNOWN, reason)
    if facts and not facts["libraries"]["botocore"]:  # the check of the client reports that it is missing
        return Check("credentials", UNKNOWN, "without botocore they cannot be read")
    if not signer["source"]:
        return _check_missing_credentials(
            evidence, facts["credentials"] if facts else cast("HostCredentials", {**signer, "metadata_disabled": False})
        )
    if facts and facts["credentials"]["expired"]:
        message = f"the credentials of {evidence.client} ended at {facts['credentials']['expires_at']}"
        return Check("credentials", FAILED, message, f"renew them where they come from ({signer['source']})")
    return _check_principal(evidence, signer)


def _check_principal(evidence: LoginEvidence, signer: SignerResult) -> Check:
    """Check whose the credentials are."""
    role_name = signer.get("role_name")
    profile_role = evidence.role.name if isinstance(evidence.role, Role) else None
    is_profile_role = bool(profile_role) and (role_name or "").lower() == (profile_role or "").lower()
    if profile_role and not is_profile_role and signer["source"] == FROM_PROFILE:
        message = (
            f"{evidence.client} is still served credentials of the IAM role {role_name}, and not of {profile_role}"
        )
        return Check("credentials", FAILED, message, "wait a minute until the metadata service serves the new profile")
    if is_expected_signer(signer) or (is_profile_role and signer.get("is_expected") is None):
        owner = f"of the IAM role {role_name}" if role_name else f"of {signer['principal']}"
        return Check("credentials", PASSED, f"{evidence.client} has credentials {owner}{_describe_service(evidence)}")
    return _check_foreign_credentials(evidence, signer, profile_role)


def _check_foreign_credentials(evidence: LoginEvidence, signer: SignerResult, profile_role: str | None) -> Check:
    """Check credentials that are not those which the client is to sign with, or not known to be."""
    if evidence.result.get("verdict") == "not_tried":
        message, _semicolon, remedy = evidence.result["msg"].rstrip(".").rpartition("; ")
        return Check("credentials", FAILED, message.replace("This host", evidence.client, 1), remedy)
    owner = f", those of {signer['principal']}," if signer.get("principal") else ""
    message = (
        f"{evidence.client} signs with credentials from {signer['source']}{owner} and not with those of its profile"
    )
    if owner and profile_role:
        return Check("credentials", FAILED, message, "remove them from the host")
    return Check("credentials", UNKNOWN, message)


def _metadata_options(evidence: LoginEvidence) -> dict[str, Any]:
    """Return the metadata options of the EC2 instance, as far as they are known, as DescribeInstances has them."""
    return evidence.instance.metadata if isinstance(evidence.instance, Instance) else {}


def _describe_service(evidence: LoginEvidence) -> str:
    """Return who gets credentials of the metadata service: more than the client may be a risk for others on it."""
    options, settings = _metadata_options(evidence), []
    if options.get("HttpTokens"):
        settings.append(f"session tokens are {options['HttpTokens']}")
    if options.get("HttpPutResponseHopLimit"):
        hops = options["HttpPutResponseHopLimit"]
        settings.append(f"the hop limit is {hops}" + (", too few for a container behind a bridge" if hops == 1 else ""))
    return f" (metadata service: {', '.join(settings)})" if settings else ""


def _check_missing_credentials(evidence: LoginEvidence, credentials: HostCredentials) -> Check:
    client, options = evidence.client, _metadata_options(evidence)
    metadata_error = evidence.facts["metadata_error"] if evidence.facts else None
    instance_id = evidence.instance.instance_id if isinstance(evidence.instance, Instance) else ""
    # The advice at its end is for those who know nothing else.
    message = credentials["error"] or ""
    error = message.rpartition(";")[0] or message.rstrip(".")
    change = f"aws ec2 modify-instance-metadata-options --instance-id {instance_id}"
    if options.get("HttpEndpoint") == "disabled":
        message = f"the instance metadata service of {instance_id} is switched off, so {client} has no credentials"
        return Check("credentials", FAILED, message, f"switch it on ({change} --http-endpoint enabled)")
    if credentials["metadata_disabled"]:
        message = f"AWS_EC2_METADATA_DISABLED keeps {client} from asking for the credentials of its profile"
        return Check("credentials", FAILED, message, "take that variable out of the environment of the host")
    if not metadata_error:
        return Check("credentials", FAILED, error, "correct what the host is configured to take its credentials from")
    message = f"{error}: the instance metadata service gives {client} none ({metadata_error})"
    remedy = f"see that {client} reaches 169.254.169.254"
    if options.get("HttpPutResponseHopLimit") == 1:
        message = f"{message}, and its hop limit is 1"
        remedy = (
            f"{remedy}; if it is a container behind a bridge, raise the limit"
            f" ({change} --http-put-response-hop-limit 2)"
        )
    return Check("credentials", FAILED, message, remedy)


def check_programs(evidence: LoginEvidence) -> Check:
    install = "let the role dbops.rds_iam.db_client install them (dbops.rds_iam.site --tags step2)"
    if evidence.facts is None:
        return Check("client_program", UNKNOWN, "the host was not asked")
    missing_libraries = [name for name, version in evidence.facts["libraries"].items() if not version]
    if missing_libraries:
        message = f"{evidence.client} lacks the Python libraries {' and '.join(missing_libraries)}"
        return Check("client_program", FAILED, message, install)
    if not evidence.facts["programs"]:
        return Check("client_program", FAILED, f"{evidence.client} has no mysql or mariadb client", install)
    program = evidence.facts["programs"][0]
    subject = f"{program['path']} is {program['family']} {program['version']}"
    options = " ".join(program["options"])
    if program["error"]:
        message = f"{subject}, which cannot log in with a token, as it does not take {options} ({program['error']})"
        return Check("client_program", FAILED, message, f"remove it, and {install}")
    return Check("client_program", PASSED, f"{subject}, and takes {options}")
