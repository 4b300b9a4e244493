#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_client_info
short_description: Read what a client has of what it needs to log in with IAM
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Looks for a database client, for PyMySQL and botocore, and for the program C(rds-mysql).
  - The playbook C(dbops.rds_iam.site) begins with it, and skips the steps that would find everything in place.
extends_documentation_fragment:
  - dbops.rds_iam.attributes
options:
  program_python:
    description: The Python that runs C(rds-mysql), which needs botocore too.
    type: path
    default: /usr/bin/python3
  program_path:
    description: The place of C(rds-mysql).
    type: path
    default: /usr/local/bin/rds-mysql
seealso:
  - module: dbops.rds_iam.rds_iam_client
"""

EXAMPLES = r"""
- name: Read what the client has
  dbops.rds_iam.rds_iam_client_info:
  register: client_info
  become: true

- name: Name what is missing
  ansible.builtin.debug:
    msg: "{{ client_info.missing }}"
"""

RETURN = r"""
client_program:
  description: The client program; empty if there is none.
  returned: success
  type: str
  sample: /usr/bin/mariadb
missing:
  description:
    - What is missing for the module M(dbops.rds_iam.rds_iam_client).
    - V(client_program) stands for a client program. V(libraries) stands for PyMySQL 1.0.2 or later and botocore, one of
      which the Python that Ansible uses, or O(program_python), cannot import.
  returned: success
  type: list
  elements: str
  sample: []
program:
  description: The file at O(program_path); null where there is no regular file that can be read.
  returned: success
  type: dict
  contains:
    checksum:
      description: The SHA-256 of its content, in hexadecimal digits.
      returned: always
      type: str
      sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    mode:
      description: Its permissions, in octal digits.
      returned: always
      type: str
      sample: '0755'
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.inspection import inspect_client


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "program_python": {"type": "path", "default": "/usr/bin/python3"},
            "program_path": {"type": "path", "default": "/usr/local/bin/rds-mysql"},
        },
        supports_check_mode=True,
    )
    state = inspect_client(module.run_command, module.params["program_python"], module.params["program_path"])
    module.exit_json(changed=False, **state)


if __name__ == "__main__":
    main()
