# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check a client: its way to the server, clock, credentials and programs. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credential_sources import FROM_PROFILE

_SKEW = 300  # seconds; a signature of more than that in the future or the past is refused
NETWORK = ("name", "port", "tls", "certificate")


def network(case: LoginEvidence) -> list[Check]:
    """How far the login came on the way to the server, or the host where there was nothing to log in with."""
    login, target = case.login or {}, case.host.get("target") if isinstance(case.host, dict) else None
    if login.get("verdict") in ("allowed", "denied") or login.get("failed_at") in (*NETWORK, "login"):
        target = login
    if not target:
        why = case.host.reason if isinstance(case.host, Unreadable) else "the host did not try"
        return [Check(name, UNKNOWN, why) for name in NETWORK]
    repairs = {
        "name": "correct the DNS of the host: it must resolve the endpoint as RDS shows it",
        "certificate": "let the role dbops.rds_iam.ca_bundle install the current bundle"
        " (dbops.rds_iam.site --tags step8)",
    }
    failed = target["failed_at"] if target.get("failed_at") in NETWORK else None
    links = []
    for name in NETWORK:
        if name == failed:
            text, _semicolon, advice = target["msg"].rstrip(".").rpartition("; ")
            repair = repairs.get(name) or (advice if text else "check the endpoint and the port")
            links.append(Check(name, BROKEN, text or advice, repair))
        elif failed and NETWORK.index(name) > NETWORK.index(failed):
            links.append(Check(name, UNKNOWN, f"not reached, since {failed} is broken"))
        else:
            links.append(Check(name, OK, _reached(name, target)))
    return links


def _reached(name: str, target: dict) -> str:
    where = f"{target['endpoint']}:{target['port']}"
    return {
        "name": f"{target['endpoint']} resolves",
        "port": f"{where} answers",
        "tls": f"{where} offers TLS",
        "certificate": f"the certificate of {where} is accepted",
    }[name]


def clock(case: LoginEvidence) -> Check:
    if not isinstance(case.host, dict):
        return Check("clock", UNKNOWN, "the clock of the host could not be read")
    skew = case.host.get("clock_skew")
    if skew is None:
        return Check("clock", UNKNOWN, "the metadata service did not say what time it is")
    if abs(skew) > _SKEW:
        way = "ahead of" if skew > 0 else "behind"
        return Check(
            "clock",
            BROKEN,
            f"the clock of {case.client} is {abs(skew):.0f} seconds {way} that of AWS, so its tokens are not valid",
            "let the host keep its time (chrony with the Amazon Time Sync Service, 169.254.169.123)",
        )
    return Check("clock", OK, f"the clock of {case.client} is right")


def profile(case: LoginEvidence) -> Check:
    instance = case.instance
    attach = "attach it with the role dbops.rds_iam.role_attachment (dbops.rds_iam.site --tags step6)"
    if instance is None or isinstance(instance, Unreadable):
        return Check("profile", UNKNOWN, instance.reason if instance else "the EC2 instance of the host is not known")
    if instance.profile is None:
        return Check("profile", BROKEN, f"no instance profile is attached to {instance.instance_id}", attach)
    if isinstance(case.role, Unreadable):
        return Check("profile", UNKNOWN, case.role.reason)
    if case.role is None:
        return Check(
            "profile",
            BROKEN,
            f"the instance profile {instance.profile} of {instance.instance_id} has no role in it",
            "let the role dbops.rds_iam.iam_role put it there (dbops.rds_iam.site --tags step4)",
        )
    if not case.role.trusts_ec2:
        return Check(
            "profile",
            BROKEN,
            f"the IAM role {case.role.name} does not let EC2 assume it, so the host gets no credentials",
            "add ec2.amazonaws.com to its trust policy, as the role dbops.rds_iam.iam_role does for one that it made"
            " (dbops.rds_iam.site --tags step4)",
        )
    return Check("profile", OK, f"{instance.instance_id} has the instance profile {instance.profile}")


def signer(case: LoginEvidence) -> dict:
    """Return whose credentials signed the login, or would sign on the host; empty where that is not known."""
    on_host = case.host["credentials"] if isinstance(case.host, dict) else {}
    return (case.login or {}).get("signer") or on_host


def is_own(found: dict) -> bool:
    """Tell whether these are surely the credentials that the host is to sign with."""
    expected = found.get("is_expected")
    return bool(found.get("source") == FROM_PROFILE if expected is None else expected)


def credentials(case: LoginEvidence) -> Check:
    found, host = signer(case), case.host if isinstance(case.host, dict) else None
    if not found:
        return Check("credentials", UNKNOWN, case.host.reason if case.host else "the host was not asked")
    if host and not host["libraries"]["botocore"]:  # that it is missing is said of the programs
        return Check("credentials", UNKNOWN, "without botocore they cannot be read")
    if not found["source"]:
        return _no_credentials(case, host["credentials"] if host else {**found, "metadata_disabled": False})
    if host and host["credentials"]["expired"]:
        text = f"the credentials of {case.client} ended at {host['credentials']['expires_at']}"
        return Check("credentials", BROKEN, text, f"renew them where they come from ({found['source']})")
    role = case.role.name if isinstance(case.role, Role) else None
    is_role = role and (found["role_name"] or "").lower() == role.lower()
    if role and not is_role and found["source"] == FROM_PROFILE:
        text = f"{case.client} is still served credentials of the IAM role {found['role_name']}, and not of {role}"
        return Check("credentials", BROKEN, text, "wait a minute until the metadata service serves the new profile")
    if is_own(found) or (is_role and found.get("is_expected") is None):
        of = f"of the IAM role {found['role_name']}" if found["role_name"] else f"of {found['principal']}"
        return Check("credentials", OK, f"{case.client} has credentials {of}{_served(case)}")
    return _foreign(case, found, role)


def _foreign(case: LoginEvidence, found: dict, role: str | None) -> Check:
    """Judge credentials that are not those which the host is to sign with, or not known to be."""
    if (case.login or {}).get("verdict") == "not_tried":
        text, _semicolon, repair = case.login["msg"].rstrip(".").rpartition("; ")
        return Check("credentials", BROKEN, text.replace("This host", case.client, 1), repair)
    whose = f", those of {found['principal']}," if found.get("principal") else ""
    text = f"{case.client} signs with credentials from {found['source']}{whose} and not with those of its profile"
    if whose and role:
        return Check("credentials", BROKEN, text, "remove them from the host")
    return Check("credentials", UNKNOWN, text)


def _options(case: LoginEvidence) -> dict:
    """The metadata options of the EC2 instance, as far as they are known."""
    return case.instance.metadata if isinstance(case.instance, Instance) else {}


def _served(case: LoginEvidence) -> str:
    """To whom the metadata service gives credentials: what is no harm to the host may be one to others on it."""
    options, said = _options(case), []
    if options.get("HttpTokens"):
        said.append(f"session tokens are {options['HttpTokens']}")
    if options.get("HttpPutResponseHopLimit"):
        hops = options["HttpPutResponseHopLimit"]
        said.append(f"the hop limit is {hops}" + (", too few for a container behind a bridge" if hops == 1 else ""))
    return f" (metadata service: {', '.join(said)})" if said else ""


def _no_credentials(case: LoginEvidence, found: dict) -> Check:
    options, why = _options(case), case.host["metadata_error"] if isinstance(case.host, dict) else None
    # The advice at its end is for those who know nothing else.
    error = found["error"].rpartition(";")[0] or found["error"].rstrip(".")
    change = "aws ec2 modify-instance-metadata-options --instance-id "
    if options.get("HttpEndpoint") == "disabled":
        instance = case.instance.instance_id
        text = f"the instance metadata service of {instance} is switched off, so {case.client} has no credentials"
        return Check("credentials", BROKEN, text, f"switch it on ({change}{instance} --http-endpoint enabled)")
    if found["metadata_disabled"]:
        text = f"AWS_EC2_METADATA_DISABLED keeps {case.client} from asking for the credentials of its profile"
        return Check("credentials", BROKEN, text, "take that variable out of the environment of the host")
    if why and options.get("HttpPutResponseHopLimit") == 1:
        text = f"{error}: the instance metadata service gives {case.client} none ({why}), and its hop limit is 1"
        repair = (
            f"see that {case.client} reaches 169.254.169.254; if it is a container behind a bridge, raise the limit"
            f" ({change}{case.instance.instance_id} --http-put-response-hop-limit 2)"
        )
        return Check("credentials", BROKEN, text, repair)
    if why:
        text = f"{error}: the instance metadata service gives {case.client} none ({why})"
        return Check("credentials", BROKEN, text, f"see that {case.client} reaches 169.254.169.254")
    return Check("credentials", BROKEN, error, "correct what the host is configured to take its credentials from")


def programs(case: LoginEvidence) -> Check:
    install = "let the role dbops.rds_iam.mysql_client install them (dbops.rds_iam.site --tags step2)"
    if not isinstance(case.host, dict):
        return Check("client", UNKNOWN, "the host was not asked")
    absent = [name for name, version in case.host["libraries"].items() if not version]
    if absent:
        return Check("client", BROKEN, f"{case.client} lacks the Python libraries {' and '.join(absent)}", install)
    found = case.host["programs"]
    if not found:
        return Check("client", BROKEN, f"{case.client} has no mysql or mariadb client", install)
    used = found[0]
    what, options = f"{used['path']} is {used['family']} {used['version']}", " ".join(used["options"])
    if used["error"]:
        text = f"{what}, which cannot log in with a token, as it does not take {options} ({used['error']})"
        return Check("client", BROKEN, text, f"remove it, and {install}")
    return Check("client", OK, f"{what}, and takes {options}")
