# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe the options of the modules that sign tokens."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  endpoint:
    description:
      - Endpoint of the DB instance, cluster or proxy, as RDS shows it. RDS does not accept tokens for other names of
        it, such as a CNAME or the name of a tunnel.
    type: str
    required: true
  port:
    description: TCP port of the database.
    type: int
    default: 3306
  user:
    description: The database user who logs in, not an IAM user. Case counts.
    type: str
    required: true
  region:
    description:
      - AWS region of the database.
      - The default is the region in O(endpoint). Another region than that one is an error. Where the endpoint names no
        region, as that of a global database, this option is needed.
    type: str
  profile:
    description:
      - Profile of the AWS configuration files whose credentials sign the token.
      - The default is what botocore finds, in its order (environment, profile, web identity, container, instance
        profile).
    type: str
"""
