# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read region, partition and kind from the host name of an RDS endpoint. Pure, and private to this collection.

The program rds-mysql contains this file, without its imports from the collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import TokenError

# The domain of each partition. GovCloud shares the domain of the commercial regions, and is known by its region.
_PARTITIONS = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-iso",
    "sc2s.sgov.gov": "aws-iso-b",
    "cloud.adc-e.uk": "aws-iso-e",
    "csp.hci.ic.gov": "aws-iso-f",
}
_KINDS = {
    "": "instance",
    "cluster-": "cluster",
    "cluster-ro-": "reader",
    "cluster-custom-": "custom",
    "proxy-": "proxy",
    "global-": "global",
}
_REGION = r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}"
# NAME.[KIND-]HASH, then region and "rds" in either order: most partitions write REGION.rds, China and the isolated
# ones rds.REGION, and both are seen in China. A global writer endpoint has "global" where the region would be. Further
# endpoints of a proxy have a label "endpoint" after the name.
_ENDPOINT = re.compile(
    r"[a-z0-9-]+(?:\.endpoint)?"
    r"\.(?P<kind>cluster-custom-|cluster-ro-|cluster-|proxy-|global-|)[a-z0-9]+"
    rf"\.(?:(?P<before>{_REGION}|global)\.rds|rds\.(?P<after>{_REGION}))"
    rf"\.(?P<domain>{'|'.join(re.escape(domain) for domain in _PARTITIONS)})"
)


@dataclass(frozen=True)
class Endpoint:
    """A host name, and the facts that it tells about the endpoint."""

    host: str  # lower case, no dot at the end
    region: str | None  # None where the name does not tell
    partition: str | None
    kind: str  # instance, cluster, reader, custom, proxy, global, unknown


def parse_endpoint(host: str) -> Endpoint:
    """Read a host name; one that is not an RDS endpoint (an alias, an address) is of the kind C(unknown)."""
    name = host.strip().lower().rstrip(".")
    match = _ENDPOINT.fullmatch(name)
    if not match or (match["before"] == "global") != (match["kind"] == "global-"):
        return Endpoint(name, None, None, "unknown")
    region = match["before"] or match["after"]
    partition = _PARTITIONS[match["domain"]]
    if partition == "aws" and region.startswith("us-gov-"):
        partition = "aws-us-gov"
    return Endpoint(name, None if region == "global" else region, partition, _KINDS[match["kind"]])


def resolve_region(host: str, region: str | None = None) -> str:
    """Return the Region to sign for: that of the endpoint, or C(region) where the host name does not tell.

    Raises TokenError where neither tells, or the two differ.
    """
    endpoint_region = parse_endpoint(host).region
    if endpoint_region and region and endpoint_region != region:
        raise TokenError(
            f"The endpoint {host} is in the region {endpoint_region}, and the region {region} was given; RDS refuses"
            f" tokens that are signed for another region, so leave region out or set it to {endpoint_region}."
        )
    signing_region = endpoint_region or region
    if not signing_region:
        raise TokenError(
            f"The region of {host} cannot be known from its name; give the option region, and make sure that the name"
            " is the endpoint as RDS shows it, since RDS refuses tokens that are signed for another name."
        )
    return signing_region
