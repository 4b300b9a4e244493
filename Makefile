# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

.PHONY: demo picture lab lab-down test lint unit sanity molecule integration build docs soak bench changelog lock setup clean
.NOTPARALLEL:
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# The lab needs root.
sudo := $(if $(filter-out 0,$(shell id -u)),sudo -n)
newest = @if [ -d .venv-newest ]; then set -x; $(1); else echo "No newer Python is here: skipped for it."; fi

demo: setup
	$(sudo) tests/tools/demo
# The picture in README.md, from what the demo prints.
picture: setup
	$(sudo) tests/tools/demo > .cache/demo.txt
	python tests/tools/picture.py < .cache/demo.txt > docs/demo.svg
lab: setup
	$(sudo) tests/lab/lab up
lab-down: setup
	$(sudo) tests/lab/lab down

# The last line is the summary of the integration tests.
test: lint unit sanity molecule integration

lint: setup
	ruff check -q
	ruff format -q --check || ruff format --diff
	mypy
	python tests/tools/figures.py
	git grep --untracked -lE '^#!.*(bash|/sh)$$' -- ':!*.md' | xargs shellcheck
	yamllint .
	reuse lint -q || reuse lint
	ansible-lint -q
	nox -s extra-checks
	antsibull-changelog lint
	antsibull-changelog generate --output .cache/CHANGELOG.md
	diff CHANGELOG.md .cache/CHANGELOG.md
	antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs all .
unit: setup
	tests/tools/ansible-test .venv units
	$(call newest,tests/tools/ansible-test .venv-newest units)
sanity: setup
	tests/tools/ansible-test .venv sanity
	$(call newest,tests/tools/ansible-test .venv-newest sanity)
molecule: setup
	$(sudo) tests/tools/molecule
integration: setup
	$(sudo) tests/tools/integration

# The archive for Galaxy and AWX.
build: setup
	rm -rf dist
	tests/tools/build dist
# The HTML pages.
docs: build
	tests/tools/docs dist/*.tar.gz dist/docs

# What make test does as a sample, in full: an hour and more.
soak: setup
	SOAK=1 pytest -q tests/integration/test_client_options.py
	$(sudo) env SOAK=1 tests/tools/fleet
	$(sudo) tests/lab/lab up --state .cache/lab-of-soak
	$(sudo) tests/lab/lab exec --state .cache/lab-of-soak -- env SOAK=1 pytest -q tests/integration/site/test_claims.py
	$(sudo) tests/lab/lab down --state .cache/lab-of-soak

# Not a part of the tests: a table of ratios, which a loaded machine blurs.
bench: setup
	$(sudo) tests/tools/bench

# Writes the version in galaxy.yml, with the fragments that no version has yet, to CHANGELOG.md.
changelog: setup
	antsibull-changelog release --refresh --update-existing
lock: setup
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements-dev.in -o requirements-dev.txt

setup:
	tests/tools/setup.sh
clean:
	[ ! -d .lab ] || $(sudo) tests/lab/lab down
	$(sudo) rm -rf .venv .venv-newest .cache .ansible .hypothesis .nox .pytest_cache .ruff_cache dist tests/output
