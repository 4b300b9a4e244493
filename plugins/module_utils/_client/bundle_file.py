# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read, judge, mark and remove the file of a CA bundle on a client. Private to this collection.

A file that this collection created bears a mark: its first line as PEM, where it is a comment to every reader, and an
extended attribute as PKCS7, which has no comments. The mark has the checksum of what was installed, so that a change by
somebody else is seen, and the number of directories that were made for the file.

Only a file with the mark is ever removed. Neither that one, if it was changed, nor any other file is replaced or
removed while it holds live certificates that are not of RDS.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._client.download import LIMIT
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import ca_bundle

_MARK = re.compile(rb"# ManagedBy=dbops\.rds_iam sha256=([0-9a-f]{64}) new_directories=(\d{1,2})\n")
_ATTRIBUTE = "user.dbops.rds_iam"
_MAX_SUBJECTS = 3  # other authorities that a refusal names
_OTHER_BLOCK = re.compile(rb"-----BEGIN (?!CERTIFICATE-----|PKCS7-----)")


@dataclass(frozen=True)
class BundleFile:
    """The file at the path of a bundle.

    C(content) is None if nothing is there, and is without the mark; C(new_directories) is None without a mark;
    C(is_intact) tells that the content is what was installed together with the mark.
    """

    path: str
    is_link: bool = False
    content: bytes | None = None
    new_directories: int | None = None
    is_intact: bool = False

    @property
    def form(self) -> str:
        return ca_bundle.form(self.path)

    @property
    def target(self) -> str:
        """Return the path of the file itself, also where the path is a symbolic link to it."""
        return os.path.realpath(self.path) if self.is_link else self.path


def read(path: str) -> BundleFile:
    """Read the file at this path. Raises RdsIamError where there is something that cannot be a bundle."""
    is_link = os.path.islink(path)
    if not os.path.exists(path):
        return BundleFile(path, is_link)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise RdsIamError(f"{path} is there and is not a regular file; give another path.")
    with open(path, "rb") as stream:
        content = stream.read(LIMIT + 1)
    if ca_bundle.form(path) == "p7b":
        mark = _MARK.fullmatch(_attribute(path))
    else:
        mark = _MARK.match(content)
        content = without_mark(content)
    if not mark:
        return BundleFile(path, is_link, content)
    return BundleFile(path, is_link, content, int(mark[2]), _digest(content) == mark[1])


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def without_mark(content: bytes) -> bytes:
    """Return a bundle as AWS publishes it, also where a mirror has it from a client."""
    mark = _MARK.match(content)
    return content[mark.end() :] if mark else content


def obstacle(file: BundleFile, now: float) -> str:
    """Return why a file must not be replaced, to go on from "PATH "; empty if it may be.

    C(now) is in seconds since 1970, as in all functions of this file.
    """
    if file.is_intact or not file.content:
        return ""
    certificates = ca_bundle.certificates(file.content, file.form)
    authorities = [certificate for certificate in certificates if certificate]
    foreign = [certificate for certificate in authorities if not certificate.is_of_rds]
    subjects = sorted({certificate.subject for certificate in foreign if certificate.not_after > now})
    if subjects:
        excess = f" and {len(subjects) - _MAX_SUBJECTS} more" if len(subjects) > _MAX_SUBJECTS else ""
        return f"holds live certificates that are not of RDS ({', '.join(subjects[:_MAX_SUBJECTS])}{excess})"
    if (
        _OTHER_BLOCK.search(file.content)
        or len(certificates) >= ca_bundle.MAX_CERTIFICATES
        or ca_bundle.holds_other_kind(file.content, file.form)
    ):
        return "holds more than certificates of RDS"
    if file.new_directories is None and len(foreign) == len(authorities):
        return "is not a bundle of RDS's certificates"
    return ""


def check_replaceable(file: BundleFile, now: float) -> None:
    """Raise RdsIamError if the file must not be replaced."""
    reason = obstacle(file, now)
    if reason:
        raise RdsIamError(
            f"{file.path} {reason}, so it was left as it is; give another path, or move that file away if nothing"
            " needs it."
        )


def reason_to_stay(file: BundleFile, now: float) -> str:
    """Return the sentence on why a file is not removed; empty if it is."""
    if file.is_link:
        return f"{file.path} stays: it is a symbolic link, which dbops.rds_iam never makes."
    if file.new_directories is None:
        return (
            f"{file.path} stays: it has no mark of dbops.rds_iam, so it was there before, or is of a version without"
            " marks; remove it by hand if nothing needs it."
        )
    reason = obstacle(file, now)
    return f"{file.path} stays: it was changed since, and {reason}; remove it by hand." if reason else ""


def new_mark(file: BundleFile, content: bytes) -> bytes:
    """Return the mark of the file with this content; none for a file that was there before."""
    directories = file.new_directories if file.content is not None else _missing_directories(file.target)
    if directories is None:
        return b""
    return b"# ManagedBy=dbops.rds_iam sha256=%s new_directories=%d\n" % (_digest(content), directories)


def _missing_directories(path: str) -> int:
    missing, directory = 0, os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(directory):
        missing, directory = missing + 1, os.path.dirname(directory)
    return missing


def set_attribute(path: str, mark: bytes) -> None:
    """Mark a file of PKCS7, where its file system keeps attributes; on any other one it stays unmarked."""
    with contextlib.suppress(OSError):
        os.setxattr(path, _ATTRIBUTE, mark)


def _attribute(path: str) -> bytes:
    try:
        return os.getxattr(path, _ATTRIBUTE)
    except OSError:
        return b""


def remove(file: BundleFile) -> None:
    """Remove a file that bears the mark, and of the directories that were made for it those that are empty now."""
    os.remove(file.path)
    directory = os.path.dirname(os.path.abspath(file.path))
    for _level in range(file.new_directories or 0):
        try:
            os.rmdir(directory)
        except OSError:
            break  # others keep files there
        directory = os.path.dirname(directory)
