# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program rds-mysql as the role connect makes it, with a client that says how it was started."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import trustme
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import client_options, rds_mysql
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.rds_mysql_program import rds_mysql_program

ENDPOINT = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-key",
    "AWS_SESSION_TOKEN": "s" * 5000,
}
VERSIONS = {
    "mariadb": "mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64) using  EditLine wrapper",
    "mysql": "mysql  Ver 8.0.46 for Linux on x86_64",
}
# Says what it was given, and who else runs, as a client that starts a shell would.
CLIENT = """\
#!{python} -I
import json, os, sys
if sys.argv[-1] == "--version":
    print({version!r})
    sys.exit()
report = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "files": sorted(os.listdir("/proc/self/fd"))}}
report["core"] = open("/proc/self/limits").read().split("Max core file size")[1].split()[:2]
report["socket"] = [argument[9:] for argument in sys.argv if argument.startswith("--socket=")]
report["mode"] = [oct(os.stat(os.path.dirname(path)).st_mode & 0o777) for path in report["socket"]]
json.dump(report, sys.stdout)
"""


def render(databases=(), venv: Path | None = None, python=sys.executable, ca_file="/nowhere/ca.pem") -> str:
    """The program for these databases, with its libraries in this place."""
    text = rds_mysql_program(databases, python, ca_file)
    place = 'VENV = "/opt/dbops-rds-iam"'
    assert text.count(place) == 1
    return text.replace(place, f"VENV = {str(venv or '/nowhere')!r}")


def database(name="orders", **changes):
    return {
        "name": name,
        "endpoint": ENDPOINT,
        "port": 3306,
        "region": "eu-west-1",
        "users": ["app", "report"],
    } | changes


class Program:
    """rds-mysql for databases, on a host with the client of a family."""

    def __init__(self, directory: Path, family: str = "mariadb", databases=None, **variables):
        self.path, self.bin, self.ca_file = directory / "rds-mysql", directory / "bin", directory / "ca.pem"
        self.bin.mkdir()
        trustme.CA().cert_pem.write_to_path(self.ca_file)
        variables.setdefault("ca_file", str(self.ca_file))
        self.path.write_text(render([database()] if databases is None else databases, **variables))
        self.path.chmod(0o755)
        if family:
            client = self.bin / family
            client.write_text(CLIENT.format(python=sys.executable, version=VERSIONS[family]))
            client.chmod(0o755)

    def command(self, environment: dict | None = None) -> dict:
        """Return how the program is run: where its client is found, with AWS credentials, and with nothing else."""
        own = {"PATH": str(self.bin), "HOME": "/nowhere", "TMPDIR": str(self.bin.parent), **KEYS}
        return {"env": own | (environment or {}), "text": True}

    def run(self, *arguments, environment=None, **options) -> subprocess.CompletedProcess:
        options = {**self.command(environment), "capture_output": True, "timeout": 60, **options}
        return subprocess.run([self.path, *arguments], check=False, **options)

    def started(self, *arguments, **options) -> dict:
        """Return what the client says of how it was started."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments, **options) -> str:
        done = self.run(*arguments, **options)
        assert done.returncode == 1 and done.stdout == "", done
        assert done.stderr.startswith("rds-mysql: ") and "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture(params=["mariadb", "mysql"])
def program(request, tmp_path):
    return Program(tmp_path, request.param)


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def test_its_parts_fit_together():
    """They were modules, and share the names of one now."""
    parsed = ast.parse(render([database()]))
    names = Counter()
    for node in parsed.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names[node.name] += 1
        for target in node.targets if isinstance(node, ast.Assign) else ():
            names.update(name.id for name in ast.walk(target) if isinstance(name, ast.Name))
    assert [name for name, count in names.items() if count > 1] == []
    imports = [node for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom)]
    assert not [node.module for node in imports if node.module.startswith("ansible")]


def test_the_client_gets_the_login_and_no_secret(program):
    report = program.started("orders", "shop", "-NBe", "select 1")
    [path] = report["socket"]
    tls = "--ssl-mode=DISABLED" if "--ssl-mode=DISABLED" in report["arguments"] else "--skip-ssl"
    assert report["arguments"] == [
        *("--no-defaults", "--skip-column-names", "--batch", "--execute=select 1", "--database=shop", tls),
        *("--host=localhost", "--port=1", "--protocol=SOCKET", f"--socket={path}", "--user=app"),
    ]
    assert (tls == "--skip-ssl") == (program.bin / "mariadb").exists()
    assert "X-Amz" not in json.dumps(report) and ENDPOINT not in json.dumps(report)
    assert report["mode"] == ["0o700"]
    assert report["core"] == ["0", "0"]
    assert set(report["files"]) <= {"0", "1", "2", "3"}


def test_signals_are_those_of_the_caller(program):
    """Python ignores a pipe that is closed; a client that goes on writing to one should not."""
    name = "mariadb" if (program.bin / "mariadb").exists() else "mysql"
    looks = "/bin/cat /proc/$$/status"
    version = f"[ \"$2\" != --version ] || {{ echo '{VERSIONS[name]}'; exit; }}"
    (program.bin / name).write_text(f"#!/bin/sh\n{version}\n{looks}\n")
    ignored = program.run("orders").stdout.split("SigIgn:")[1].split()[0]
    assert not int(ignored, 16) >> (signal.SIGPIPE - 1) & 1


@pytest.mark.parametrize("spelling", ["-u report", "-ureport", "--user report", "--user=report", "-NBu report"])
def test_the_user_that_was_asked_for(program, spelling):
    arguments = program.started("orders", *spelling.split(), "-e", "select 1")["arguments"]
    assert arguments[-1] == "--user=report"
    assert [argument for argument in arguments if argument.startswith("--user")] == ["--user=report"]


def test_the_environment_decides_nothing(program):
    kept = {"MYSQL_PS1": "> ", "MYSQL_HISTFILE": "/dev/null", "TERM": "xterm", "PAGER": "less", "LC_ALL": "C.UTF-8"}
    dropped = {
        "MYSQL_PWD": "secret",
        "MYSQL_HOST": "elsewhere",
        "MYSQL_TCP_PORT": "1",
        "MYSQL_UNIX_PORT": "/s",
        "MYSQL_GROUP_SUFFIX": "_x",
        "MYSQL_HOME": "/tmp",
        "MYSQL_DEBUG": "d:t:o,/tmp/trace",
        "MYSQL_TEST_LOGIN_FILE": "/tmp/login",
        "LIBMYSQL_PLUGIN_DIR": "/tmp/plugins",
        "LIBMYSQL_PLUGINS": "evil",
        "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN": "1",
        "MARIADB_PLUGIN_DIR": "/tmp/plugins",
        "MARIADB_TLS_DISABLE_PEER_VERIFICATION": "1",
    }
    environment = program.started("orders", environment=kept | dropped)["environment"]
    assert {name: environment.get(name) for name in kept} == kept
    assert {name: value for name, value in environment.items() if name in dropped} == {
        "MYSQL_TEST_LOGIN_FILE": "/dev/null"
    }


def test_python_is_isolated(program, tmp_path):
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("hmac", "ssl", "usercustomize", "sitecustomize"):
        (evil / f"{name}.py").write_text("raise SystemExit('evil')")
    environment = {"PYTHONPATH": str(evil), "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": str(evil / "ssl.py")}
    assert program.started("orders", environment=environment, cwd=evil)["arguments"]
    (program.path.parent / "hmac.py").write_text("raise SystemExit('evil')")
    assert program.started("orders")["arguments"]


def leftovers(program) -> list[Path]:
    return list(program.path.parent.glob("rds-mysql-*"))


def test_the_relay_ends_with_the_client(program):
    """And does not keep its output open, as the answer of run shows."""
    program.started("orders")
    until(lambda: not leftovers(program))


def test_the_relay_ends_with_a_client_that_is_killed(program):
    name = "mariadb" if (program.bin / "mariadb").exists() else "mysql"
    client = program.bin / name
    client.write_text(client.read_text() + "sys.stdout.flush(); os.close(1); import time; time.sleep(60)\n")
    with subprocess.Popen([program.path, "orders"], stdout=subprocess.PIPE, **program.command()) as running:
        report = json.loads(running.stdout.read())
        assert os.path.exists(report["socket"][0]), "the client can connect again as long as it runs"
        running.kill()
    until(lambda: not leftovers(program))


def test_closed_files(program):
    """The socket of the relay does not become the standard input of anything."""
    command = ["/bin/sh", "-c", 'exec "$0" orders <&- 2>&-', program.path]
    process = subprocess.run(command, capture_output=True, check=True, timeout=60, **program.command())
    report = json.loads(process.stdout)
    assert {"0", "1", "2"} <= set(report["files"])
    until(lambda: not leftovers(program))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no database 'nowhere' here; there are: orders."),
        (["orders", "-e"], "-e needs a value."),
        (["orders", "-NBe"], "-e needs a value."),
        (["orders", "shop", "select 1"], "the argument 'select 1' is one too many; a statement goes behind -e."),
        (["orders", "--maximum-ssl-capath=/tmp"], "--maximum-ssl-capath is not taken, since rds-mysql itself sets"),
        (["orders", "-psecret"], "-p is not taken, since rds-mysql itself sets whom to trust"),
        (["orders", "-u", ""], "name the user to log in as, with -u"),
        (["orders", "-u", b"\xff\xfe"], "is not UTF-8."),
        (["orders", "-u", "a\nb"], "is empty or has control characters in it."),
        (["orders", "--user"], "--user needs a value."),
        ([""], "there is no database '' here"),
    ],
)
def test_arguments_that_are_refused(program, arguments, words):
    text = program.refused(*arguments)
    assert words in text and "secret" not in text
    assert text.count("\n") == 1
    assert leftovers(program) == []


def test_an_option_of_the_other_family(program):
    other = "--system-command" if (program.bin / "mariadb").exists() else "--sandbox"
    assert f"{other} is not taken, since only the client of" in program.refused("orders", other)


def test_a_host_that_lacks_something(tmp_path):
    program = Program(tmp_path, family="")
    assert "there is no mysql or mariadb client on this host; install one" in program.refused("orders")
    client = program.bin / "mysql"
    client.write_text("#!/bin/sh\nexit 3\n")
    client.chmod(0o755)
    assert f"{client} does not say its version" in program.refused("orders")
    client.write_text(f"#!/bin/sh\necho '{VERSIONS['mysql']}'\n")
    program.ca_file.write_text("no certificate")
    assert f"the CA file {program.ca_file} cannot be used: " in program.refused("orders")
    program.ca_file.unlink()
    assert f"the CA file {program.ca_file} does not exist; install it with the role" in program.refused("orders")
    trustme.CA().cert_pem.write_to_path(program.ca_file)
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_SECRET_ACCESS_KEY": ""}
    assert "credentials" in program.refused("orders", environment=nothing)
    assert leftovers(program) == []


def test_help_needs_no_client(tmp_path):
    program = Program(tmp_path, family="", databases=[database(), database("billing", users=[])])
    for arguments in (["--help"], ["-?"], ["orders", "-I"], ["-e", "x", "nowhere", "--help"]):
        done = program.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: rds-mysql [DATABASE [SCHEMA]] [-u USER] [OPTION]...\n")
        assert f"  orders   {ENDPOINT}:3306, as app, report\n" in done.stdout
        assert f"  billing  {ENDPOINT}:3306, as no user\n" in done.stdout
        assert "  -e, --execute=VALUE\n" in done.stdout
    text = program.refused()
    assert text.startswith("rds-mysql: name the database to log in to; there are: billing, orders.\n\nUsage:")
    assert "name the user to log in as" in program.refused("billing")
    assert "no mysql or mariadb client" in program.refused("--version")


def test_version(program):
    done = program.run("--version")
    family = "mariadb" if (program.bin / "mariadb").exists() else "mysql"
    assert (done.returncode, done.stdout) == (0, f"rds-mysql of dbops.rds_iam, with {VERSIONS[family]}\n")


def test_the_method_is_one_that_the_client_has():
    """Clients of MySQL 9 lack one of the two, and those of 5.7 the other."""

    def method(family, version):
        return rds_mysql.authentication_method(rds_mysql.ClientProgram("/usr/bin/mysql", family, version))

    assert method(client_options.MYSQL, VERSIONS["mysql"]) == b"caching_sha2_password"
    old = "mysql  Ver 14.14 Distrib 5.7.44, for Linux (x86_64) using  EditLine wrapper"
    assert method(client_options.MYSQL, old) == b"mysql_native_password"
    assert method(client_options.MARIADB, VERSIONS["mariadb"]) == b"mysql_native_password"


def test_the_only_database_need_not_be_named(program):
    assert program.started("-e", "select 1")["arguments"][1] == "--execute=select 1"


def test_goes_on_with_the_python_that_has_botocore(tmp_path):
    script, python = tmp_path / "rds-mysql", tmp_path / "venv/bin/python3"
    script.write_text(render(venv=tmp_path / "venv"))
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    # Without its site-packages, this Python has no botocore.
    command = [sys.executable, "-S", script, "orders", "-e", "select 1"]
    process = subprocess.run(command, text=True, capture_output=True, check=False)
    assert (process.returncode, process.stdout) == (0, f"-I {script} orders -e select 1\n"), process.stderr
    python.unlink()
    process = subprocess.run(command, text=True, capture_output=True, check=False)
    assert process.returncode != 0
    assert "no database 'orders'" in process.stderr
