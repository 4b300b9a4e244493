#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_client
short_description: Install what a host needs to log in with IAM, and remove nothing
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Looks for a V(mariadb) or V(mysql) client, for PyMySQL and botocore, and if asked for a database server, and
    installs what is missing. The role P(dbops.rds_iam.db_client#role) knows the names of the packages.
  - A client that is there is used as it is, whatever its family and vendor, and so is a server.
  - Packages are installed with apt or dnf. Before anything is changed, the module asks the package manager what it
    would do. It refuses a plan that removes, replaces or downgrades a package, changes one that is on hold, or upgrades
    a database server.
  - The libraries are looked for by the Python that Ansible uses, which runs the modules of this collection. Where no
    packages give them to it, they are installed with pip in the virtual environment C(/opt/dbops-rds-iam), where these
    modules and C(rds-mysql) find them.
requirements:
  - root
attributes:
  check_mode:
    support: full
    description: Installs nothing, and refuses what it would refuse. Package lists that are old or empty are read into a
      temporary directory.
  diff_mode:
    support: full
    description: Shows the names of all new packages.
  idempotent:
    support: full
    description: Changes nothing where nothing is missing.
options:
  client:
    description: The name of the host, for messages.
    type: str
    required: true
  client_packages:
    description: Packages of a client, which are installed if there is neither V(mariadb) nor V(mysql) on the PATH.
    type: list
    elements: str
    default: []
  library_packages:
    description: Packages of PyMySQL and botocore. Without any, what is missing is installed in the virtual environment.
    type: list
    elements: str
    default: []
  server_packages:
    description: Packages of a server, which are installed if there is no C(mariadbd) or C(mysqld); empty for no server.
    type: list
    elements: str
    default: []
  program_python:
    description: The Python that runs C(rds-mysql), which needs botocore too.
    type: path
    default: /usr/bin/python3
seealso:
  - module: dbops.rds_iam.rds_ca_bundle
  - module: dbops.rds_iam.rds_iam_ping
"""

EXAMPLES = r"""
- name: A client and its libraries on Ubuntu
  dbops.rds_iam.rds_iam_client:
    client: "{{ inventory_hostname }}"
    client_packages: [mysql-client]
    library_packages: [python3-pymysql, python3-botocore]
  become: true
"""

RETURN = r"""
client_program:
  description: The client program; empty if there is none, which only check mode returns.
  returned: success
  type: str
  sample: /usr/bin/mariadb
installed:
  description: The names of the packages that were installed, also of those that others needed.
  returned: success
  type: list
  elements: str
  sample: [python3-pymysql, python3-botocore]
virtual_environment:
  description: The virtual environment, if it was made.
  returned: success
  type: str
  sample: /opt/dbops-rds-iam
server:
  description:
    - Where the server comes from. V(packages) stands for O(server_packages), V(others) for anything else that was there
      before, and V(none) for no server, or one that check mode did not install.
  returned: success
  type: str
  sample: none
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.installation import install_client
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "client": {"type": "str", "required": True},
            "client_packages": {"type": "list", "elements": "str", "default": []},
            "library_packages": {"type": "list", "elements": "str", "default": []},
            "server_packages": {"type": "list", "elements": "str", "default": []},
            "program_python": {"type": "path", "default": "/usr/bin/python3"},
        },
        supports_check_mode=True,
    )
    try:
        result = install_client(module)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
