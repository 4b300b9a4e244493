# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name the exceptions of calls to AWS, also where botocore is missing. Private to this collection."""

from __future__ import annotations

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # AnsibleAWSModule says so when it starts
    AWS_ERRORS: tuple[type[Exception], ...] = ()
else:
    AWS_ERRORS = (BotoCoreError, ClientError)
