# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""sbom.py ARCHIVE VERSION: prints what the collection depends on, in the versions of this environment, as CycloneDX."""

from __future__ import annotations

import hashlib
import json
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


def python_packages() -> dict[str, list[str]]:
    """What the collection needs on the controller, and what that needs, each with what it needs itself."""
    lines = (ROOT / "meta" / "requirements.txt").read_text().splitlines()
    waiting = ["ansible-core", *requirements(line for line in lines if line and not line.startswith("#"))]
    found = {}
    while waiting:
        package = distribution(waiting.pop())
        if package.name not in found:
            found[package.name] = requirements(package.requires or [])
            waiting += found[package.name]
    return found


def component(name: str) -> dict:
    package = distribution(name)
    normal = package.name.lower().replace("_", "-").replace(".", "-")
    purl = f"pkg:pypi/{normal}@{package.version}"
    return {"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl}


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
    packages = python_packages()
    components = {name: component(name) for name in sorted(packages, key=str.lower)}
    direct = [one["bom-ref"] for one in collections()]
    direct += [components[distribution(name).name]["bom-ref"] for name in ("ansible-core", "boto3", "botocore", "PyMySQL")]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": itself}}
    bom["components"] = [*collections(), *components.values()]
    bom["dependencies"] = [{"ref": itself["bom-ref"], "dependsOn": direct}] + [
        {
            "ref": components[name]["bom-ref"],
            "dependsOn": sorted({components[distribution(need).name]["bom-ref"] for need in needs}),
        }
        for name, needs in packages.items()
    ]
    json.dump(bom, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
