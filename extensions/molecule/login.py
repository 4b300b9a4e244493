# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in with the host's own client and a token of botocore's: login.py ENDPOINT PORT REGION USER CA_FILE."""

from __future__ import annotations

import os
import subprocess
import sys

import botocore.session

endpoint, port, region, user, ca_file = sys.argv[1:]
rds = botocore.session.get_session().create_client("rds", region_name=region)
token = rds.generate_db_auth_token(DBHostname=endpoint, Port=port, DBUsername=user)
mariadb = b"MariaDB" in subprocess.run(["mysql", "--version"], stdout=subprocess.PIPE, check=True).stdout
command = [
    *("mysql", "--no-defaults", f"--host={endpoint}", f"--port={port}", f"--user={user}", f"--ssl-ca={ca_file}"),
    *(["--ssl-verify-server-cert"] if mariadb else ["--ssl-mode=VERIFY_IDENTITY", "--enable-cleartext-plugin"]),
    *("--batch", "--skip-column-names", "--execute=SELECT CURRENT_USER()"),
]
sys.exit(subprocess.run(command, env={**os.environ, "MYSQL_PWD": token}, check=False).returncode)
