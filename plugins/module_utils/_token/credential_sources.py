# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name the sources of credentials as botocore does, and how to remove each. Private to this collection."""

from __future__ import annotations

import os
import pwd

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.principal import Principal

# The name of an instance profile as a source of credentials, in botocore.
FROM_PROFILE = "iam-role"
# What brings sources about, by their names in botocore: variables, and files, with the variable that names another one.
_VARIABLES = {
    "env": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    "assume-role-with-web-identity": "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN",
    "container-role": "AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
}
_FILES = {
    "shared-credentials-file": ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    **dict.fromkeys(
        ("assume-role", "config-file", "custom-process", "login", "sso"), ("AWS_CONFIG_FILE", "~/.aws/config")
    ),
    "ec2-credentials-file": ("AWS_CREDENTIAL_FILE", "~"),
    "boto-config": ("BOTO_CONFIG", "~/.boto"),
}


def describe_remedy(source: str | None, expected: Principal) -> str:
    """Return how to have the expected principal sign in place of the credentials of a source, as a clause.

    source: its name in botocore; None for credentials without one
    """
    if source == FROM_PROFILE:
        return (
            f"attach the instance profile of {expected.name} to this host (role dbops.rds_iam.role_attachment), or wait"
            " until the instance metadata service serves it"
        )
    user, alternative = pwd.getpwuid(os.geteuid()).pw_name, "or name the principal that is to sign"
    if source in _VARIABLES:
        places = "/etc/environment, env_keep and env_file of sudo, and environment in the play can set them"
        return f"take {_VARIABLES[source]} out of the environment of {user} ({places}), {alternative}"
    if source in _FILES:
        variable, default = _FILES[source]
        file = os.path.expanduser(os.environ.get(variable) or default)
        profile = " (profile $AWS_PROFILE)" if os.environ.get("AWS_PROFILE") else ""
        return f"remove them from {file}{profile} of {user}, {alternative}"
    return f"remove what they come from, {alternative}"
