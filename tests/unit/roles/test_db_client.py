# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages that the role takes for a distribution, from the lines of its os-release(5) that matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[3] / "roles/db_client"
DEBIAN = "python3-pymysql python3-botocore"
WITH_PIP = ""
RELEASES = {
    'NAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian\n': ("mysql-client", "ubuntu 22", DEBIAN),
    'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n': ("mysql-client", "ubuntu 24", DEBIAN),
    'NAME="Ubuntu"\nVERSION_ID="26.04"\nID=ubuntu\nID_LIKE=debian\n': ("mysql-client", "ubuntu 26", DEBIAN),
    'PRETTY_NAME="Debian GNU/Linux 12"\nVERSION_ID="12"\nID=debian\n': ("default-mysql-client", "debian 12", DEBIAN),
    'PRETTY_NAME="Debian GNU/Linux forky/sid"\nID=debian\n': ("default-mysql-client", "debian", DEBIAN),
    'NAME="Amazon Linux"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n': ("mariadb105", "amzn 2023", WITH_PIP),
    'NAME="Amazon Linux"\nID="amzn"\nID_LIKE="centos rhel fedora"\nVERSION_ID="2"\n': ("", "amzn 2", WITH_PIP),
    'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n': ("mysql", "rhel 9", WITH_PIP),
    'ID="rhel"\nID_LIKE="centos fedora"\nVERSION_ID="10.1"\n': ("mysql8.4", "rhel 10", WITH_PIP),
    'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n': ("mysql", "rocky 8", WITH_PIP),
    'ID="almalinux"\nVERSION_ID="9.5"\n': ("mysql", "almalinux 9", WITH_PIP),
    'ID="centos"\nVERSION_ID="10"\n': ("mysql8.4", "centos 10", WITH_PIP),
    'ID="ol"\nVERSION_ID="9.3"\n': ("mysql", "ol 9", WITH_PIP),
    'ID="amzn"\nVERSION_ID="2035"\n': ("", "amzn 2035", WITH_PIP),
    "ID=alpine\nVERSION_ID=3.20.1\n": ("", "alpine 3", WITH_PIP),
    "": ("", "an unknown distribution", WITH_PIP),
}
SEEN = [
    "db_client_packages | join(' ')",
    "_db_client_name",
    "db_client_python_packages | join(' ')",
]
PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
        "tasks": [
            {
                "ansible.builtin.debug": {"msg": f"{{{{ [{', '.join(SEEN)}] | to_json }}}}"},
                "vars": {"_db_client_os_release": {"stdout": "{{ item }}"}},
                "loop": list(RELEASES),
            }
        ],
    }
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Return what the role makes of each of them, in one run."""
    play = tmp_path_factory.mktemp("play") / "play.yml"
    play.write_text(json.dumps(PLAY))
    command = [Path(sys.executable).parent / "ansible-playbook", play]
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_CALLBACK_RESULT_FORMAT"] = "json"
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    lines = [line.split('"msg": ', 1)[1] for line in process.stdout.splitlines() if '"msg": ' in line]
    return dict(zip(RELEASES, (tuple(json.loads(json.loads(line))) for line in lines), strict=True))


@pytest.mark.parametrize("release", RELEASES)
def test_packages(seen, release):
    assert seen[release] == RELEASES[release]
