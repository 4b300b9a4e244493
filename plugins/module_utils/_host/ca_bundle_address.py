# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the addresses at which RDS publishes its CA bundles. Pure, and private to this collection."""

from __future__ import annotations

import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_COMMERCIAL = "https://truststore.pki.rds.amazonaws.com"
_GOVCLOUD = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com"
_CHINA = "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn"
_ADDRESSES = {"global": _COMMERCIAL, "govcloud": _GOVCLOUD, "china": _CHINA}
# Files that AWS has withdrawn, and many instructions still name.
_WITHDRAWN = {
    "rds-ca-2019-root.pem": "expired on 2024-08-22",
    "rds-combined-ca-bundle.pem": "held roots that ended one after the other, the last of them on 2024-08-22",
}
_REGION = re.compile(r"(us-gov-|cn-|)[a-z]{2,9}(?:-[a-z]+)*-\d{1,2}")


def address(bundle: str, ending: str) -> str:
    """Return the URL at which AWS publishes the bundle of a Region, or of all Regions of a partition, in this form.

    bundle: the option of rds_ca_bundle
    ending: pem or p7b

    Raises RdsIamError for a bundle that AWS does not publish.
    """
    if bundle in _WITHDRAWN:
        raise RdsIamError(f"{bundle} is of no use any more, since it {_WITHDRAWN[bundle]}; set bundle to global.")
    if bundle in _ADDRESSES:
        return f"{_ADDRESSES[bundle]}/global/global-bundle.{ending}"
    region = _REGION.fullmatch(bundle)
    if not region or bundle.startswith("us-iso"):
        raise RdsIamError(
            f"The bundle {bundle!r} is not known; set bundle to {', '.join(_ADDRESSES)} or the name of a Region, or"
            " give the url of it."
        )
    host = {"us-gov-": _GOVCLOUD, "cn-": _CHINA}.get(region[1], _COMMERCIAL)
    return f"{host}/{bundle}/{bundle}-bundle.{ending}"
