# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The claims of a run, for each playbook and option: as many logins as the databases have decided about, and no more.

What the databases decided is in the log of the lab's verifier, which knows nothing of the playbooks.
"""

from __future__ import annotations

import os
import re

import pytest

STEPS = [f"step{number}" for number in range(1, 10)]
# For the playbooks that are not about steps; with SOAK in the environment all of them.
SOME_STEPS = STEPS if "SOAK" in os.environ else ["step1", "step3", "step9"]
SENTENCE = re.compile(r'"msg": "([^"]*\b(\d+) of (\d+) logins were tried[^"]*)"')
TOTAL = 6  # two clients to two databases as app, and one denied login of their role to each database
# A part that is quick, with one client and one database.
PART = ("--limit", "client1,orders")


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")
    yield
    lab.good("teardown.yml")


@pytest.fixture
def claim(lab):
    """Run a playbook; return its status, and the sentence on its logins. Each login that it counts was decided once."""

    def claim(playbook, *options) -> tuple[int, str]:
        with lab.decisions() as decisions:
            run = lab.playbook(playbook, *options, ANSIBLE_PIPELINING="true")
        found = SENTENCE.findall(run.output)
        assert len({sentence for sentence, _tried, _total in found}) == 1, run.output
        sentence, tried, total = found[0]
        assert int(total) == TOTAL, sentence
        assert len(decisions) == int(tried), (sentence, decisions)
        logins = {(decision["database"], decision["user"], decision["principal"]) for decision in decisions}
        assert len(logins) == len(decisions), "a login was tried twice"
        # Who reads "all are proven" may rely on it.
        assert ("all are proven" in sentence) == (int(tried) == TOTAL), sentence
        return run.status, sentence

    return claim


NOBODY = "0 of 6 logins were tried: --limit {} leaves out all clients. Pass --limit {} to try the logins to "
LIMITS = {
    "orders": (1, 0, NOBODY.format("orders", "orders,rds_clients")),
    "rds_databases": (1, 0, NOBODY.format("rds_databases", "rds_databases,rds_clients")),
    "all:!rds_clients": (1, 0, NOBODY.format("all:!rds_clients", "orders,billing,rds_clients")),
    "rds_clients": (0, 6, "all are proven: 4 allowed, 2 denied."),
    "client2": (0, 4, "2 were not tried, since --limit leaves out client1."),
    "client2,orders": (0, 2, "4 were not tried, since --limit leaves out client1, billing."),
    "orders,rds_clients": (0, 3, "3 were not tried, since --limit leaves out billing."),
}


# Where both do the same, a part of it shows that for the doctor.
BOTH = [("site.yml", limit) for limit in LIMITS] + [
    ("doctor.yml", limit) for limit in ("orders", "rds_databases", "client2", "rds_clients")
]


@pytest.mark.parametrize(("playbook", "limit"), BOTH)
def test_limit(claim, playbook, limit):
    status, tried, words = LIMITS[limit]
    tags = ("--tags", "step9") if playbook == "site.yml" else ()
    found, sentence = claim(playbook, "--limit", limit, *tags)
    assert (found != 0) == bool(status), sentence
    assert sentence.startswith(f"{tried} of 6 logins were tried") and words in sentence


def test_limit_of_a_whole_site(claim):
    """Every step, and not the proof alone."""
    assert claim("site.yml", "--limit", "orders")[0] != 0
    assert claim("site.yml", *PART) == (
        0,
        "2 of 6 logins were tried, and all of these are proven: 1 allowed, 1 denied. 4 were not tried, since --limit"
        " leaves out billing, client2.",
    )


CHECK = [PART, *(("--limit", limit) for limit in ("orders", "rds_databases", "client1")), ("--tags", "step9")]


@pytest.mark.parametrize("options", CHECK, ids=" ".join)
def test_check_mode_of_the_site_logs_in_nowhere(claim, options):
    status, sentence = claim("site.yml", "--check", *options)
    assert (status, sentence) == (0, "0 of 6 logins were tried: check mode logs in nowhere.")


@pytest.mark.parametrize("step", [*STEPS, "proof"])
def test_each_tag_of_the_site_alone(claim, step):
    status, sentence = claim("site.yml", "--tags", step, *PART)
    assert status == 0, sentence
    if step in ("step9", "proof"):
        assert sentence.startswith("2 of 6 logins were tried, and all of these are proven: 1 allowed, 1 denied.")
    else:
        assert sentence == "0 of 6 logins were tried, since this run leaves step 9 out."


@pytest.mark.parametrize("tag", ["always", "never", "untagged", "of-nobody"])
def test_a_tag_of_no_step(claim, tag):
    status, sentence = claim("site.yml", "--tags", tag)
    assert (status, sentence) == (0, "0 of 6 logins were tried, since this run leaves step 9 out.")


@pytest.mark.parametrize("step", STEPS)
def test_the_site_without_each_tag(claim, step):
    status, sentence = claim("site.yml", "--skip-tags", step, *PART)
    assert status == 0, sentence
    assert sentence.startswith(f"{0 if step == 'step9' else 2} of 6 logins were tried")


# Which tags are left out, and which of them has to be left in.
SKIPPED = {"always": "always", "always,step9": "always", f"always,{','.join(STEPS)}": "always", "tagged": "tagged"}


@pytest.mark.parametrize(
    ("playbook", "tags"),
    [
        *(("site.yml", tags) for tags in SKIPPED),
        ("doctor.yml", "tagged"),
        ("report.yml", "always"),
        ("teardown.yml", "always"),
    ],
)
def test_what_a_run_begins_and_ends_with_cannot_be_skipped(claim, playbook, tags):
    status, sentence = claim(playbook, "--skip-tags", tags)
    assert status != 0 and f"Take {SKIPPED[tags]} out of --skip-tags." in sentence


def test_what_a_run_begins_and_ends_with_cannot_be_skipped_with_tags(claim):
    status, sentence = claim("doctor.yml", "--tags", "step1", "--skip-tags", "always")
    assert status != 0 and "Take always out of --skip-tags." in sentence


# All its plays have the same tag.
DOCTOR = [
    ("--check", "--diff"),
    *((option, step) for option in ("--tags", "--skip-tags") for step in SOME_STEPS),
    ("--tags", "never"),
    ("--skip-tags", "all"),
]


@pytest.mark.parametrize("options", DOCTOR, ids=" ".join)
def test_the_doctor_always_logs_in(claim, options):
    status, sentence = claim("doctor.yml", *options, *PART)
    assert status == 0 and sentence.startswith("2 of 6 logins were tried, and all of these are proven")


REPORT = [
    (),
    ("--check",),
    *(("--limit", limit) for limit in ("orders", "rds_databases", "client1", "rds_clients")),
    *((option, step) for option in ("--tags", "--skip-tags") for step in SOME_STEPS),
]


@pytest.mark.parametrize("options", REPORT, ids=" ".join)
def test_the_report_logs_in_nowhere(claim, tmp_path, options):
    directory = ("-e", f"rds_iam_report_directory={tmp_path}/report")
    status, sentence = claim("report.yml", *directory, *options)
    assert status == 0 and "0 of 6 logins were tried: the report logs in nowhere" in sentence
    written = sorted(path.name for path in tmp_path.glob("report/*"))
    assert ("Written: " in sentence) == (written == ["access-map.html", "access-map.json"])
    assert ("Written: " in sentence) == ("--check" not in options)


TEARDOWN = [
    (),
    *(("--limit", limit) for limit in ("orders", "rds_databases", "client1", "rds_clients")),
    *((option, step) for option in ("--tags", "--skip-tags") for step in SOME_STEPS),
]


@pytest.mark.parametrize("options", TEARDOWN, ids=" ".join)
def test_the_teardown_logs_in_nowhere(claim, options):
    status, sentence = claim("teardown.yml", "--check", *options)
    assert (status, sentence) == (0, "0 of 6 logins were tried: the teardown logs in nowhere.")
