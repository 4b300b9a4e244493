# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the Python libraries in the virtual environment of a client importable, by being imported."""

from __future__ import annotations

import sys

# Where the role db_client puts botocore and PyMySQL on a host whose distribution has no packages of them. What is
# installed otherwise comes first.
VENV = "/opt/dbops-rds-iam"
sys.path.append(f"{VENV}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
