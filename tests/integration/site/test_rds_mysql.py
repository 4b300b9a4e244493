# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program rds-mysql on hosts with either client: its token reaches the verified database, and nobody else."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import ssl
import struct
import threading

import pytest
import trustme

TLS = 0x0800
# What a server says first, with TLS.
GREETING = (
    b"\x0a10.11.8-MariaDB\0"
    + struct.pack("<I", 1)
    + b"saltsalt\0"
    + struct.pack("<H", 0xF7FF | TLS)
    + b"\x21\x02\0"
    + struct.pack("<H", 0x000F)
    + b"\x15"
    + b"\0" * 10
    + b"saltsaltsalt\0mysql_native_password\0"
)
PROGRAM = "/tmp/rds-mysql-of-a-test"


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")


@pytest.fixture(params=["client1", "client2"])
def client(lab, request):
    """In a lab with MySQL the first one has MySQL's client, and the second one MariaDB's; else both have MariaDB's."""
    if lab.info["form"] != "namespaces":
        pytest.skip("In the plain form the clients share the machine's own names.")
    return request.param


@pytest.fixture
def is_mysql(lab, client):
    return "MariaDB" not in lab.ssh(client, "mysql --version").stdout


@pytest.fixture
def login(lab, client):
    """Run rds-mysql with these arguments on the client."""
    return lambda *arguments, **options: lab.ssh(client, shlex.join([lab.wrapper(client), *arguments]), **options)


def arrived(lab) -> list[dict]:
    """The tokens that have arrived at any database."""
    return [json.loads(line) for line in (lab.state / "verifier.jsonl").read_text().splitlines()]


@contextlib.contextmanager
def orders_at(lab, client, address):
    """The name of orders leads to another address, as seen from this client."""
    endpoint = lab.databases["orders"]["endpoint"]
    edit = f"{lab.sudo}cp /etc/hosts /tmp/hosts && {lab.sudo}sed 's/.* {endpoint}$/{address} {endpoint}/' /tmp/hosts"
    assert lab.ssh(client, f"{edit} | {lab.sudo}tee /etc/hosts").returncode == 0
    try:
        yield
    finally:
        assert lab.ssh(client, f"{lab.sudo}cp /tmp/hosts /etc/hosts").returncode == 0


def test_a_value_that_is_missing_takes_no_option_of_rds_mysql(lab, client):
    """The name leads to another database, whose certificate is of the same authorities."""
    before = len(arrived(lab))
    [address] = lab.databases["billing"]["addresses"]
    arguments = "-e -Ne -D --execute --init-command --delimiter --prompt --tee -u".split()
    runs = [f"{lab.wrapper(client)} orders {argument} < /dev/null 2>&1; echo $?" for argument in arguments]
    with orders_at(lab, client, address):
        process = lab.ssh(client, "\n".join(runs))
    expected = [line for argument in arguments for line in (f"rds-mysql: {argument} needs a value.", "1")]
    assert process.stdout.replace("Ne", "e").splitlines() == [line.replace("Ne", "e") for line in expected]
    assert arrived(lab)[before:] == []


@pytest.fixture
def impostor(lab):
    """A server with a certificate of another authority for the name of orders: that authority and what arrives."""
    authority, received, stop = trustme.CA(), [], threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(lab.databases["orders"]["endpoint"]).configure_cert(context)

    def serve(listener):
        while not stop.is_set():
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                connection.settimeout(10)
                connection.sendall(struct.pack("<I", len(GREETING)) + GREETING)
                received.append(connection.recv(36))
                with context.wrap_socket(connection, server_side=True) as secured:
                    received.append(secured.recv(65536))
                    secured.sendall(struct.pack("<I", 23 | 3 << 24) + b"\xfemysql_clear_password\0")
                    received.append(secured.recv(65536))

    address = lab.info["endpoint_url"].split("/")[2].split(":")[0]
    with socket.create_server((address, 3306)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield authority.cert_pem.bytes(), address, received
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)


SPELLINGS = """
--maximum-ssl-capath=/tmp/ca
--loose-maximum-ssl-capath=/tmp/ca
--maximum_ssl_ca=/tmp/ca/ca.pem
--ssl-ca=/tmp/ca/ca.pem
--loose-ssl-ca=/tmp/ca/ca.pem
--ssl-mode=DISABLED
--ssl-mode=REQUIRED
--skip-ssl-verify-server-cert
--disable-ssl-verify-server-cert
--enable-ssl-verify-server-cert=0
--skip-ssl
--plugin-dir=/tmp/ca
--defaults-file=/tmp/ca/my.cnf
--defaults-extra-file=/tmp/ca/my.cnf
-e --ssl-mode=DISABLED
-N -e
""".strip().splitlines()


def test_no_spelling_makes_rds_mysql_trust_another_authority(lab, client, impostor):
    pem, address, received = impostor
    names = "/tmp/ca/ca.pem /tmp/ca/$(openssl x509 -subject_hash -noout -in /tmp/ca/ca.pem).0"
    prepare = f"mkdir -p /tmp/ca && cat > /tmp/ca/ca.pem && cp {names}"
    prepare += " && printf '[client]\\nssl-ca=/tmp/ca/ca.pem\\n' > /tmp/ca/my.cnf"
    assert lab.ssh(client, prepare, input=pem.decode()).returncode == 0
    environment = "SSL_CERT_FILE=/tmp/ca/ca.pem SSL_CERT_DIR=/tmp/ca MARIADB_TLS_DISABLE_PEER_VERIFICATION=1"
    runs = [f"{lab.wrapper(client)} orders {spelling} -e 'select 1'" for spelling in ["", *SPELLINGS]]
    runs += [f"env {environment} {runs[0]}", f"{lab.wrapper(client)} orders {SPELLINGS[-1]}"]
    with orders_at(lab, client, address):
        process = lab.ssh(client, "\n".join(f"{run} < /dev/null 2>&1; echo status: $?" for run in runs))
    assert process.stdout.count("status: 1") == len(runs), process.stdout
    refused = "ERROR 1105 (HY000): rds-mysql: TLS/SSL error: the certificate of"
    assert process.stdout.count(refused) == 4, process.stdout
    everything = b"".join(received)
    assert everything and b"X-Amz" not in everything and b"app" not in everything


def test_a_command_of_the_client_takes_no_token_to_another_server(lab, client, login, is_mysql):
    """C(connect) names a server, and the client would log in there with what it logged in with before."""
    before, other = len(arrived(lab)), lab.databases["billing"]["endpoint"]
    commands = ["--commands"] if is_mysql else []
    login("orders", *commands, "-e", f"\\r app {other}")
    done = login("orders", *commands, "-N", "-e", "\\r\nselect current_user()")
    assert "app@%" in done.stdout, done.stderr
    endpoints = {token["endpoint"] for token in arrived(lab)[before:]}
    assert endpoints == {lab.databases["orders"]["endpoint"]}


def test_what_the_client_starts_gets_nothing_of_the_token(lab, login, is_mysql):
    look = "env; cat /proc/$PPID/environ /proc/$PPID/cmdline /proc/self/environ; ls -l /proc/$PPID/fd /proc/$$/fd"
    arguments = ["--commands", "--system-command"] if is_mysql else []
    done = login("orders", *arguments, "-e", f"\\! {look}; echo seen")
    assert "seen" in done.stdout and "--protocol=SOCKET" in done.stdout, done
    assert "X-Amz" not in done.stdout and "Signature" not in done.stdout


def test_a_pager_gets_nothing_of_the_token(lab, client):
    """In a session with a terminal, where results go through the pager."""
    pager = "--pager=tee /tmp/paged | (env; cat /proc/$PPID/environ) > /tmp/seen"
    program = [lab.wrapper(client), "orders", pager]
    terminal = f"import pty, sys; pty.spawn({program!r})"
    lab.ssh(client, "rm -f /tmp/paged /tmp/seen")
    process = lab.ssh(client, f"python3 -c {shlex.quote(terminal)}", input="select current_user();\nexit\n")
    seen = lab.ssh(client, "cat /tmp/paged /tmp/seen").stdout
    assert "app@%" in seen and "PATH=" in seen, process
    assert "X-Amz" not in seen


def test_the_user_is_the_one_that_was_asked_for(lab, client, login):
    for spelling in (["-NBu", "report"], ["-NBureport"], ["-u", "report"], ["--user", "report"]):
        done = login("orders", *spelling, "-e", "select current_user()")
        assert done.returncode == 1 and "Access denied for user 'report'@" in done.stderr, done
        assert arrived(lab)[-1]["user"] == "report"


def test_positional_arguments_stand_anywhere(lab, client, login):
    for arguments in (
        ["-N", "-e", "select database()", "orders", "app"],
        ["orders", "app", "-Ne", "select database()"],
    ):
        done = login(*arguments)
        assert (done.returncode, done.stdout) == (0, "app\n"), done


def test_a_token_of_more_than_4_kib(lab, client):
    """Its session token is none of AWS's, so it is refused, by the database that got it."""
    keys = "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=secret"
    before = len(arrived(lab))
    long = "AWS_SESSION_TOKEN=$(printf 'x%.0s' $(seq 9000))"
    process = lab.ssh(client, f"{keys} {long} {lab.wrapper(client)} orders -e 'select 1'")
    assert process.returncode == 1 and "Access denied for user 'app'@" in process.stderr, process
    assert len(arrived(lab)) == before + 1


def test_signals_and_streams_are_those_of_the_client(lab, client):
    program = lab.wrapper(client)
    for name, status in (("INT", 1), ("TERM", 143)):
        # The session is there when the server says so. A server goes on with the statement of a client that has ended:
        # so that of each turn is another one.
        statement = f"select sleep(30), '{client} {name}'"
        running = f"{program} orders -Ne 'show processlist' | grep -q '{client} {name}'"
        watch = f"for turn in $(seq 100); do {running} && break; sleep 0.1; done"
        run = f'{program} orders -e "{statement}" & job=$!; {watch}; kill -{name} $job; wait $job; echo $?'
        assert lab.ssh(client, run).stdout.splitlines()[-1] == str(status)
    assert lab.ssh(client, f"echo 'select 6*7' | {program} orders -N").stdout == "42\n"
    assert lab.ssh(client, f"result=$({program} orders -Ne 'select 6*7'); echo =$result").stdout == "=42\n"
    assert lab.ssh(client, f"{program} orders -Ne 'select 6*7' <&- 2>&-").stdout == "42\n"
    columns = "information_schema.columns"
    rows = f"select repeat(1, 1000) from {columns} a, {columns} b limit 10000"
    assert lab.ssh(client, f"{program} orders -qNe '{rows}' | wc -c").stdout == "10010000\n"
    lab.until(lambda: lab.ssh(client, "ls -d /tmp/rds-mysql-*/ 2>/dev/null").stdout == "")


def test_a_ca_file_that_the_user_cannot_read(lab, client):
    bundle = lab.bundle(client)
    run = f"{lab.sudo}{lab.as_nobody} {lab.wrapper(client)} orders -e 'select 1'"
    assert lab.ssh(client, f"{lab.sudo}chmod 600 {bundle}").returncode == 0
    try:
        process = lab.ssh(client, run)
    finally:
        lab.ssh(client, f"{lab.sudo}chmod 644 {bundle}")
    assert process.stderr == f"rds-mysql: the CA file {bundle} cannot be used: Permission denied.\n"
    assert lab.ssh(client, run).returncode == 0


@pytest.fixture
def connect(lab, tmp_path):
    """Run the role connect, or one of its entry points, on the first client."""

    def run(*arguments, tasks_from="wrapper", **variables):
        variables = {"connect_wrapper_path": PROGRAM, **variables}
        role = {"name": "dbops.rds_iam.connect", "tasks_from": tasks_from}
        task = {"ansible.builtin.include_role": role, "vars": variables}
        play = {"hosts": "client1", "gather_facts": False, "become": True, "tasks": [task]}
        (tmp_path / "play.json").write_text(json.dumps([play]))
        return lab.playbook(str(tmp_path / "play.json"), *arguments)

    yield run
    lab.ssh("client1", f"{lab.sudo}rm -rf {PROGRAM}")


FOREIGN = {
    "a script": f"echo '# of others' > {PROGRAM} && chmod 700 {PROGRAM}",
    "a program": f"cp /bin/true {PROGRAM}",
    "a link": f"ln -s /bin/true {PROGRAM}",
    "a link to nothing": f"ln -s /nowhere {PROGRAM}",
}


@pytest.mark.parametrize(("kind", "state"), [*((kind, "present") for kind in FOREIGN), ("a link", "absent")])
def test_a_file_of_others_stays(lab, connect, kind, state):
    assert lab.ssh("client1", FOREIGN[kind]).returncode == 0
    look = f"ls -l --full-time {PROGRAM}; sha256sum {PROGRAM}"
    before = lab.ssh("client1", look).stdout
    words = "so it is left as it is; move it away" if state == "present" else "so it stays."
    for arguments in (["--check"], []):
        run = connect(*arguments, connect_state=state)
        assert f"{PROGRAM} on client1 is not a program that the role dbops.rds_iam.connect wrote, {words}" in run.output
        assert (run.status == 0) == (state == "absent"), run.output
        assert run.changed == {"client1": 0}
        assert lab.ssh("client1", look).stdout == before


@pytest.mark.parametrize("tasks_from", ["main", "wrapper"])
def test_each_entry_point_installs_and_removes(lab, connect, tasks_from):
    exists = f"test -e {PROGRAM}"
    place = {key: lab.databases["orders"][key] for key in ("endpoint", "port")}
    databases = [{"name": "orders", **place, "region": lab.info["region"], "users": ["app"]}]  # which main tries
    for state, changed in (("absent", 0), ("present", 1), ("absent", 1)):
        there = lab.ssh("client1", exists).returncode
        checked = connect("--check", tasks_from=tasks_from, connect_state=state, connect_databases=databases)
        assert checked.status == 0 and checked.changed == {"client1": changed}, checked.output
        assert lab.ssh("client1", exists).returncode == there
        run = connect(tasks_from=tasks_from, connect_state=state, connect_databases=databases)
        assert run.status == 0 and run.changed == {"client1": changed}, run.output
        assert (lab.ssh("client1", exists).returncode == 0) == (state == "present")


def test_a_difference_shows_the_databases_and_not_the_program(connect):
    database = {"name": "orders", "endpoint": "orders.example.com", "port": 3306, "region": "eu-west-1"}
    assert "orders.example.com" not in connect("--diff", connect_databases=[database]).output
    changed = connect("--diff", "--check", connect_databases=[{**database, "port": 3307}]).output
    assert '+        "port": 3307,' in changed and "def " not in changed


def test_the_program_of_the_first_edition_is_replaced(lab, connect):
    old = (
        "# What comes before signs tokens, and is a part of the collection dbops.rds_iam. What follows is the program:"
    )
    lab.ssh("client1", f"printf '#!/usr/bin/python3\\n{old}\\n' > {PROGRAM}")
    assert connect().changed == {"client1": 1}
    assert "Managed by dbops.rds_iam" in lab.ssh("client1", f"head -n 5 {PROGRAM}").stdout
