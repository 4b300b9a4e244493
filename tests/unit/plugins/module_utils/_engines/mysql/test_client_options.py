# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the arguments of rds-mysql. The clients themselves judge it in tests/integration."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import client_options
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_options import (
    MARIADB,
    MYSQL,
    ArgumentError,
    for_client,
    parse,
)

# What the clients of MariaDB 10.5 to 11.8 and MySQL 5.7 to 9.7 have, by their manuals, that decides about the login.
DECIDING = """
    authentication-kerberos-client-mode authentication-oci-client-config-profile
    authentication-openid-connect-client-id-token-file bind-address character-sets-dir connection-attributes debug
    default-auth defaults-extra-file defaults-file defaults-group-suffix dns-srv-name enable-cleartext-plugin
    get-server-public-key host login-path network-namespace no-defaults no-login-paths oci-config-file password
    password1 password2 password3 pipe plugin-authentication-kerberos-client-mode
    plugin-authentication-webauthn-client-preserve-privacy plugin-authentication-webauthn-device plugin-dir port
    print-defaults protocol register-factor fido-register-factor secure-auth server-arg server-public-key-path
    shared-memory-base-name socket ssl ssl-ca ssl-capath ssl-cert ssl-cipher ssl-crl ssl-crlpath ssl-fips-mode ssl-fp
    ssl-fplist ssl-key ssl-mode ssl-session-data ssl-session-data-continue-on-failed-reuse ssl-verify-server-cert
    telemetry-client tls-ciphersuites tls-fp tls-fplist tls-sni-servername tls-version user
""".split()

IN_FULL = {
    "-e|select 1": ["--execute=select 1"],
    "-eselect 1": ["--execute=select 1"],
    "--execute|select 1": ["--execute=select 1"],
    "--execute=select 1": ["--execute=select 1"],
    "-NBe|select 1": ["--skip-column-names", "--batch", "--execute=select 1"],
    "-NBeselect 1": ["--skip-column-names", "--batch", "--execute=select 1"],
    "-e|-p": ["--execute=-p"],
    "-e|--ssl-mode=DISABLED": ["--execute=--ssl-mode=DISABLED"],
    "-e|": ["--execute="],
    "--execute=": ["--execute="],
    "-e|a=b": ["--execute=a=b"],
    "-Dshop": ["--database=shop"],
    "-BDphp": ["--batch", "--database=php"],
    "-D|-x": ["--database=-x"],
    "-ss": ["--silent", "--silent"],
    "-vvv": ["--verbose"] * 3,
    "--default_character_set=utf8mb4": ["--default-character-set=utf8mb4"],
    "--skip_column_names": ["--skip-column-names"],
    "--disable-auto-rehash": ["--disable-auto-rehash"],
    "--disable-line-numbers": ["--disable-line-numbers"],  # --skip-line-numbers is another option
    "--enable-auto-rehash": ["--auto-rehash"],
    "--quick=0": ["--disable-quick"],
    "--reconnect=FALSE": ["--disable-reconnect"],
    "--pager": ["--pager"],
    "--pager=less -S": ["--pager=less -S"],
    "--skip-pager": ["--disable-pager"],
    "--tee|/tmp/log": ["--tee=/tmp/log"],
    "--skip-tee": ["--disable-tee"],
    "--connect-timeout=7": ["--connect-timeout=7"],
}


@pytest.mark.parametrize("written", IN_FULL)
def test_options_are_written_in_full(written):
    read = parse(written.split("|"))
    assert for_client(read, MARIADB) == for_client(read, MYSQL) == IN_FULL[written]
    assert (read.user, read.positional) == (None, [])


@pytest.mark.parametrize(
    "written",
    ["-u|report", "-ureport", "--user|report", "--user=report", "-NBu|report", "-NBureport", "-uapp|-ureport"],
)
def test_the_user_is_the_one_that_was_asked_for(written):
    read = parse(written.split("|"))
    assert read.user == "report"
    assert not [text for _option, text in read.options if "report" in text]


def test_positional_arguments_stand_anywhere():
    read = parse(["-N", "orders", "-e", "select 1", "shop"])
    assert read.positional == ["orders", "shop"]
    assert parse(["orders", "--", "-e", "--user=x"]).positional == ["orders", "-e", "--user=x"]
    assert parse(["-", ""]).positional == ["-", ""]


@pytest.mark.parametrize(
    "written",
    [
        *("-e", "-NBe", "--execute", "-D", "--database", "--init-command", "--delimiter", "--prompt", "--tee", "-u"),
        *("--user", "-NBu", "--default-character-set", "--max-allowed-packet", "--histignore"),
    ],
)
def test_a_value_that_is_missing_is_an_error(written):
    with pytest.raises(ArgumentError, match=r"^(-\w|--[\w-]+) needs a value\.$"):
        parse(["orders", "-N", written])


PREFIXES = ["", "loose-", "skip-", "disable-", "enable-", "maximum-", "loose-skip-", "loose_maximum_", "autoset-"]


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_about_the_login_is_not_taken(name):
    """Nor is a part of its name, but for the user, whom rds-mysql takes for itself."""
    spellings = [
        f"--{prefix}{name[:end]}{value}"
        for prefix in PREFIXES
        for end in range(1, 1 + len(name))
        for value in ("", "=x")
    ]
    for spelling in spellings:
        if spelling in ("--user", "--user=x"):
            continue
        with pytest.raises(ArgumentError, match=r"is not taken, since|takes no value"):
            parse([spelling, "x"])


def test_no_name_that_is_passed_on_means_another_option_to_a_client():
    """The clients take an option that they do not know for one whose name begins so."""
    names = [option.name for option in client_options.PASSED_ON]
    assert [(name, other) for name in names for other in DECIDING if other.startswith(name)] == []
    assert len(names) == len(set(names)) > 50


@pytest.mark.parametrize(
    "written", ["-psecret", "-Bpsecret", "--password=secret", "-h", "-P3307", "-S/s", "-#d", "-NBhh"]
)
def test_an_error_names_the_option_without_its_value(written):
    with pytest.raises(ArgumentError) as refused:
        parse([written])
    assert "secret" not in str(refused.value)
    assert "rds-mysql --help lists" in str(refused.value)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("--batch=1", "--batch takes no value"),
        ("--skip-tee=x", "--skip-tee takes no value"),
        ("--skip-quick=0", "--skip-quick takes no value"),
        ("--enable-xml=off", "--enable-xml takes no value"),  # which switches it on for the clients
        ("--skip-execute", "--skip-execute is not taken"),
        ("--skip-batch", "--skip-batch is not taken"),
        ("--quick=maybe", "--quick is 1 or 0, and not 'maybe'"),
        ("--connect-timeout=soon", "--connect-timeout is a number of seconds, and not 'soon'"),
        ("--=x", "-- is not taken"),
        ("--exec=x", "--exec is not taken"),
        ("-é", "-é is not taken"),
    ],
)
def test_other_arguments_that_are_not_taken(written, words):
    with pytest.raises(ArgumentError) as refused:
        parse([written])
    assert str(refused.value).startswith(words)
    assert str(refused.value).endswith(".")


def test_an_option_of_the_other_family_is_not_passed_on():
    for name, own, other in (("sandbox", MARIADB, MYSQL), ("system-command", MYSQL, MARIADB)):
        read = parse([f"--{name}"])
        assert for_client(read, own) == [f"--{name}"]
        with pytest.raises(ArgumentError, match=f"only the client of {own} has it"):
            for_client(read, other)


@pytest.mark.parametrize("written", ["--help", "-?", "-I", "-NI"])
def test_help_is_that_of_rds_mysql(written):
    assert parse([written]).help
    assert not parse(["-V"]).help and parse(["-V"]).version and parse(["--version"]).version


def test_the_usage_lists_what_is_passed_on():
    lines = client_options.usage().splitlines()
    assert len(lines) == len(client_options.PASSED_ON)
    assert (
        "  -e, --execute=VALUE" in lines and "      --pager[=VALUE]" in lines and "      --sandbox (MariaDB)" in lines
    )
