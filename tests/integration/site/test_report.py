# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The access map of fifty databases and twenty roles, with names that are made to break pages."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import boto3
import jsonschema
import pytest
from driver import actions, policy

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/access-map.schema.json").read_text())
DATABASES, ROLES = 50, 20
ENGINES = {"extra46": "oracle-ee", "extra47": "postgres"}  # of databases that the collection does not handle
USERS = ("jane", "kim", "lee")  # without anything to sign with, with an access key, with a console password
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
EVIL = "</td></script><script>document.title='evil'</script><img src=x onerror=document.title='evil'>'\"&{{ 7 * 7 }}"
EVIL_USER = "<b onclick=x>&'\"{{ 7 * 7 }}"  # as long as the name of an account may be


@pytest.fixture(scope="module")
def extras(lab):
    """Databases that nobody has accounts on, besides those of the site."""
    rds = lab.aws("rds")
    lab.good("site.yml")
    names = [f"extra{number}" for number in range(DATABASES - len(lab.databases))]
    for name in names:
        engine = ENGINES.get(name, "mysql")
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            Engine=engine,
            DBInstanceClass="db.t4g.micro",
            AllocatedStorage=20,
            MasterUsername="admin",
            MasterUserPassword="not used here",
            EnableIAMDatabaseAuthentication=engine != "oracle-ee",
        )
    yield names
    for name in names:
        rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    lab.good("teardown.yml")


@pytest.fixture(scope="module")
def teams(lab, extras):
    """Roles that may connect to some of them."""
    iam = lab.aws("iam")
    roles = [f"team{number}" for number in range(ROLES - len(iam.list_roles()["Roles"]))]
    for number, role in enumerate(roles):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
        resources = [f"{users_of(lab, name)}/app" for name in extras[number * 2 : number * 2 + 3]]
        document = {"Version": "2012-10-17", "Statement": [statement(resources)]}
        iam.put_role_policy(RoleName=role, PolicyName="connect", PolicyDocument=json.dumps(document))
    yield roles
    for role in roles:
        lab.delete_role(role)


@pytest.fixture(scope="module")
def estate(lab, teams):
    """A boundary, a user in a group, a database that is gone, and names of bad intent."""
    iam, ec2, here = lab.aws("iam"), lab.aws("ec2"), users_of(lab, "orders")
    evil = [statement([f"{here}/{EVIL_USER}", f"{here}/{EVIL}"], Sid=EVIL), statement([f"{here[:-3]}X/app"])]
    evil.append(statement(f"{here}/nobody"))
    document = json.dumps({"Version": "2012-10-17", "Statement": evil})
    iam.put_role_policy(RoleName=teams[0], PolicyName="evil", PolicyDocument=document)
    boundary = json.dumps({"Version": "2012-10-17", "Statement": [dict(statement("*"), Action="s3:*")]})
    boundary = iam.create_policy(PolicyName="limits", PolicyDocument=boundary)["Policy"]["Arn"]
    iam.put_role_permissions_boundary(RoleName=teams[1], PermissionsBoundary=boundary)
    document = json.dumps({"Version": "2012-10-17", "Statement": statement([f"{here}/report"])})
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="connect", PolicyDocument=document)
    for name in USERS:
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="readers", UserName=name)
    key = iam.create_access_key(UserName="kim")["AccessKey"]["AccessKeyId"]
    iam.create_login_profile(UserName="lee", Password="Passw0rd-of-lee")
    instance = lab.clients["client1"]["instance_id"]
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "Name", "Value": EVIL}])
    quoted = EVIL_USER.replace("'", "''")
    lab.sql("orders", f"CREATE USER '{quoted}'@'%' IDENTIFIED BY 'Passw0rd-of-theirs'")
    yield
    lab.sql("orders", f"DROP USER '{quoted}'@'%'")
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "Name", "Value": "client1"}])
    iam.delete_access_key(UserName="kim", AccessKeyId=key)
    iam.delete_login_profile(UserName="lee")
    for name in USERS:
        iam.remove_user_from_group(GroupName="readers", UserName=name)
        iam.delete_user(UserName=name)
    iam.delete_group_policy(GroupName="readers", PolicyName="connect")
    iam.delete_group(GroupName="readers")
    iam.delete_role_permissions_boundary(RoleName=teams[1])
    iam.delete_policy(PolicyArn=boundary)


@pytest.fixture(scope="module")
def faraway(lab, teams):
    """A role that only an instance of another Region has."""
    iam, ec2 = lab.aws("iam"), boto3.client("ec2", region_name="us-east-1")
    role = teams[2]
    iam.create_instance_profile(InstanceProfileName=role)
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    more = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    [instance] = ec2.run_instances(IamInstanceProfile={"Name": role}, **more)["Instances"]
    yield role
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def users_of(lab, identifier: str) -> str:
    """The ARN of a database's users, without their names."""
    [found] = lab.aws("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
    return f"arn:aws:rds-db:eu-west-1:123456789012:dbuser:{found['DbiResourceId']}"


def statement(resources, **more):
    return {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resources, **more}


@pytest.fixture(scope="module")
def report(lab, estate, faraway, tmp_path_factory):
    """The directory with both files."""
    place = tmp_path_factory.mktemp("report") / "out"
    with lab.calls() as calls:
        run = lab.good("report.yml", "-e", f"rds_iam_report_directory={place}")
    assert lab.changing(calls) == []
    assert f"Databases: {DATABASES}." in run.output
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in place.iterdir()} == {
        "access-map.html": "0o600",
        "access-map.json": "0o600",
    }
    return place


@pytest.fixture(scope="module")
def access(report):
    found = json.loads((report / "access-map.json").read_text())
    jsonschema.validate(found, SCHEMA)
    return found


def test_its_numbers_are_those_of_the_api(lab, access):
    iam, totals = lab.aws("iam"), access["totals"]
    instances = lab.aws("rds").describe_db_instances()["DBInstances"]
    assert totals["databases"] == len(instances) == DATABASES
    assert totals["databases_with_iam"] == sum(instance["IAMDatabaseAuthenticationEnabled"] for instance in instances)
    assert {database["name"] for database in access["databases"] if not database["takes_iam_logins"]} == {"extra46"}
    assert totals["iam_roles"] == len(iam.list_roles()["Roles"]) == ROLES
    assert totals["iam_users"] == len(iam.list_users()["Users"])
    assert totals["instances"] == len(lab.clients)
    assert totals["databases_collected"] == len(lab.databases)
    wanted = sum(len(users) for users in map(with_iam, map(lab.accounts, lab.databases)))
    assert totals["database_users_with_iam"] == wanted > 0
    authorities = {instance["DBInstanceIdentifier"]: instance["CACertificateIdentifier"] for instance in instances}
    assert {database["name"]: database["ca_certificate_identifier"] for database in access["databases"]} == authorities


def with_iam(accounts):
    return [account for account in accounts if account[2] == "AWSAuthenticationPlugin"]


def test_its_logins_are_those_that_work(lab, access):
    """As site.yml has proven, app gets in with the role of the hosts, and report does not; IAM itself is asked, too."""
    grants = [grant for grant in access["grants"] if grant["principal"].endswith("role/rds-iam-lab")]
    of_hosts = {(grant["database"], grant["user"]): grant["state"] for grant in grants}
    assert of_hosts == {(name, "app"): "open" for name in lab.databases}
    iam, by_role = lab.aws("iam"), {}
    for grant in access["grants"]:
        by_role.setdefault(grant["principal"], []).append(grant)
    prefixes = {database["name"]: database["resource_id"] for database in access["databases"]}
    for arn, grants in by_role.items():
        if ":role/" not in arn:
            continue
        start = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:"
        arns = [f"{start}{prefixes[grant['database']]}/{grant['user']}" for grant in grants]
        said = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["rds-db:connect"], ResourceArns=arns)
        allowed = [result["EvalDecision"] == "allowed" for result in said["EvaluationResults"]]
        checks = [check for grant in grants for check in grant["checks"] if check["name"] == "permission"]
        assert allowed == [check["status"] == "passed" for check in checks], arn
    assert len(by_role) == ROLES + 1 + len(USERS), "and the operator, who may do everything"


def test_what_a_group_gives_and_a_boundary_takes(access):
    of_kim = [grant for grant in access["grants"] if grant["principal"].endswith("user/kim")]
    assert [(one["database"], one["user"], one["state"]) for one in of_kim] == [("orders", "report", "open")]
    [kim] = [principal for principal in access["principals"] if principal["name"] == "kim"]
    assert kim["policies"] == ["connect of the group readers"]
    limited = [grant for grant in access["grants"] if grant["principal"].endswith("role/team1")]
    permissions = {
        (check["status"], check["message"].split(" of ")[0]) for one in limited for check in one["checks"][2:3]
    }
    assert permissions == {("failed", "the permissions boundary limits")}


def test_users_without_anything_to_sign_with_are_told_apart(access):
    """Neither is a user without keys called open, nor one closed who can have credentials from the console."""
    users = {
        principal["name"]: (principal["active_keys"], principal["console_password"])
        for principal in access["principals"]
    }
    assert [users[name] for name in USERS] == [(0, False), (1, None), (0, True)]
    states = {
        grant["principal"].rpartition("/")[2]: grant["state"]
        for grant in access["grants"]
        if "user/" in grant["principal"]
    }
    assert [states[name] for name in USERS] == ["closed", "open", "unknown"]


def test_an_instance_in_another_region_may_have_the_role(access, faraway):
    """IAM knows no Regions, and the map looks at the instances of one."""
    grants = [grant for grant in access["grants"] if grant["principal"].endswith(f"role/{faraway}")]
    checks = [check for grant in grants for check in grant["checks"] if check["name"] == "credentials"]
    credentials = {(check["status"], check["message"]) for check in checks}
    text = f"no EC2 instance in eu-west-1 has the IAM role {faraway}; other Regions were not looked at"
    assert [(status, words.startswith(text)) for status, words in credentials] == [("unknown", True)]
    assert {grant["state"] for grant in grants} == {"unknown"}


def test_engines_that_rds_db_connect_is_not_for_have_no_logins(access):
    of_oracle = [grant for grant in access["grants"] if grant["database"] == "extra46"]
    of_postgresql = {grant["state"] for grant in access["grants"] if grant["database"] == "extra47"}
    assert (of_oracle, of_postgresql) == ([], {"unknown"})
    assert "extra46" not in {finding["subject"] for finding in access["findings"]}


def test_it_says_what_it_could_not_see(lab, access):
    assert [one for one in access["not_collected"] if "extra0, " in one and "the inventory does not have" in one]
    assert [limit for limit in access["limits"] if "root user" in limit]
    not_collected = {
        database["name"]
        for database in access["databases"]
        if database["users"] is None and database["not_collected_reason"]
    }
    assert not_collected == {database["name"] for database in access["databases"]} - set(lab.databases)


def test_what_is_wrong_is_marked(access):
    found = {(finding["kind"], finding["subject"]) for finding in access["findings"]}
    assert {
        ("overly_permissive", "lab-admin"),
        ("dangling", "team0"),
        ("no_database_user", "team0"),
        ("password", "orders"),
    } <= found


class Page(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.elements = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))


def test_the_page_refers_to_nothing_outside(report):
    text = (report / "access-map.html").read_text()
    for tag, attributes in Page(text).elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "a"), tag
        assert not {"src", "href", "action", "srcset", "style"} & attributes.keys(), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|https?:", text)


def browser(page: Path, place: Path) -> str:
    """The page as it stands in a browser once its scripts have run."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("There is no Chromium here.")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place}", "--dump-dom"]
    process = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=120)
    return process.stdout


def rows(text: str) -> list[bool]:
    """For each row of a table whether it is hidden."""
    return ["hidden" in attributes for tag, attributes in Page(text).elements if tag == "tr" and attributes]


def test_it_opens_in_a_browser(report, access, tmp_path):
    text = browser(report / "access-map.html", tmp_path)
    assert "<title>Access map of 123456789012 in eu-west-1</title>" in text
    assert [tag for tag, _attributes in Page(text).elements].count("script") == 1
    assert "49" not in re.findall(r"b onclick=x&gt;[^<]{0,30}", text)[0], "no name is taken for a template"
    assert "{{ 7 * 7 }}" in text
    shown = len(access["grants"]) + len(access["databases"]) + len(access["findings"]) + 2 * len(access["principals"])
    assert rows(text) == [False] * shown
    assert all(limit in html.unescape(text) for limit in access["limits"])
    columns = text.count('<th scope="col">', text.index('id="map"'), text.index("</thead>", text.index('id="map"')))
    assert columns == DATABASES + 1
    assert "<form>" in text, "the filter is there once its script runs"


def test_its_filter_works(report, access, tmp_path):
    """A script that types in the page stands for a reader."""
    page = tmp_path / "typed.html"
    typing = """<script>search.value = "Team3 EXTRA6"; form.querySelector("[value=unknown]").click();</script>"""
    page.write_text((report / "access-map.html").read_text().replace("</body>", f"{typing}</body>"))
    text = browser(page, tmp_path / "profile")
    logins = text[text.index('id="logins"') : text.index('id="databases"')]
    assert rows(logins).count(False) == 0, "what is unknown is hidden"
    page.write_text(page.read_text().replace("=unknown]", "=open]"))
    text = browser(page, tmp_path / "profile")
    logins = text[text.index('id="logins"') : text.index('id="databases"')]
    assert rows(logins).count(False) == 1, "team3 to extra6"


def test_only_the_inventory(lab, estate, tmp_path):
    """In a directory that was there before, and whose mode stays."""
    tmp_path.chmod(0o755)
    lab.good("report.yml", "-e", f"rds_iam_report_directory={tmp_path}", "-e", "rds_iam_report_inventory_only=true")
    found = json.loads((tmp_path / "access-map.json").read_text())
    assert {database["name"] for database in found["databases"]} == set(lab.databases)
    assert oct(tmp_path.stat().st_mode & 0o777) == "0o755"


def test_without_an_inventory(lab, estate, tmp_path):
    empty = tmp_path / "empty.yml"
    empty.write_text("all: {}\n")
    lab.good("report.yml", "-i", str(empty), "-e", f"rds_iam_report_directory={tmp_path}")
    found = json.loads((tmp_path / "access-map.json").read_text())
    assert found["totals"]["databases"] == DATABASES
    assert found["totals"]["databases_collected"] == 0


def test_check_mode_writes_nothing(lab, estate, tmp_path):
    lab.good("report.yml", "--check", "-e", f"rds_iam_report_directory={tmp_path}/out")
    assert list(tmp_path.iterdir()) == []


def test_rights_that_are_missing_are_said(lab, estate, with_rights):
    """With those of docs/policies the map is complete; without one action it names that, and claims nothing unread."""

    def drawn(*without):
        rights = with_rights(*policy("report", *without)["Statement"])
        return lab.module("localhost", "dbops.rds_iam.rds_iam_access_map", {"inventory_only": False}, **rights)

    def seen(*without):
        run = drawn(*without)
        assert run.status == 0, run.output
        return json.loads(run.output.split("=>", 1)[1])["map"]

    # The master password is read by the playbook.
    ec2, iam, password, keys, clusters, instances = sorted({*actions("report")} - {"secretsmanager:GetSecretValue"})
    assert (ec2, iam) == ("ec2:DescribeInstances", "iam:GetAccountAuthorizationDetails")
    assert (password, keys) == ("iam:GetLoginProfile", "iam:ListAccessKeys")
    assert [one for one in seen()["not_collected"] if "not allowed" in one] == []
    for action in (clusters, instances):
        run = drawn(action)
        assert run.status != 0 and action in run.output and "Traceback" not in run.output, run.output
    without_iam = seen(iam)
    assert [one for one in without_iam["not_collected"] if iam in one]
    assert (without_iam["totals"]["iam_roles"], without_iam["grants"], without_iam["findings"]) == (None, [], [])
    for action, user in ((password, "lee"), (keys, "kim")):
        without = seen(action)
        assert [one for one in without["not_collected"] if action in one]
        checks = [grant["checks"][1] for grant in without["grants"] if grant["principal"].endswith(f"user/{user}")]
        assert [check["status"] for check in checks] == ["unknown"] and action in checks[0]["message"]
    without_ec2 = seen(ec2)
    assert [one for one in without_ec2["not_collected"] if ec2 in one]
    assert without_ec2["totals"]["instances"] is None
    hosts = [grant for grant in without_ec2["grants"] if grant["principal"].endswith("role/rds-iam-lab")]
    assert hosts and {host["checks"][1]["status"] for host in hosts} == {"unknown"}


def test_databases_that_cannot_be_asked_are_said(lab, estate, tmp_path):
    """Without a master password, and with a wrong one."""
    variables = {"db_users_login_password": "{{ {'orders': 'wrong-one', 'billing': ''}.get(inventory_hostname, '') }}"}
    lab.good("report.yml", "-e", json.dumps({**variables, "rds_iam_report_directory": str(tmp_path / "out")}))
    text = (tmp_path / "out/access-map.json").read_text()
    found = {database["name"]: database for database in json.loads(text)["databases"]}
    assert "refused the login of admin" in found["orders"]["not_collected_reason"]
    assert "wrong-one" not in text
    assert [one["name"] for one in found.values() if one["users"] is not None] == ["billing"]
