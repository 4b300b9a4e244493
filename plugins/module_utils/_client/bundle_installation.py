# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install the CA bundle on a client, or remove it. Private to this collection."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import bundle_file, download
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import ca_bundle, ca_bundle_address
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line

_WARNING = 183 * 24 * 3600  # seconds; half a year


def _subjects(form: str, content: bytes | None) -> str:
    return "".join(f"{root.subject}\n" for root in ca_bundle.roots(content or b"", form))


def _write(module: AnsibleModule, file: bundle_file.BundleFile, content: bytes) -> None:
    directory = os.path.dirname(file.target)
    mark = bundle_file.new_mark(file, content)
    if not os.path.isdir(directory):
        umask = os.umask(0o022)
        try:
            os.makedirs(directory)
        finally:
            os.umask(umask)
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content if file.form == "p7b" else mark + content)
    try:
        module.atomic_move(temporary, file.target, unsafe_writes=module.params["unsafe_writes"])
    except Exception as exc:  # it raises nothing more particular
        raise RdsIamError(
            f"{file.target} could not be replaced: {one_line(exc)}; let it be replaced, or set unsafe_writes."
        ) from None
    if mark and file.form == "p7b":
        bundle_file.set_attribute(file.target, mark)


def _check_loss(missing: list[ca_bundle.BundleDatabase], in_place: list[ca_bundle.Certificate], url: str) -> None:
    """Raise RdsIamError for a bundle that would end the logins to a database for which the file in place has a root."""
    uncovered_in_place = ca_bundle.uncovered(missing, in_place)
    identifiers = [database["identifier"] for database in missing if database not in uncovered_in_place]
    if identifiers:
        raise RdsIamError(
            f"{url} has no live root for {', '.join(identifiers)}, and the file in place has one, so it was kept;"
            " install the bundle of the Region or the partition of these databases."
        )


def _warn_of_uncovered(module: AnsibleModule, missing: list[ca_bundle.BundleDatabase], url: str) -> None:
    for database in missing:
        module.warn(
            f"{url} has no live root for {database['identifier']}, whose server certificate is issued by"
            f" {database['ca_certificate_identifier']} of {database['region']}, so logins to it will fail; install the"
            " bundle of its Region or partition, or have RDS issue the certificate with a current authority."
        )


def _address(module: AnsibleModule, form: str) -> str:
    """Return the address of the bundle. Ansible masks an address in which something may be secret."""
    url = module.params["url"] or ca_bundle_address.address(module.params["bundle"], form)
    if url == download.public_address(url):
        module.no_log_values.discard(url)
    return url


def install(module: AnsibleModule, path: str) -> dict[str, Any]:
    """Do what the module rds_ca_bundle does with C(state=present), and return its result.

    Raises RdsIamError where the bundle is refused or the file must stay, and OSError where it cannot be written.
    """
    file, now = bundle_file.read(path), time.time()
    address_of_bundle = _address(module, file.form)
    content = download.fetch(address_of_bundle, module.params["checksum"], module.params["timeout"])
    content, url = bundle_file.without_mark(content), download.public_address(address_of_bundle)
    live, dead = ca_bundle.live_roots(content, file.form, url, now)
    missing = ca_bundle.uncovered(module.params["databases"], live)
    changed = file.content != content
    if changed:
        bundle_file.check_replaceable(file, now)
        in_place = ca_bundle.roots(file.content or b"", file.form)
        _check_loss(missing, [root for root in in_place if root.is_live(now)], url)
        if not module.check_mode:
            _write(module, file, content)
    if module.params["mode"] is None:
        module.params["mode"] = "0644"
    if os.path.exists(path):
        file_args = module.load_file_common_arguments(module.params, path=file.target)
        changed = module.set_fs_attributes_if_different(file_args, changed)
    first_to_end = min(live, key=lambda root: root.not_after)
    not_after = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first_to_end.not_after))
    if first_to_end.not_after < now + _WARNING:
        module.warn(f"The root {first_to_end.subject} of {url} ends on {not_after[:10]}; look for a newer bundle.")
    _warn_of_uncovered(module, missing, url)
    diff = {"before": _subjects(file.form, file.content), "after": _subjects(file.form, content)}
    return {
        **({"diff": diff} if file.content != content else {}),
        "changed": changed,
        "certificates": len(live),
        "expired": [root.subject for root in dead],
        "not_after": not_after,
        "uncovered": [database["identifier"] for database in missing],
    }


def remove(module: AnsibleModule, path: str) -> dict[str, Any]:
    """Do what the module rds_ca_bundle does with C(state=absent), and return its result.

    Raises RdsIamError for what cannot be a bundle, and OSError.
    """
    file = bundle_file.read(path)
    if file.content is None and not file.is_link:
        return {"changed": False}
    reason = bundle_file.reason_to_stay(file, time.time())
    if reason:
        return {"changed": False, "msg": reason}
    if not module.check_mode:
        bundle_file.remove(file)
    return {"changed": True, "diff": {"before": _subjects(file.form, file.content), "after": ""}}
