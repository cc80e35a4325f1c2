"""Make a virtual environment and install the package into it; `make` calls this, and so may a system without make.

    python scripts/setup_venv.py .venv runtime      the package and its extra `flask`: enough for the demo
    python scripts/setup_venv.py .venv tools        ... and everything that tests and checks need
    python scripts/setup_venv.py .venv lowest       all of it, on the lowest versions that the package allows

Standard library only: nothing is installed yet when this runs.
"""

import sys

NEEDED = (3, 11)

if sys.version_info < NEEDED:  # above everything that an old Python has not
    sys.exit(
        "truesocket needs Python 3.11 or newer, and this is %d.%d (%s).\n"  # noqa: UP031
        "Install one and name it: make setup PYTHON=python3.12"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

import importlib.util
import os
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_WITH_GROUPS = "pip>=25.1"


def main(arguments: list[str]) -> None:
    """Do what the two arguments say: the folder of the environment, and how much goes into it."""
    if len(arguments) != 2 or arguments[1] not in ("runtime", "tools", "lowest"):
        sys.exit(__doc__)
    folder, extent = arguments
    python = make_venv(ROOT / folder)
    constraints = ["--constraint", "requirements/lowest.txt"] if extent == "lowest" else []
    if extent != "tools":
        say(f"installing truesocket into {folder}")
        pip(python, "install", "--editable", ".[flask]", *constraints)
    if extent != "runtime":
        say(f"installing the tools for tests and checks into {folder}")
        pip(python, "install", "--upgrade", PIP_WITH_GROUPS)
        pip(python, "install", "--group", "test" if extent == "lowest" else "dev", *constraints)


def make_venv(folder: Path) -> Path:
    """Make the environment unless it works already; return its interpreter."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and works(python):
        return python
    if importlib.util.find_spec("ensurepip") is None:
        install_ensurepip()
    say(f"making {folder.name} with Python {sys.version_info[0]}.{sys.version_info[1]}")
    venv.create(folder, with_pip=True, clear=True)
    return python


def works(python: Path) -> bool:
    """Tell whether an existing environment can be kept: a new enough Python that has pip."""
    check = f"import pip, sys; sys.exit(sys.version_info < {NEEDED})"
    return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0


def install_ensurepip() -> None:
    """Debian splits venv from Python: fetch that package where we may, else say what to install."""
    package = f"python3.{sys.version_info[1]}-venv"
    sys.path.insert(0, str(ROOT))
    from scripts.setup_tests import apt_install

    if not apt_install(package):
        sys.exit(f"This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install {package}")
    # what was just installed is seen by a new interpreter
    os.execv(sys.executable, [sys.executable, *sys.argv])


def pip(python: Path, *arguments: str) -> None:
    """Run the environment's pip, quietly; its own words are shown when it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(f"pip failed; run it by hand to see more: {' '.join(command)}")


def say(text: str) -> None:
    """Tell the user what takes so long."""
    print(f"setup: {text} ...", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
