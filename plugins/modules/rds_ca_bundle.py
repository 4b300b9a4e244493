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
  - A file that the module creates bears its mark, the comment C(# ManagedBy=dbops.rds_iam ...) as its first line, which
    OpenSSL, Python and the clients of MariaDB and MySQL skip. A file of PKCS7 has the extended attribute
    C(user.dbops.rds_iam) instead. Only a file with the mark is ever removed.
  - A file without the mark is replaced only if it is empty, or holds certificates of RDS and no live ones of others,
    and stays without the mark. Any other file, such as the trust store of the system, is left as it is, and the module
    fails. The same holds for a file of the module to which somebody else has added live certificates.
  - It warns half a year before the first of the live roots ends.
  - The certificate of an RDS Proxy is not issued by these authorities, but by Amazon's public roots, which the system
    has (package C(ca-certificates)).
  - Needs nothing on the host but Python.
attributes:
  check_mode:
    support: full
    description: Downloads and verifies the bundle, says what it would do with the file, and leaves it as it is.
  diff_mode:
    support: full
    description: Shows the subjects of the root certificates before and after.
  idempotent:
    support: full
    description: The file is replaced only when its content differs, not counting the mark.
options:
  path:
    description:
      - Where the bundle is installed. A missing directory is created, with mode V(0755). Of a symbolic link the file
        behind it is meant, and the link stays.
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
      - Where the bundle comes from, if not from AWS, such as a mirror of your own. Then O(bundle) has no effect. That
        bundle may hold live roots of others too, such as the authority of a proxy.
      - A bundle decides which servers are trusted, so an C(http) address is taken only with O(checksum), and one of
        C(https) may redirect to no other kind of address, not even on the way.
      - User, password, query and fragment may be secrets. They are in no message, no result, and no log.
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
    description:
      - The SHA-256 checksum that the download must have, as V(sha256:) and 64 hexadecimal digits.
      - It is that of the file which AWS publishes. The installed file has the mark before it.
    type: str
  timeout:
    description: Seconds that the whole download may take, with its redirects.
    type: int
    default: 30
  state:
    description:
      - V(absent) removes the file if it bears the mark of this module, and the directories that the module made for
        it, as far as they are empty then. Any other file stays, and RV(msg) says why.
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
msg:
  description: Why the file was not removed.
  returned: when O(state=absent), and a file stays
  type: str
  sample: >-
    /etc/ssl/rds/global-bundle.pem stays: it has no mark of dbops.rds_iam, so it was there before, or is of a version
    without marks; remove it by hand if nothing needs it.
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.bundle_installation import install, remove
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/ssl/rds/global-bundle.pem"},
            "bundle": {"type": "str", "default": "global"},
            "url": {"type": "str", "no_log": True},
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
        result = install(module, path) if module.params["state"] == "present" else remove(module, path)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc), path=path)
    except OSError as exc:
        module.fail_json(msg=f"{path} could not be written: {exc.strerror}.", path=path)
    module.exit_json(path=path, **result)


if __name__ == "__main__":
    main()
