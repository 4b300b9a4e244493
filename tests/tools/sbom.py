# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""sbom.py ARCHIVE VERSION: prints what the collection depends on, in the versions of this environment, as CycloneDX."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
COLLECTIONS = Path(sysconfig.get_path("purelib")) / "ansible_collections"


def requirements(lines) -> list[str]:
    """The names of those that apply to this environment, without the extras."""
    found = [Requirement(line) for line in lines]
    return [one.name for one in found if not one.marker or one.marker.evaluate({"extra": ""})]


def direct() -> list[str]:
    """The Python packages that the collection needs on the controller."""
    lines = (ROOT / "meta" / "requirements.txt").read_text().splitlines()
    return ["ansible-core", *requirements(line for line in lines if line and not line.startswith("#"))]


def packages() -> dict[str, list[str]]:
    """These and what they need, each with what it needs itself."""
    waiting, found = direct(), {}
    while waiting:
        package = distribution(waiting.pop())
        if package.name not in found:
            found[package.name] = requirements(package.requires or [])
            waiting += found[package.name]
    return found


def purl(name: str) -> str:
    package = distribution(name)
    return f"pkg:pypi/{re.sub(r'[-_.]+', '-', package.name).lower()}@{package.version}"


def component(name: str) -> dict:
    package = distribution(name)
    named = {"name": package.name, "version": package.version}
    return {"type": "library", "bom-ref": purl(name), **named, "purl": purl(name)}


def collections() -> list[dict]:
    names = yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]
    found = []
    for name in names:
        manifest = json.loads((COLLECTIONS.joinpath(*name.split(".")) / "MANIFEST.json").read_text())
        version = manifest["collection_info"]["version"]
        found.append({"type": "library", "bom-ref": f"{name}@{version}", "name": name, "version": version})
    return found


def main() -> None:
    archive, version = sys.argv[1:]
    checksum = hashlib.sha256(Path(archive).read_bytes()).hexdigest()
    itself = {
        "type": "library",
        "bom-ref": f"dbops.rds_iam@{version}",
        "name": "dbops.rds_iam",
        "version": version,
        "licenses": [{"license": {"id": "GPL-3.0-or-later"}}],
        "hashes": [{"alg": "SHA-256", "content": checksum}],
    }
    found, others = packages(), collections()
    needed = {itself["bom-ref"]: [one["bom-ref"] for one in others] + [purl(name) for name in direct()]}
    needed |= {purl(name): sorted({purl(need) for need in needs}) for name, needs in found.items()}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": [*others, *(component(name) for name in sorted(found, key=str.lower))],
        "dependencies": [{"ref": ref, "dependsOn": needs} for ref, needs in needed.items()],
    }
    json.dump(bom, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
