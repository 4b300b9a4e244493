# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe the options of the modules that log in as the master user."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Endpoint of the DB instance or of the cluster's writer, as RDS shows it.
      - The certificate of the server must carry this name.
    type: str
    required: true
  login_port:
    description: TCP port of the database.
    type: int
    default: 3306
  login_user:
    description: The master user, or another user who may create accounts and grant the privileges.
    type: str
    required: true
  login_password:
    description:
      - The password of O(login_user).
      - It is handed over to the host in memory. The module switches pipelining on for itself, and fails without sending
        it where the connection, the become method or a setting does not allow that.
    type: str
    required: true
  ca_file:
    description:
      - File with the certificates of the RDS certificate authorities.
      - The module M(dbops.rds_iam.rds_ca_bundle) installs it.
    type: path
    default: /etc/ssl/rds/global-bundle.pem
  connect_host:
    description: Name or address to dial in place of O(login_host), for a tunnel or a port forwarding.
    type: str
  connect_timeout:
    description:
      - Seconds for the login in all, from the resolution of the name to the answer of the server, whatever the server
        sends meanwhile.
      - From V(1) to V(3600).
    type: int
    default: 10
requirements:
  - PyMySQL >= 1.0.2 on the host that runs the module
"""
