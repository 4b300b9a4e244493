# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role db_client on hosts that have packages of others, with the conflicts that those of real vendors declare.

All packages of the host are listed before and after: none is gone, and none has another version.
"""

from __future__ import annotations

import json

import pytest
from driver import ROOT, good
from foreign_packages import HOSTS

# As the packages of vendors for Debian and Ubuntu have it.
SERVER = {"Conflicts": "virtual-mysql-server", "Provides": "virtual-mysql-server"}
CLIENT = {"Conflicts": "virtual-mysql-client", "Provides": "virtual-mysql-client"}
LIBRARIES = ["python3-pymysql", "python3-botocore"]


@pytest.fixture(scope="module")
def role(lab, tmp_path_factory):
    """Run the role on a client with these variables."""
    file = tmp_path_factory.mktemp("play") / "play.yml"

    def run(client, *arguments, **variables):
        play = {"hosts": client, "become": True, "gather_facts": False, "roles": ["dbops.rds_iam.db_client"]}
        file.write_text(json.dumps([{**play, "vars": variables}]))
        return lab.playbook(str(file), *arguments)

    return run


@pytest.fixture(scope="module")
def bare(lab, role):
    """A host of a family without clients and libraries. At the end all hosts have them again."""
    if lab.info["form"] == "plain":
        pytest.skip("In the plain form the clients share the machine, whose packages are left alone.")
    hosts = {family: kind(lab, name) for family, (kind, name) in HOSTS.items()}

    def bare(family):
        hosts[family].restore()
        return hosts[family]

    yield bare
    for host in hosts.values():
        host.restore()
        good(role(host.name))


@pytest.fixture
def adds(role):
    """Run the role, in check mode and in earnest; return the names of the new packages."""

    def adds(host, **variables):
        before = host.packages()
        planned = good(role(host.name, "--check", **variables))
        assert host.packages() == before
        assert good(role(host.name, **variables)) == planned
        after = host.packages()
        assert {name: after.get(name) for name in before} == before
        assert good(role(host.name, **variables)) == 0
        return set(after) - set(before)

    return adds


@pytest.fixture
def refuses(role):
    """Run the role, in check mode and in earnest, which must install nothing; return its sentence."""

    def refuses(host, **variables):
        before, sentences = host.packages(), []
        for arguments in (["--check"], []):
            run = role(host.name, *arguments, **variables)
            assert run.status != 0, run.output
            sentences.append(run.failures[0])
            assert host.packages() == before
        assert sentences[0] == sentences[1]
        assert "\n" not in sentences[0] and sentences[0].endswith(".")
        assert f" on {host.name}" in sentences[0] and "db_client_" in sentences[0]
        return sentences[0]

    return refuses


def test_a_server_of_another_vendor_is_not_removed_by_apt(bare, refuses):
    host = bare("debian")
    host.have("vendor-server", program="sbin/mysqld", Conflicts="virtual-mysql-client")
    for client in ("default-mysql-client", "mysql-client", "mariadb-client"):
        said = refuses(host, db_client_packages=[client])
        assert f"Installing {client}, {', '.join(LIBRARIES)} on client1 would remove vendor-server, which" in said
        assert "nothing was installed; install the mysql or mariadb client that goes with the packages" in said


def test_a_client_of_another_vendor_is_used_with_apt(bare, adds):
    host = bare("debian")
    host.have("vendor-server", program="sbin/mysqld", **SERVER)
    host.have("vendor-client", program="bin/mysql", **CLIENT)
    new = adds(host)
    assert set(LIBRARIES) <= new and not any("mysql-client" in name or "mariadb" in name for name in new)
    assert adds(host, db_client_packages=["mariadb-client"]) == set()


@pytest.mark.parametrize("asked", ["mysql-client", "default-mysql-client"])
def test_a_server_of_the_distribution_stays(bare, adds, asked):
    """Its client is there, since it needs one itself."""
    host = bare("debian")
    host.root("DEBIAN_FRONTEND=noninteractive apt-get install -y mariadb-server")
    assert "mariadb-server" in host.packages()
    adds(host, db_client_packages=[asked])
    assert "ii" in host.packages()["mariadb-server"]


def test_a_name_that_means_removal_is_refused(bare, refuses):
    host = bare("debian")
    host.have("vendor-server", program="sbin/mysqld")
    assert "would remove vendor-server" in refuses(host, db_client_packages=["mysql-client", "vendor-server-"])


def test_a_package_on_hold_is_not_changed(bare, refuses):
    host = bare("debian")
    host.have("vendor-common", **CLIENT)
    host.root("apt-mark hold vendor-common")
    assert "vendor-common" in refuses(host)
    host.root("apt-mark unhold vendor-common")
    host.restore()
    host.have("vendor-common")
    host.offer("vendor-common", "2")
    host.offer("vendor-client", program="bin/mysql", Depends="vendor-common (>= 2)")
    host.root("apt-mark hold vendor-common")
    said = refuses(host, db_client_packages=["vendor-client"])
    assert "vendor-common" in said
    host.root("apt-mark unhold vendor-common")


def test_a_package_is_not_downgraded_by_apt(bare, refuses, adds):
    host = bare("debian")
    host.have("vendor-common", "2")
    host.offer("vendor-common", "1")
    host.offer("vendor-client", program="bin/mysql", Depends="vendor-common (= 1)")
    assert "vendor-common" in refuses(host, db_client_packages=["vendor-client"])
    adds(host, db_client_packages=["default-mysql-client", "vendor-common=1"])


@pytest.mark.parametrize("family", HOSTS)
def test_a_database_server_is_not_upgraded(bare, refuses, role, family):
    """It would be restarted. What else a new package needs in a newer version is brought up to date."""
    host = bare(family)
    for name in ("vendor-mysql-server", "vendor-common"):
        host.have(name)
        host.offer(name, "2")
        needs = {"Depends": f"{name} (>= 2)"} if family == "debian" else {"Requires": f"{name} >= 2"}
        host.offer(f"vendor-client-of-{name}", program="bin/mysql", **needs)
    said = refuses(host, db_client_packages=["vendor-client-of-vendor-mysql-server"])
    assert "would upgrade the database server vendor-mysql-server, which" in said
    assert good(role(host.name, db_client_packages=["vendor-client-of-vendor-common"])) == 1
    assert host.packages()["vendor-mysql-server"].startswith("1") and host.packages()["vendor-common"].startswith("2")


def test_what_apt_would_remove_by_itself_stays(bare, adds):
    host = bare("debian")
    host.have("vendor-library")
    host.root("apt-mark auto vendor-library; echo 'APT::Get::AutomaticRemove \"true\";' > /etc/apt/apt.conf.d/99vendor")
    assert "default-mysql-client" in adds(host)


def test_a_package_that_is_half_installed_is_not_finished(bare, refuses):
    """Its service may be one that nobody wants to start now."""
    host = bare("debian")
    host.root(f"dpkg --unpack {host.make('vendor-half', postinst='touch /root/made/started')}")
    assert "would finish (dpkg --configure -a) what is half installed, vendor-half, which" in refuses(host)
    assert host.root("ls /root/made | grep started || true") == ""


def test_libraries_that_conflict(bare, refuses, adds):
    host = bare("debian")
    host.have("vendor-python", Conflicts="python3-pymysql")
    said = refuses(host)
    assert "would remove vendor-python" in said and "set db_client_python_packages to []" in said
    new = adds(host, db_client_python_packages=[])
    assert "default-mysql-client" in new and "python3-pymysql" not in new
    host.root("/opt/dbops-rds-iam/bin/python3 -c 'import botocore, pymysql'")


# Older than those of the repository, in a directory that has just been changed.
OLD = "cd /var/lib/apt/lists; rm *Release; sed -i '{}' *Packages; touch -d 2020-01-01 *Packages"
LISTS = {
    "empty": "rm -rf /var/lib/apt/lists/*",
    "gone": "rm -rf /var/lib/apt/lists",
    "without the package": OLD.format("s/^Package: python3-pymysql$/Package: gone/"),
    "with a file that is gone": OLD.format("s#^Filename: ./python3-pymysql.*#Filename: ./gone#"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_package_lists_of_a_new_machine(bare, role, kind):
    """Changed a moment ago, so that they seem to be new. Check mode leaves them as they are."""
    host = bare("debian")
    host.root(f"{LISTS[kind]}; rm -f /var/cache/apt/*.bin")
    listed = "find /var/lib/apt/lists -type f 2> /dev/null | sort | xargs -r sha256sum"
    before = host.root(listed)
    assert good(role(host.name, "--check")) > 0
    assert host.root(listed) == before
    assert good(role(host.name)) > 0
    assert "python3-pymysql" in host.packages()


def test_a_package_that_does_not_exist(bare, refuses):
    for family, word in (("debian", "Unable to locate package no-such-client"), ("amazon", "no-such-client")):
        said = refuses(bare(family), db_client_packages=["no-such-client"])
        assert word in said and "could not be installed" in said


def test_another_server_is_left_alone(bare, adds, role):
    for family in HOSTS:
        host = bare(family)
        host.have("vendor-server", program="sbin/mysqld")
        host.have("vendor-client", program="bin/mysql")
        adds(host)
        assert adds(host, db_client_server=True) == set()
        said = role(host.name, db_client_server=True).output
        assert f"{host.name} has a database server, /usr/sbin/mysqld, that is not of the packages" in " ".join(
            said.split()
        )


def test_a_server_is_not_installed_over_a_conflict(bare, refuses):
    host = bare("debian")
    host.have("vendor-common", Conflicts="virtual-mysql-server")
    host.have("vendor-client", program="bin/mysql")
    said = refuses(host, db_client_server=True, db_client_packages=["mysql-client"])
    assert "vendor-common" in said and "leave out db_client_server" in said


def test_what_the_tests_need_takes_the_place_of_nothing(lab, bare):
    """On the machine of whoever runs them, for which a host stands in here."""
    host = bare("debian")
    host.have("vendor-server", program="sbin/mysqld", **SERVER)
    host.have("vendor-library")
    host.root("apt-mark auto vendor-library; echo 'APT::Get::AutomaticRemove \"true\";' > /etc/apt/apt.conf.d/99vendor")
    host.write(f"{host.made}/install-packages", (ROOT / "tests/tools/install-packages").read_text(), "755")
    before = host.packages()
    process = lab.ssh(host.name, f"sudo {host.made}/install-packages mariadb-server rsync")
    refusal = (
        "Installing mariadb-server rsync would remove vendor-server from this machine, so nothing was installed.\n"
    )
    assert process.returncode == 1 and process.stderr.endswith(refusal)
    assert host.packages() == before
    host.root(f"{host.made}/install-packages python3-pymysql")
    after = host.packages()
    assert "python3-pymysql" in after and {name: after.get(name) for name in before} == before


def test_a_package_is_not_replaced_by_dnf(bare, refuses):
    """Neither by one that conflicts, nor by one that obsoletes it, nor by one of these to make way for another."""
    host = bare("amazon")
    host.have("vendor-server", program="sbin/mysqld", Conflicts="mariadb105")
    assert "vendor-server" in refuses(host)
    host.offer("vendor-new", "2", Obsoletes="vendor-server < 2")
    assert "would remove vendor-server" in refuses(host)
    assert "would remove vendor-server" in refuses(host, db_client_packages=["vendor-new"])


def test_a_client_of_another_vendor_is_used_with_dnf(bare, adds):
    """As mariadb1011 of Amazon Linux 2023, where mariadb105 is asked for."""
    host = bare("amazon")
    host.have("mariadb1011", program="bin/mariadb", Conflicts="mariadb105")
    assert adds(host) == set()
    assert adds(host, db_client_packages=["mariadb105"]) == set()


def test_a_package_is_not_downgraded_by_dnf(bare, refuses):
    host = bare("amazon")
    host.have("vendor-common", "2")
    host.offer("vendor-common", "1")
    host.offer("vendor-client", program="bin/mysql", Requires="vendor-common = 1")
    assert "would downgrade vendor-common" in refuses(host, db_client_packages=["vendor-client"])


@pytest.mark.parametrize("family", HOSTS)
def test_a_host_that_has_all_of_it_needs_no_names(bare, adds, family):
    """A distribution that the role does not know, with a client of whoever."""
    host = bare(family)
    host.have("vendor-client", program="bin/mariadb")
    nothing = {"db_client_packages": [], "db_client_python_packages": []}
    assert not any("mysql" in name or "mariadb" in name for name in adds(host, **nothing))
    assert adds(host, **nothing) == set()
