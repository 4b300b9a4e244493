# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rds_auth_token
short_description: Make an IAM authentication token for Amazon RDS or Aurora on the controller
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - Signs, with the AWS credentials of the controller, the token with which a database user logs in in place of a
    password. The token is the one that C(generate_db_auth_token) of botocore makes.
  - RDS accepts it for 15 minutes. Use the lookup where the login happens, not in a variable that is set once.
notes:
  - The token is a secret. Use it in options that are C(no_log), such as the password of a login module.
requirements:
  - botocore on the controller
options:
  _terms:
    description: Endpoints of DB instances, clusters or proxies, as RDS shows them.
    type: list
    elements: str
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
      - The default is the region in the endpoint. Another region than that one is an error.
    type: str
  profile:
    description: Profile of the AWS configuration files whose credentials sign the token. The default is what botocore
      finds.
    type: str
seealso:
  - module: dbops.rds_iam.rds_auth_token
"""

EXAMPLES = r"""
- name: Log in with a token in place of a password, with a module of another collection
  ansible.mysql.mysql_info:
    login_host: "{{ endpoint }}"
    login_user: app
    login_password: "{{ lookup('dbops.rds_iam.rds_auth_token', endpoint, user='app') }}"
    ca_cert: /etc/ssl/rds/global-bundle.pem
    check_hostname: true
    filter: version
  vars:
    endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
"""

RETURN = r"""
_raw:
  description: A token for each endpoint.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.issue import issue


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        options = {name: self.get_option(name) for name in ("port", "user", "region", "profile")}
        try:
            return [issue(endpoint, **options).secret for endpoint in terms]
        except RdsIamError as exc:
            raise AnsibleError(str(exc)) from None
