#!/usr/bin/env bash
# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the checkout ready to run and test: the Debian packages of the lab, none of which takes the place of another one; .venv with
# the pinned tools, amazon.aws, and this checkout as dbops.rds_iam; .venv-newest, the same with the newest Python that is here besides.
# Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .cache

packages=(
  # what the lab is built with
  dpkg-dev faketime gcc git iproute2 libc6-dev libnss-wrapper mmdebstrap openssl python3-venv sudo util-linux
  # what its clients run
  openssh-server python3-botocore python3-pymysql
)
# A client of any vendor does.
command -v mariadb > /dev/null || command -v mysql > /dev/null || packages+=(mariadb-client)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

install_missing_packages() {
  local installed name missing=() sudo=() log=.cache/apt.log
  command -v dpkg-query > /dev/null || die "this is not Debian or Ubuntu; install what these packages hold by other means: ${packages[*]}"
  installed=$(dpkg-query -W -f ' ${Package}:${db:Status-Status} ' "${packages[@]}" 2> /dev/null || true)
  for name in "${packages[@]}"; do
    [[ $installed == *" $name:installed "* ]] || missing+=("$name")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo -n)
    "${sudo[@]}" true 2> /dev/null || die "these packages are missing, and only root can install them: ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  "${sudo[@]}" tests/tools/install-packages "${missing[@]}" > "$log" 2>&1 || {
    grep -q '^Installing .* would remove' "$log" && die "$(tail -n 1 "$log")"
    tail -n 5 "$log" >&2
    die "the packages could not be installed; all that apt-get said is in $log"
  }
}

# Prints "MINOR PATH" of a Python 3.11 or later that really runs (a pyenv shim may not), nothing for another. The path is the real one.
supported() {
  "$1" -c 'import sys; sys.version_info >= (3, 11) and print(sys.version_info[1], sys.executable)' 2> /dev/null || true
}

# The one for .venv: the distribution's own first, since builds of pyenv are slower.
main_python() {
  local python found
  for python in ${PYTHON:+"$PYTHON"} /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    found=$(supported "$python")
    [ -z "$found" ] || { printf '%s\n' "$found"; return; }
  done
  die "no Python 3.11 or later is here; install one, or name it in the variable PYTHON"
}

# The newest of those that ansible-core in requirements-dev.in supports.
newest_python() {
  local python
  for python in python3.12 python3.13 "$HOME"/.pyenv/versions/3.1[23].*/bin/python3; do
    supported "$python"
  done | sort -n | tail -n 1
}

# make_venv DIRECTORY PYTHON
make_venv() {
  local venv=$PWD/$1 python=$2 stamp site ansible wheel
  # A virtual environment holds its own path, so a copied one is not valid.
  stamp=$(printf '%s\n' "$venv" "$python" | cat - requirements-dev.txt tests/tools/setup.sh tests/tools/ansible-wheel | sha256sum)
  [ "$(cat "$venv/.stamp" 2> /dev/null)" != "$stamp" ] || return 0
  say "making $1 with $("$python" --version)"
  "$python" -m venv --clear "$venv"
  # uv, with which the rest is a matter of seconds.
  awk '/^[^ #]/ { on = /^uv==/ } on' requirements-dev.txt > .cache/uv.txt
  "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r .cache/uv.txt
  VIRTUAL_ENV=$venv "$venv/bin/uv" pip install -q --compile-bytecode --require-hashes -r requirements-dev.txt
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')

  # Of the wheel of ansible take only amazon.aws, and leave the other 200 MB.
  ansible=12.3.0
  "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && ansible=14.5.0
  wheel=$(tests/tools/ansible-wheel "$ansible")
  "$venv/bin/python" - "$wheel" "$site" << 'PY'
import sys
import zipfile

wheel, site = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(site, [name for name in archive.namelist() if name.startswith("ansible_collections/amazon/aws/")])
PY
  mkdir -p "$site/ansible_collections/dbops"
  ln -sfn "$PWD" "$site/ansible_collections/dbops/rds_iam"
  printf '%s\n' "$stamp" > "$venv/.stamp"
}

# The versions of PyMySQL that hosts have, for a test of the connection.
install_drivers() {
  local version checksum
  while read -r version checksum; do
    [ ! -d ".cache/pymysql/$version" ] || continue
    rm -rf .cache/pymysql.new
    VIRTUAL_ENV=$PWD/.venv .venv/bin/uv pip install -q --no-deps --require-hashes --target .cache/pymysql.new -r - \
      <<< "PyMySQL==$version --hash=sha256:$checksum"
    mkdir -p .cache/pymysql
    mv .cache/pymysql.new ".cache/pymysql/$version"
  done << LIST
1.0.2 41fc3a0c5013d5f039639442321185532e3e2c8924687abe6537de157d403641
1.1.0 8969ec6d763c856f7073c4c64662882675702efcb114b4bcbb955aea3a069fa7
1.2.0 62169ce6d5510f08e140c5e7990ee884a9764024e4a9a27b2cc11f1099322ae0
LIST
}

install_missing_packages
main=$(main_python)
newest=$(newest_python)
make_venv .venv "${main#* }"
if [ "${newest%% *}" -gt "${main%% *}" ] 2> /dev/null; then
  make_venv .venv-newest "${newest#* }"
else
  rm -rf .venv-newest
fi
install_drivers
# Where mypy looks for this checkout by the name that its files import it by.
mkdir -p .cache/types/ansible_collections/dbops
ln -sfn "$PWD" .cache/types/ansible_collections/dbops/rds_iam
