#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_ca_bundle
short_description: Install the CA bundle of Amazon RDS
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Downloads the bundle with the certificates of the RDS certificate authorities, parses it certificate by certificate,
    and puts it in place in one step if it has live roots.
  - If the download fails, or what arrives is not such a bundle, the file in place is kept and the module fails.
  - It warns half a year before the first of the live roots ends.
  - The certificate of an RDS Proxy is not issued by these authorities, but by Amazon's public roots, which the system
    has (package C(ca-certificates)).
  - Needs nothing on the host but Python.
attributes:
  check_mode:
    support: full
    description: Downloads and verifies the bundle, and leaves the file as it is.
  diff_mode:
    support: full
    description: Shows the subjects of the root certificates before and after.
  idempotent:
    support: full
    description: The file is replaced only when its content differs.
options:
  path:
    description:
      - Where the bundle is installed. A missing directory is created, with mode V(0755).
      - The ending decides the form of the bundle, PKCS7 for C(.p7b), which applications on Windows may need, and PEM
        for all others. Logins of this collection need PEM.
    type: path
    default: /etc/ssl/rds/global-bundle.pem
  bundle:
    description:
      - Which bundle of AWS to install. V(global) has the roots of all commercial Regions, V(govcloud) those of AWS
        GovCloud (US), V(china) those of the China Regions; the name of a Region stands for the roots of that Region.
      - The old files C(rds-ca-2019-root.pem) and C(rds-combined-ca-bundle.pem) are refused, since they have expired.
    type: str
    default: global
  url:
    description:
      - Where the bundle comes from, if not from AWS, such as a mirror of your own. Then O(bundle) has no effect.
      - A bundle decides which servers are trusted, so an C(http) address is taken only with O(checksum).
    type: str
  databases:
    description:
      - Databases whose server certificates the bundle has to cover. The module warns of those for which it has no live
        root, since no login to them can be verified, and fails if the file in place has one for them.
    type: list
    elements: dict
    default: []
    suboptions:
      identifier:
        description: The DB instance or DB cluster.
        type: str
        required: true
      region:
        description: Its Region.
        type: str
        required: true
      ca_certificate_identifier:
        description: The certificate authority that RDS reports for it, such as V(rds-ca-rsa2048-g1).
        type: str
  checksum:
    description: The SHA-256 checksum that the download must have, as V(sha256:) and 64 hexadecimal digits.
    type: str
  timeout:
    description: Seconds to wait for the download.
    type: int
    default: 30
  state:
    description: V(absent) removes the file, and its directory if that is empty then.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - ansible.builtin.files
seealso:
  - name: Using SSL/TLS to encrypt a connection to a DB instance
    description: Where AWS publishes the bundles.
    link: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
"""

EXAMPLES = r"""
- name: The roots of all commercial regions
  dbops.rds_iam.rds_ca_bundle:

- name: The same as PKCS7, for an application on Windows
  dbops.rds_iam.rds_ca_bundle:
    path: /etc/ssl/rds/global-bundle.p7b

- name: The roots of one Region, among which must be the one of the database
  dbops.rds_iam.rds_ca_bundle:
    bundle: eu-west-1
    path: /etc/ssl/rds/eu-west-1-bundle.pem
    databases:
      - identifier: orders
        region: eu-west-1
        ca_certificate_identifier: rds-ca-rsa2048-g1
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
  sample: /etc/ssl/rds/global-bundle.pem
state:
  description: V(file), or V(absent).
  returned: always
  type: str
  sample: file
mode:
  description: The permissions of the file.
  returned: when the file is there
  type: str
  sample: '0644'
owner:
  description: The owner of the file.
  returned: when the file is there
  type: str
  sample: root
group:
  description: The group of the file.
  returned: when the file is there
  type: str
  sample: root
uid:
  description: The number of the owner.
  returned: when the file is there
  type: int
  sample: 0
gid:
  description: The number of the group.
  returned: when the file is there
  type: int
  sample: 0
size:
  description: The size of the file in bytes.
  returned: when the file is there
  type: int
  sample: 165484
secontext:
  description: The SELinux context of the file.
  returned: when the file is there, and the host has SELinux
  type: str
  sample: system_u:object_r:cert_t:s0
certificates:
  description: Number of live root certificates.
  returned: when O(state=present)
  type: int
  sample: 108
expired:
  description: Subjects of the root certificates that have expired, or are not valid yet.
  returned: when O(state=present)
  type: list
  elements: str
  sample: []
not_after:
  description: When the first of the live root certificates ends, in UTC.
  returned: when O(state=present)
  type: str
  sample: '2061-05-18T20:00:00Z'
uncovered:
  description: Those of O(databases) for whose server certificate the bundle has no live root.
  returned: when O(state=present)
  type: list
  elements: str
  sample: []
"""

import hashlib
import os
import re
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.dbops.rds_iam.plugins.module_utils import _ca_bundle
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_WARNING = 183 * 24 * 3600  # seconds; half a year
_READER = r"//([^/]*@)"  # who reads a mirror, as in https://USER:PASSWORD@HOST
_LIMIT = 8 * 1024 * 1024  # the bundle of all regions has some 200 kB


def shown(url: str) -> str:
    return re.sub(_READER, "//", url)


def fetch(url: str, checksum: str | None, timeout: int) -> bytes:
    address, url = url, shown(url)
    if checksum and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", checksum):
        raise RdsIamError(f"The checksum {checksum!r} is not sha256: followed by 64 hexadecimal digits.")
    if not url.startswith("https://") and not (checksum and url.startswith("http://")):
        raise RdsIamError(f"{url} is not an https address; CA certificates are fetched over http only with a checksum.")
    try:
        response = open_url(address, timeout=timeout, follow_redirects="safe")
        content = response.read(_LIMIT + 1)
        arrived_from = shown(response.geturl())
        announced = int(response.headers.get("Content-Length") or 0)
    except Exception as exc:  # urllib, http.client, ssl and socket have nothing in common but this
        raise RdsIamError(f"{url} could not be fetched: {exc}; the file in place, if any, was kept.") from None
    if url.startswith("https://") and not arrived_from.startswith("https://"):
        raise RdsIamError(f"{url} redirects to {arrived_from}, which is not https; the file in place was kept.")
    if len(content) > _LIMIT:
        raise RdsIamError(f"{url} holds more than {_LIMIT} bytes, so it is no CA bundle.")
    if len(content) < announced:  # reading a part of a response does not notice that the connection broke off
        raise RdsIamError(f"{url} was cut off after {len(content)} of {announced} bytes; the file in place was kept.")
    if checksum and hashlib.sha256(content).hexdigest() != checksum[len("sha256:") :].lower():
        raise RdsIamError(f"{url} does not have the checksum {checksum}; the file in place, if any, was kept.")
    return content


def read(path: str) -> bytes:
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as stream:
        return stream.read()


def subjects(path: str, content: bytes) -> str:
    return "".join(f"{root.subject}\n" for root in _ca_bundle.roots(content, _ca_bundle.form(path)))


def put(module, path: str, content: bytes) -> None:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        umask = os.umask(0o022)
        try:
            os.makedirs(directory)
        finally:
            os.umask(umask)
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    module.atomic_move(temporary, path, unsafe_writes=module.params["unsafe_writes"])


def check_loss(missing: list[dict], in_place: list[_ca_bundle.Root], url: str) -> None:
    """Refuse a bundle that would end the logins to a database for which the file in place has a root."""
    still = _ca_bundle.uncovered(missing, in_place)
    lost = [database["identifier"] for database in missing if database not in still]
    if lost:
        raise RdsIamError(
            f"{url} has no live root for {', '.join(lost)}, and the file in place has one, so it was kept; install the"
            " bundle of the Region or the partition of these databases."
        )


def present(module, path: str) -> dict:
    ending = _ca_bundle.form(path)
    url = module.params["url"] or _ca_bundle.address(module.params["bundle"], ending)
    module.no_log_values.update(re.findall(_READER, url))  # for what Ansible shows of the options
    content = fetch(url, module.params["checksum"], module.params["timeout"])
    url = shown(url)
    live, dead = _ca_bundle.live_roots(content, ending, url, time.time())
    before = read(path)
    missing = _ca_bundle.uncovered(module.params["databases"], live)
    check_loss(missing, [root for root in _ca_bundle.roots(before, ending) if root.live(time.time())], url)
    changed = before != content
    if changed and not module.check_mode:
        put(module, path, content)
    if module.params["mode"] is None:
        module.params["mode"] = "0644"
    if os.path.exists(path):
        file_args = module.load_file_common_arguments(module.params, path=path)
        changed = module.set_fs_attributes_if_different(file_args, changed)
    result = {"changed": changed, "certificates": len(live), "expired": [root.subject for root in dead]}
    first = min(live, key=lambda root: root.not_after)
    result["not_after"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first.not_after))
    if first.not_after < time.time() + _WARNING:
        module.warn(f"The root {first.subject} of {url} ends on {result['not_after'][:10]}; look for a newer bundle.")
    result["uncovered"] = [database["identifier"] for database in missing]
    for database in missing:
        module.warn(
            f"{url} has no live root for {database['identifier']}, whose server certificate is issued by"
            f" {database['ca_certificate_identifier']} of {database['region']}, so logins to it will fail; install the"
            " bundle of its Region or partition, or have RDS issue the certificate with a current authority."
        )
    if before != content:
        result["diff"] = {"before": subjects(path, before), "after": subjects(path, content)}
    return result


def absent(module, path: str) -> dict:
    before = read(path)
    changed = os.path.exists(path)
    if changed and not module.check_mode:
        os.remove(path)
        try:
            os.rmdir(os.path.dirname(path))
        except OSError:
            pass  # others keep files there
    return {"changed": changed, "diff": {"before": subjects(path, before), "after": ""}}


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/ssl/rds/global-bundle.pem"},
            "bundle": {"type": "str", "default": "global"},
            "url": {"type": "str"},
            "databases": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "identifier": {"type": "str", "required": True},
                    "region": {"type": "str", "required": True},
                    "ca_certificate_identifier": {"type": "str"},
                },
            },
            "checksum": {"type": "str"},
            "timeout": {"type": "int", "default": 30},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        result = present(module, path) if module.params["state"] == "present" else absent(module, path)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc), path=path)
    except OSError as exc:
        module.fail_json(msg=f"{path} could not be written: {exc.strerror}.", path=path)
    module.exit_json(path=path, **result)


if __name__ == "__main__":
    main()
