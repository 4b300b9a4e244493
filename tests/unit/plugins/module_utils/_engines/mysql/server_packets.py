# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server of MySQL or MariaDB sends first, for the tests beside it."""

from __future__ import annotations

import struct

TLS = 0x00000800  # the capability


def packet(number, body):
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


def greeting_body(version, capabilities, plugin):
    low, high = capabilities & 0xFFFF, capabilities >> 16
    body = b"\x0a" + version + b"\0" + struct.pack("<I", 1) + b"saltsalt\0" + struct.pack("<H", low) + b"\x21\x02\0"
    return body + struct.pack("<H", high) + b"\x15" + b"\0" * 10 + b"saltsaltsalt\0" + plugin + b"\0"
