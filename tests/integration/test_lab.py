# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, in both forms: it starts, lets the right ones in, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

LAB = Path(__file__).parents[1] / "lab" / "lab"
ORDINARY_CONTAINER = [
    "setpriv",
    "--bounding-set=-sys_admin,-net_admin",
    "--inh-caps=-sys_admin,-net_admin",
]
PREFIXES = {"namespaces": [], "plain": ORDINARY_CONTAINER}

# Runs in the lab's network, as its administrator: the workshop's steps 1 and 3 to 6, for the first client alone.
PREPARE = """
import json, os, ssl, time
import boto3, pymysql

lab = json.load(open(os.environ["LAB_STATE"] + "/lab.json"))
orders, client = lab["databases"][0], lab["clients"][0]
rds, iam, ec2 = boto3.client("rds"), boto3.client("iam"), boto3.client("ec2")
rds.modify_db_instance(DBInstanceIdentifier="orders", EnableIAMDatabaseAuthentication=True, ApplyImmediately=True)
trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
connect = {
    "Effect": "Allow",
    "Action": "rds-db:connect",
    "Resource": f"arn:aws:rds-db:{lab['region']}:{lab['account_id']}:dbuser:{orders['resource_id']}/app",
}
document = lambda statement: json.dumps({"Version": "2012-10-17", "Statement": [statement]})
iam.create_role(RoleName="test", AssumeRolePolicyDocument=document(trust))
iam.put_role_policy(RoleName="test", PolicyName="connect", PolicyDocument=document(connect))
iam.create_instance_profile(InstanceProfileName="test")
iam.add_role_to_instance_profile(InstanceProfileName="test", RoleName="test")
ec2.associate_iam_instance_profile(IamInstanceProfile={"Name": "test"}, InstanceId=client["instance_id"])
with pymysql.connect(
    host=orders["endpoint"], user=orders["master_username"], password=orders["master_password"],
    ssl=ssl.create_default_context(cafile=lab["ca_file"]), autocommit=True,
) as connection, connection.cursor() as cursor:
    for user in ("app", "report"):
        cursor.execute(f"CREATE USER {user} IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL")
    cursor.execute("SHOW GRANTS")
    print(cursor.fetchall()[0][0])
enabled = attached = False
end = time.monotonic() + 60
while not (enabled and attached):
    assert time.monotonic() < end, "the flag of orders does not become true, or the profile is not associated"
    time.sleep(0.1)
    described = rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]
    enabled = described["IAMDatabaseAuthenticationEnabled"]
    [association] = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    attached = association["State"] == "associated"
"""

# Runs on a client: logs in as each user with the credentials of its instance profile, and as "app" without TLS.
LOGIN = """
import os, subprocess, sys, tempfile, urllib.request
import botocore.session
from botocore.signers import generate_db_auth_token

endpoint = sys.argv[1]
rds = botocore.session.get_session().create_client("rds", region_name="eu-west-1")
bundle = urllib.request.urlopen("https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem").read()
with tempfile.NamedTemporaryFile() as ca_file:
    ca_file.write(bundle)
    ca_file.flush()
    verified = [f"--ssl-ca={ca_file.name}", "--ssl-verify-server-cert"]
    for user, tls in (("app", verified), ("report", verified), ("app", ["--skip-ssl"])):
        token = generate_db_auth_token(rds, endpoint, 3306, user)
        done = subprocess.run(
            ["mariadb", "--no-defaults", "-h", endpoint, "-u", user, *tls, "-NBe", "SELECT CURRENT_USER()"],
            env={**os.environ, "MYSQL_PWD": token}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        print(done.stdout.strip())
"""

METADATA = """
import os, urllib.request
endpoint = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254/")
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def ask(path, method, **headers):
    request = urllib.request.Request(endpoint + path, method=method, headers=headers)
    return opener.open(request, timeout=3).read().decode()
token = ask("latest/api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
print(ask("latest/meta-data/instance-id", "GET", **{"X-aws-ec2-metadata-token": token}))
"""


def processes(state: Path) -> set[int]:
    """The processes of a lab, those that died but were not collected left out."""
    mark, found = f"\0LAB_STATE={state}\0".encode(), set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in b"\0" + (entry / "environ").read_bytes() + b"\0":
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def namespaces(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        for kind in ("mnt", "net", "pid", "uts", "ipc"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                continue
    return found


def machine() -> dict:
    """Return what a lab must leave as it was."""
    home = Path.home()
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": sorted(os.listdir("/sys/class/net")),
        "hosts": Path("/etc/hosts").read_text(),
        "etc": sorted(os.listdir("/etc")),
        "run": sorted(os.listdir("/run")),
        "ssh": sorted(path.name for path in home.glob(".ssh/*")),
        "known_hosts": [path.read_text() for path in home.glob(".ssh/known_hosts")],
        "ansible": sorted(path.name for path in home.glob(".ansible/cp/*")),
    }


def until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


class Lab:
    """A lab with a state directory of its own, driven by its command line alone."""

    def __init__(self, form: str) -> None:
        self.prefix = PREFIXES[form]
        self.form = form
        self.parent = Path(tempfile.mkdtemp(prefix="lab-"))
        self.parent.chmod(0o755)
        self.state = self.parent / "state"

    def command(self, *words, **options) -> subprocess.CompletedProcess:
        kept = {"stdin": subprocess.DEVNULL, "text": True, "capture_output": True, **options}
        return subprocess.run([*self.prefix, *map(str, words)], check=False, **kept)

    def lab(self, verb: str, *arguments, **options) -> subprocess.CompletedProcess:
        return self.command(LAB, verb, "--state", self.state, *arguments, **options)

    def up(self, *arguments) -> str:
        done = self.lab("up", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def down(self) -> None:
        done = self.lab("down")
        assert done.returncode == 0, done.stdout + done.stderr

    def exec(self, *words, **options) -> subprocess.CompletedProcess:
        return self.lab("exec", "--", *words, **options)

    def ssh(self, name: str, *words, **options) -> subprocess.CompletedProcess:
        client = next(item for item in self.info["clients"] if item["name"] == name)
        own = ["-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={self.state}/known_hosts"]
        address = ["-p", client["port"], "-i", client["key_file"], f"{client['user']}@{client['host']}"]
        return self.exec("ssh", *own, *address, *words, **options)

    @property
    def info(self) -> dict:
        return json.loads((self.state / "lab.json").read_text())

    @property
    def top(self) -> int:
        return int((self.state / "lab.pid").read_text().split()[0])


@pytest.fixture(scope="module", params=list(PREFIXES))
def lab(request):
    """A running lab. At the end of the module it is taken down, and the machine is compared with what it was before."""
    before = machine()
    lab = Lab(request.param)
    printed = lab.up()
    try:
        if f"in the {lab.form} form" not in printed:
            pytest.skip("This machine allows no namespaces or mounts.")
        yield lab
    finally:
        lab.down()
        shutil.rmtree(lab.parent)
    assert machine() == before


def test_describes_itself(lab):
    info = lab.info
    assert info["form"] == lab.form
    assert [item["identifier"] for item in info["databases"]] == ["orders", "billing"]
    assert [item["name"] for item in info["clients"]] == ["client1", "client2"]
    families = ["debian", "amazon"] if lab.form == "namespaces" else [None, None]
    assert [item["family"] for item in info["clients"]] == families
    assert all(item["resource_id"].startswith("db-") for item in info["databases"])
    assert all(item["instance_id"].startswith("i-") for item in info["clients"])
    inventory = json.loads(lab.exec("ansible-inventory", "--list").stdout)
    variables = inventory["_meta"]["hostvars"]
    assert variables["orders"]["db_users_login_password"] == info["databases"][0]["master_password"]
    assert "db_users_login_password" not in variables["billing"]


def test_secrets_are_for_their_owner_only(lab):
    secrets = [item["master_password"] for item in lab.info["databases"]] + [lab.info["admin"]["secret_access_key"]]
    for path in lab.state.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        if b"PRIVATE KEY" in content or any(secret.encode() in content for secret in secrets):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_up_keeps_a_lab_that_answers(lab):
    before = lab.info, lab.top
    assert "was up already" in lab.up()
    assert (lab.info, lab.top) == before


def test_exec_passes_on_directory_status_and_names(lab, tmp_path):
    endpoint = lab.info["databases"][0]["endpoint"]
    script = "import os, socket, sys; print(os.getcwd(), socket.gethostbyname(sys.argv[1])); sys.exit(7)"
    process = lab.exec(sys.executable, "-c", script, endpoint, cwd=tmp_path)
    assert process.returncode == 7
    assert process.stdout.split() == [str(tmp_path), *lab.info["databases"][0]["addresses"]]


def test_exec_puts_the_account_in_place_of_the_callers(lab):
    environment = {**os.environ, "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "mine"}
    script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    process = lab.exec(sys.executable, "-c", script, env=environment)
    assert process.stdout.strip() == f"arn:aws:iam::{lab.info['account_id']}:user/lab-admin", process.stderr


def test_a_client_has_its_own_metadata(lab):
    for client in lab.info["clients"]:
        process = lab.ssh(client["name"], "python3", "-", stdin=None, input=METADATA)
        assert process.stdout.strip() == client["instance_id"], process.stderr


def test_metadata_are_reached_from_clients_only(lab):
    if lab.form == "plain":
        pytest.skip("The plain form has one network for all.")
    assert lab.exec(sys.executable, "-", stdin=None, input=METADATA).returncode != 0
    assert lab.command(sys.executable, "-", stdin=None, input=METADATA).returncode != 0


def test_a_real_login_with_a_token(lab):
    prepared = lab.exec(sys.executable, "-c", PREPARE)
    assert prepared.returncode == 0, prepared.stderr
    assert "CREATE USER" in prepared.stdout and "SUPER" not in prepared.stdout
    python = sys.executable
    if lab.form == "namespaces":
        python = "python3"
        packages = ["mariadb-client", "python3-botocore"]
        process = lab.ssh("client1", "sudo", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qy", *packages)
        assert process.returncode == 0, process.stdout + process.stderr
    endpoint = lab.info["databases"][0]["endpoint"]
    process = lab.ssh("client1", python, "-", endpoint, stdin=None, input=LOGIN)
    assert process.returncode == 0, process.stderr
    allowed, denied, without_tls = process.stdout.splitlines()
    assert allowed == "app@%"
    assert denied.startswith("ERROR 1045 (28000): Access denied for user 'report'")
    assert without_tls.startswith("ERROR 1045 (28000): Access denied for user 'app'")


def test_no_token_and_no_password_is_in_a_log(lab):
    passwords = [item["master_password"] for item in lab.info["databases"]]
    logs = [*lab.state.glob("logs/*"), *lab.state.glob("databases/*/*.log"), *lab.state.glob("*.jsonl")]
    assert logs
    for log in logs:
        content = log.read_text(errors="replace")
        assert "X-Amz-Signature" not in content, log
        assert not any(password in content for password in passwords), log


def test_only_tls_of_the_labs_own_ca(lab):
    script = (
        "import ssl, sys, pymysql\n"
        "for trust in sys.argv[2:]:\n"
        "    context = ssl.create_default_context(cafile=trust)\n"
        "    try: pymysql.connect(host=sys.argv[1], user='admin', password='wrong', ssl=context)\n"
        "    except pymysql.Error as exc: print(exc)"
    )
    endpoint = lab.info["databases"][0]["endpoint"]
    own, web = lab.info["ca_file"], lab.state / "certificates" / "web-ca.pem"
    process = lab.exec(sys.executable, "-c", script, endpoint, own, web)
    trusted, foreign = process.stdout.splitlines()
    assert "Access denied" in trusted
    assert "CERTIFICATE_VERIFY_FAILED" in foreign


def test_each_family_is_its_own(lab):
    """Ansible takes them for what they say, and their own package manager installs from the lab's repository."""
    if lab.form == "plain":
        pytest.skip("In the plain form the clients share the machine.")
    facts = "filter=ansible_distribution,ansible_distribution_major_version,ansible_pkg_mgr"
    expected = {"client1": ("apt", "rsync", "dnf"), "client2": ("dnf", "mariadb105", "apt-get")}
    for name, (manager, package, other) in expected.items():
        seen = lab.exec("ansible", name, "-m", "ansible.builtin.setup", "-a", facts).stdout
        assert f'"ansible_pkg_mgr": "{manager}"' in seen
        assert ('"ansible_distribution": "Amazon"' in seen) == (manager == "dnf")
        install = ["ansible", name, "-b", "-m", "ansible.builtin.package", "-a", f"name={package}"]
        assert '"changed": true' in lab.exec(*install).stdout
        assert '"changed": false' in lab.exec(*install).stdout
        assert lab.ssh(name, "command", "-v", other).returncode != 0


@pytest.fixture
def cache(lab, tmp_path):
    """The file systems that the lab in the namespaces form was made of, in a cache of the test's own."""
    if lab.form == "plain":
        pytest.skip("The plain form needs no file systems.")
    shape = json.loads((lab.state / "shape.json").read_text())
    for base in shape["bases"].values():
        place = Path(base["root"]).parent
        subprocess.run(["cp", "-a", "--link", place, tmp_path / place.name], check=True)
    return tmp_path


def fails_to_start(cache: Path, *isolated) -> tuple[str, str]:
    """Return the message of a lab with this cache that cannot start."""
    lab = Lab("namespaces")
    lab.prefix = isolated
    done = lab.lab("up", "--family", "debian", env={**os.environ, "LAB_CACHE": str(cache)})
    shutil.rmtree(lab.parent)
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stdout, done.stderr


def test_a_damaged_file_system_is_noticed(cache):
    [place] = cache.glob("base-debian-*")
    shutil.rmtree(place / "root/usr/lib/python3")
    said, error = fails_to_start(cache, "unshare", "--net")
    assert "is damaged, so it is made again" in said
    assert "could not be made: " in error and "resolv" in error and str(cache) in error


def test_an_unfinished_file_system_is_not_used(cache):
    [place] = cache.glob("base-debian-*")
    place.rename(place.with_suffix(".new"))
    said, error = fails_to_start(cache, "unshare", "--net")
    assert "Making the file system of the debian clients" in said
    assert "could not be made: " in error
    assert not place.exists()


def test_two_labs_at_once_share_what_only_one_of_them_makes(cache):
    """The file systems are in the cache already, the server's plugin and its data directory are not."""
    labs = [Lab("namespaces"), Lab("namespaces")]
    shape = ("--family", "debian", "--databases", "1", "--clients", "1")
    try:
        with ThreadPoolExecutor() as pool:
            env = {**os.environ, "LAB_CACHE": str(cache)}
            done = list(pool.map(lambda lab: lab.lab("up", *shape, env=env), labs))
        assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
        assert not list(cache.glob("*.new"))
    finally:
        for lab in labs:
            lab.down()
            shutil.rmtree(lab.parent)


def test_a_full_disk_is_said(tmp_path):
    mount = f'mount -t tmpfs -o size=40m tmpfs {tmp_path} && exec "$@"'
    _said, error = fails_to_start(tmp_path, "unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh")
    assert f"needs 1024 MB in {tmp_path}, where " in error and " MB are free" in error


@pytest.mark.parametrize("form", list(PREFIXES))
def test_nothing_is_left_after_a_crash(form):
    before, lab = machine(), Lab(form)
    try:
        if f"in the {form} form" not in lab.up("--databases", "1", "--clients", "1"):
            pytest.skip("This machine allows no namespaces or mounts.")
        # Leaves an SSH connection open in the background.
        assert "pong" in lab.exec("ansible", "client1", "-m", "ping").stdout
        alive = processes(lab.state)
        held = namespaces(alive) - namespaces({os.getpid()})
        # Those that start later may get a namespace of their own under a number that was freed.
        running = {int(entry.name) for entry in Path("/proc").glob("[0-9]*")}
        os.kill(lab.top, signal.SIGKILL)
        until(lambda: not servers(lab.state))
        assert "No lab is running" in lab.exec("true").stderr
        lab.down()
        until(lambda: not processes(lab.state))
        assert not lab.state.exists()
        # The machine's init takes a moment to collect the dead, which keep their number until then.
        until(lambda: not held & namespaces(running))
        assert machine() == before
        lab.up("--databases", "1", "--clients", "1")
        # A half-dead lab is made again without a "down".
        os.kill(lab.top, signal.SIGKILL)
        assert "is up" in lab.up("--databases", "1", "--clients", "2")
        assert len(lab.info["clients"]) == 2
    finally:
        lab.down()
        shutil.rmtree(lab.parent)
    assert machine() == before


def servers(state: Path) -> set[int]:
    """The processes of a lab whose command names its state directory: not what `lab exec` left open."""
    found = set()
    for pid in processes(state):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if str(state).encode() in command and not command.startswith(b"ssh"):
            found.add(pid)
    return found


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_directory_of_somebody_else_is_left_alone(tmp_path, verb):
    (tmp_path / "mine").write_text("mine")
    process = subprocess.run([LAB, verb, "--state", tmp_path], text=True, capture_output=True, check=False)
    assert process.returncode == 1
    assert "is not the state directory of a lab" in process.stderr
    assert (tmp_path / "mine").read_text() == "mine"


def test_mysql_where_there_is_no_debian_mirror(tmp_path):
    """As on Ubuntu."""
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /etc/apt && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("This machine allows no mounts.")
    process = subprocess.run(
        [*hidden, LAB, "up", "--state", tmp_path / "state", "--engine", "mysql"],
        env={**os.environ, "LAB_CACHE": str(tmp_path / "cache")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.endswith("no apt source of this machine is a Debian mirror: use --engine mariadb.\n")
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "state").exists()
