"""Check the files that pin versions: no registry host in a lock file, and the tested floors are the promised ones.

python -m scripts.check_locks
"""

import json
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENT = re.compile(r"^(?P<name>[a-z0-9-]+)(?:>=|==)(?P<version>[0-9.]+)(?P<marker>;.*)?$")


def main() -> None:
    """Print what is wrong and fail, or say nothing."""
    faults = [*lock_faults(ROOT / "tests/clients/package-lock.json"), *floor_faults()]
    if faults:
        sys.exit("\n".join(faults))


def lock_faults(lock: Path) -> list[str]:
    """Whoever installs uses a registry of their own: the lock names versions and hashes, no hosts."""
    packages = json.loads(lock.read_text())["packages"]
    where = lock.relative_to(ROOT)
    faults = [
        f"{where}: {name} has a `resolved` address; run npm with omit-lockfile-registry-resolved"
        for name, entry in packages.items()
        if "resolved" in entry
    ]
    faults += [
        f"{where}: {name} has no integrity hash"
        for name, entry in packages.items()
        if name and "integrity" not in entry
    ]
    return faults


def floor_faults() -> list[str]:
    """Each dependency of the package stands with its floor in the file of lowest versions, and nothing else does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = read([*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())])
    tested = read((ROOT / "requirements/lowest.txt").read_text().splitlines())
    return [
        f"requirements/lowest.txt: {name} is tested at {tested.get(name)}, pyproject.toml promises {promised.get(name)}"
        for name in sorted({*promised, *tested})
        if name not in promised or name not in tested or numbers(promised[name]) != numbers(tested[name])
    ]


def read(lines: list[str]) -> dict[str, str]:
    """Name -> version of requirement lines; the first line of a name counts."""
    found: dict[str, str] = {}
    for line in lines:
        if match := REQUIREMENT.match(line.strip()):
            found.setdefault(match["name"], match["version"])
    return found


def numbers(version: str) -> list[int]:
    """`3.10` and `3.10.0` are the same version."""
    parts = [int(part) for part in version.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return parts


if __name__ == "__main__":
    main()
