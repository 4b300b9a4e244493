#!/usr/bin/python
# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_iam_ping
short_description: Prove which database users can, and cannot, log in with IAM from this host
version_added: 0.1.0
author:
  - dbops.rds_iam contributors (@dbops)
description:
  - For each login it makes a token with the AWS credentials of the host, connects over TLS with certificate and host
    name verified, logs in, and returns who the server says this is, and over what.
  - A token is not sent to a server whose certificate is not right, and is not returned.
  - A login proves something about the principal that signed its token, and about no other. With O(principal) nothing
    is signed with credentials of another one.
  - All logins are tried, whatever happens to one of them. The module fails if one did not go as expected, and then
    looks at the host's clock, its AWS credentials, its CA bundle, its database clients and its Python libraries. To an
    endpoint to which there was nothing to log in with it goes as far as verified TLS and hangs up there, which a server
    counts as an aborted connection.
requirements:
  - botocore and PyMySQL >= 1.0.2 on the host that runs the module
attributes:
  check_mode:
    support: full
    description: Changes nothing in either mode; it logs in in both.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
options:
  logins:
    description:
      - The logins to try, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      endpoint:
        description:
          - Endpoint of the DB instance, cluster or proxy, as RDS shows it. RDS does not accept tokens for other names
            of it, such as a CNAME or the name of a tunnel.
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
          - The default is the region in O(logins[].endpoint). Another region than that one is an error. Where the
            endpoint names no region, as that of a global database, this option is needed.
        type: str
      connect_host:
        description: Name or address to dial in place of O(logins[].endpoint), for a tunnel or a port forwarding. The
          token and the certificate are those of O(logins[].endpoint) all the same.
        type: str
      ca_file:
        description: The file for this login, if not O(ca_file).
        type: path
      expect:
        description:
          - V(allowed) expects the login to succeed.
          - V(denied) expects that the server is reached over verified TLS and refuses the login with C(Access denied).
            Trouble with the network, TLS or the AWS credentials is a failure here too.
        type: str
        choices: [allowed, denied]
        default: allowed
  ca_file:
    description:
      - File with the certificates of the RDS certificate authorities.
      - The module M(dbops.rds_iam.rds_ca_bundle) installs it.
      - An RDS Proxy has a certificate of Amazon's public roots, and so needs another file, such as that of the system's
        certificate authorities, C(/etc/ssl/certs/ca-certificates.crt) on Debian and Ubuntu and
        C(/etc/pki/tls/certs/ca-bundle.crt) on Amazon Linux and Red Hat Enterprise Linux.
    type: path
    default: /etc/ssl/rds/global-bundle.pem
  connect_timeout:
    description:
      - Seconds for one login in all, from the resolution of the name to the answer of the server, whatever the server
        sends meanwhile.
      - From V(1) to V(3600).
    type: int
    default: 10
  profile:
    description:
      - Profile of the AWS configuration files whose credentials sign the tokens.
      - The default is what botocore finds, in its order (environment, profile, web identity, container, instance
        profile).
    type: str
  principal:
    description:
      - The IAM role whose credentials must sign, by its name or ARN, or an IAM user by its ARN. Case and path make no
        difference. Give the ARN where roles of other accounts have the same name.
      - Where the credentials that botocore finds are those of another principal, or where it is not known whose they
        are, no login is tried.
      - Without it any principal may sign.
    type: str
  wait_timeout:
    description:
      - Seconds in which logins that did not go as expected are tried again, after pauses of growing length, each time
        with credentials that are looked for anew.
      - Tried again is only what may pass by itself, since AWS takes a moment to spread a change. These are logins that
        are denied or allowed against O(logins[].expect), and logins for which the host has no credentials yet, or from
        the instance metadata service those of another role than O(principal).
      - From V(0) to V(3600).
    type: int
    default: 0
notes:
  - For credentials that are not those of an instance profile the module asks AWS STS in the region of the database
    whose they are, once for each attempt. The call, C(sts:GetCallerIdentity), needs no permission, and the module waits
    5 seconds for it.
seealso:
  - module: dbops.rds_iam.rds_auth_token
  - module: dbops.rds_iam.rds_iam_db_user
  - module: dbops.rds_iam.rds_iam_doctor
"""

EXAMPLES = r"""
- name: The application can log in from this host, and the auditor cannot
  dbops.rds_iam.rds_iam_ping:
    logins:
      - endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
        user: app
      - endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
        user: auditor
        expect: denied
    principal: app-rds

- name: The same, just after the policy of the role was written
  dbops.rds_iam.rds_iam_ping:
    logins:
      - endpoint: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
        user: app
    principal: arn:aws:iam::123456789012:role/app-rds
    wait_timeout: 60
"""

RETURN = r"""
logins:
  description: The logins in the order given.
  returned: if the host has what it needs to log in
  type: list
  elements: dict
  contains:
    endpoint:
      description: The endpoint.
      returned: always
      type: str
      sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
    port:
      description: The port.
      returned: always
      type: int
      sample: 3306
    user:
      description: The database user.
      returned: always
      type: str
      sample: app
    expected:
      description: V(allowed) or V(denied), from O(logins[].expect).
      returned: always
      type: str
      sample: allowed
    verdict:
      description:
        - V(allowed) or V(denied), as the server decided over verified TLS.
        - V(failed) for a login that never reached a decision of the verified server.
        - V(not_tried) for a login that was not tried, since another principal than O(principal) would have signed it.
      returned: always
      type: str
      sample: allowed
    as_expected:
      description:
        - Whether the verdict is the expected one.
        - A login that is allowed as another user than the one who was asked for, such as an anonymous one, is not as
          expected.
      returned: always
      type: bool
      sample: true
    tried_at:
      description: When it was tried last, in UTC by the clock of this host.
      returned: always
      type: str
      sample: '2026-11-25T06:12:45Z'
    attempts:
      description: How many times it was tried; V(0) for V(not_tried).
      returned: always
      type: int
      sample: 1
    signer:
      description: Who signed the last attempt, or would have, as in RV(signer).
      returned: always
      type: dict
      sample: {"source": "iam-role", "principal": "app-rds", "role_name": "app-rds", "is_expected": true, "error": null}
    client_host:
      description:
        - The name or address by which the server knows this host, from C(USER()) or from its refusal.
        - Null where the server did not say it over verified TLS.
      returned: always
      type: str
      sample: 10.0.1.11
    msg:
      description: What went wrong and what to do.
      returned: when the login did not go as expected
      type: str
      sample: >-
        This host signs with credentials from shared-credentials-file, those of arn:aws:iam::123456789012:user/ops, and
        not with those of the IAM role app-rds, so a login would prove nothing about that role; remove them from
        /root/.aws/credentials of root, or name the principal that is to sign.
    failed_at:
      description:
        - What was missing first for the login. V(credentials) of the host, or a V(token) that can be made; the V(name)
          of the endpoint, which must resolve, the V(port), which must answer with the greeting of a server, V(tls), and
          a V(certificate) that is accepted; V(login) is the answer of the verified server itself.
        - What a server says before its certificate was accepted is nobody's word, so an error that it sends instead of
          a greeting is one of the V(port).
      returned: when the user was not let in
      type: str
      sample: login
    server_error:
      description: The number of the error that the server answered with.
      returned: when it answered with one
      type: int
      sample: 1045
    current_user:
      description: What C(CURRENT_USER()) says, the account that the server matched.
      returned: when the login was allowed
      type: str
      sample: app@%
    server_version:
      description: What C(VERSION()) says.
      returned: when the login was allowed
      type: str
      sample: 10.11.8-MariaDB-log
    tls_version:
      description: Version of TLS of the connection.
      returned: when the login was allowed
      type: str
      sample: TLSv1.3
    tls_cipher:
      description: Cipher suite of the connection.
      returned: when the login was allowed
      type: str
      sample: TLS_AES_256_GCM_SHA384
signer:
  description: Whose credentials signed the tokens of the last attempt, without the credentials themselves.
  returned: if the host has what it needs to log in, or lacks the driver or the CA file
  type: dict
  contains:
    source:
      description: Where they come from, as botocore calls it. V(iam-role) is the instance profile. Null without any.
      returned: always
      type: str
      sample: iam-role
    principal:
      description:
        - The ARN that AWS STS names. For the instance profile the name of its role, as the instance metadata service
          says.
        - Null where it is not known.
      returned: always
      type: str
      sample: app-rds
    role_name:
      description: The IAM role; null for a principal that is none, or is not known.
      returned: always
      type: str
      sample: app-rds
    is_expected:
      description: Whether the principal is known to be O(principal); null without that option.
      returned: always
      type: bool
      sample: true
    error:
      description: Why there are no credentials, or why it is not known whose they are; null otherwise.
      returned: always
      type: str
      sample: No AWS credentials were found on this host; attach an instance profile to it.
host:
  description: What the host has for logins, for M(dbops.rds_iam.rds_iam_doctor).
  returned: when a login did not go as expected, or none could be tried
  type: dict
  contains:
    clock_skew:
      description:
        - By how many seconds the host's clock is ahead of that of the instance metadata service; negative if it is
          behind.
        - Null where the service cannot be reached.
      returned: always
      type: float
      sample: 0.4
    instance_id:
      description: The EC2 instance, as the instance metadata service says; null where it cannot be reached.
      returned: always
      type: str
      sample: i-0123456789abcdef0
    metadata_error:
      description: Why the instance metadata service gave no answer; null where it did.
      returned: always
      type: str
      sample: timed out
    credentials:
      description: The credentials that sign tokens on this host, without the credentials themselves.
      returned: always
      type: dict
      contains:
        source:
          description: Where they come from, as botocore calls it. V(iam-role) is the instance profile.
          returned: always
          type: str
          sample: iam-role
        principal:
          description: Whose they are, as in RV(signer.principal).
          returned: always
          type: str
          sample: app-rds
        role_name:
          description: The IAM role, as in RV(signer.role_name).
          returned: always
          type: str
          sample: app-rds
        is_expected:
          description: Whether they are those of O(principal), as in RV(signer.is_expected).
          returned: always
          type: bool
          sample: true
        expires_at:
          description: When they end, in UTC; null for credentials that do not end.
          returned: always
          type: str
          sample: '2026-11-25T06:12:45Z'
        expired:
          description: Whether that is past.
          returned: always
          type: bool
          sample: false
        error:
          description: Why there are none, or why it is not known whose they are; null otherwise.
          returned: always
          type: str
          sample: No AWS credentials were found on this host; attach an instance profile to it.
        metadata_disabled:
          description: Whether the variable C(AWS_EC2_METADATA_DISABLED) keeps botocore from asking the instance
            metadata service.
          returned: always
          type: bool
          sample: false
    ca_bundle:
      description: The CA file.
      returned: always
      type: dict
      contains:
        path:
          description: The file.
          returned: always
          type: str
          sample: /etc/ssl/rds/global-bundle.pem
        certificates:
          description: Number of live root certificates.
          returned: always
          type: int
          sample: 108
        not_after:
          description: When the first of them ends, in UTC; null where there is none.
          returned: always
          type: str
          sample: '2061-05-18T20:00:00Z'
        error:
          description: Why the file cannot be read; null where it can.
          returned: always
          type: str
          sample: No such file or directory
    programs:
      description: The clients for MySQL and MariaDB on the host; C(rds-mysql) runs the first one.
      returned: always
      type: list
      elements: dict
      contains:
        path:
          description: The program.
          returned: always
          type: str
          sample: /usr/bin/mariadb
        family:
          description: V(MariaDB) or V(MySQL). They verify a server by different options.
          returned: always
          type: str
          sample: MariaDB
        version:
          description: Its version.
          returned: always
          type: str
          sample: 10.11.19
        options:
          description: The options with which it verifies the server, and then sends it the token.
          returned: always
          type: list
          elements: str
          sample: [--ssl, --ssl-verify-server-cert]
        error:
          description: What it says of these options if it does not take them; null where it does.
          returned: always
          type: str
          sample: "mysql: unknown option '--enable-cleartext-plugin'"
    libraries:
      description: The versions of the Python libraries C(botocore) and C(pymysql); null for one that is not there.
      returned: always
      type: dict
      sample: {"botocore": "1.29.27", "pymysql": "1.0.2"}
    targets:
      description: How far the host gets to each endpoint.
      returned: always
      type: list
      elements: dict
      contains:
        endpoint:
          description: The endpoint.
          returned: always
          type: str
          sample: orders.cabcdefghijk.eu-west-1.rds.amazonaws.com
        port:
          description: The port.
          returned: always
          type: int
          sample: 3306
        failed_at:
          description:
            - What is missing first. The V(name) must resolve, the V(port) must answer, V(tls) must be offered, and the
              V(certificate) must be accepted.
            - Null where nothing is missing.
          returned: always
          type: str
          sample: port
        server_error:
          description: The number of the error that the server answered with.
          returned: when it answered with one
          type: int
          sample: 1040
        msg:
          description: What is wrong and what to do; null where nothing is.
          returned: always
          type: str
          sample: The server at orders.cabcdefghijk.eu-west-1.rds.amazonaws.com:3306 did not answer in time.
"""


from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import MissingPrerequisiteError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.connectors import connector_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.description import describe_host
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.login_test import LoginTest


def main() -> None:
    login = {
        "endpoint": {"type": "str", "required": True},
        "port": {"type": "int", "default": 3306},
        "user": {"type": "str", "required": True},
        "region": {"type": "str"},
        "connect_host": {"type": "str"},
        "ca_file": {"type": "path"},
        "expect": {"type": "str", "choices": ["allowed", "denied"], "default": "allowed"},
    }
    module = AnsibleModule(
        argument_spec={
            "logins": {"type": "list", "elements": "dict", "required": True, "options": login},
            "ca_file": {"type": "path", "default": "/etc/ssl/rds/global-bundle.pem"},
            "connect_timeout": {"type": "int", "default": 10},
            "profile": {"type": "str"},
            "principal": {"type": "str"},
            "wait_timeout": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        test = LoginTest(module.params)
    except RdsIamError as exc:
        module.fail_json(msg=str(exc))
    try:
        for ca_file in {login["ca_file"] or module.params["ca_file"] for login in module.params["logins"]}:
            connector_for(DEFAULT_ENGINE).check_prerequisites(ca_file)
    except MissingPrerequisiteError as exc:
        test.find_signer()
        module.fail_json(msg=str(exc), signer=test.signer.to_result(), host=describe_host(module, test, []))
    records = test.run()
    result = {"logins": records, "signer": test.signer.to_result()}
    reasons = list(dict.fromkeys(record["msg"] for record in records if not record["as_expected"]))
    if reasons:
        module.fail_json(msg=" ".join(reasons), host=describe_host(module, test, records), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
