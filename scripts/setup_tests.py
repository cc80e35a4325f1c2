"""Get what the tests need beside Python: Node.js with npm, the npm packages, and a Chromium.

    python -m scripts.setup_tests

It says nothing and takes a moment when all is there. What is missing is installed where we may (Debian, Ubuntu: as root
or with a password-free sudo; elsewhere Playwright brings its own Chromium), else one sentence says what to install.
Standard library only.
"""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.chromium import find_chromium

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "tests" / "clients"
OLDEST_NODE = 18


def main() -> None:
    """Bring everything up to date."""
    node_packages()
    chromium()


def node_packages() -> None:
    """Install the packages of `tests/clients/package-lock.json`, unless just these are there."""
    lock = CLIENTS / "package-lock.json"
    stamp = CLIENTS / "node_modules" / ".installed-from"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = find_npm()
    say("installing the npm packages of tests/clients")
    if subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=CLIENTS, check=False).returncode:
        sys.exit("npm failed; run it by hand to see more: cd tests/clients && npm ci")
    stamp.write_text(wanted)


def find_npm() -> str:
    """Return the path of npm beside a Node.js that is new enough; install both where we may."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        apt_install("nodejs", "npm")
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        sys.exit(
            f"The tests run the official JavaScript clients and need Node.js {OLDEST_NODE} or newer with npm.\n"
            "Debian and Ubuntu: apt-get install nodejs npm. macOS: brew install node. "
            "Windows: winget install OpenJS.NodeJS."
        )
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        sys.exit(f"The tests need Node.js {OLDEST_NODE} or newer; {node} is {version}.")
    return npm


def chromium() -> None:
    """Make sure that Playwright can drive a Chromium or Chrome: the system's, or one that Playwright brings."""
    stamp = Path(sys.prefix) / ".browser-works"
    if stamp.exists() and stamp.read_text() == state():
        return
    if not find_chromium() and not (apt_install("chromium") and find_chromium()):
        say("installing Chromium with Playwright")
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if not find_chromium():
        sys.exit(
            "The browser tests need Chromium or Chrome, and none was found.\n"
            "Debian: apt-get install chromium. Elsewhere: install Chrome, or set CHROMIUM to the program's path."
        )
    problem = trouble()
    if "libatomic" in problem and apt_install("libatomic1"):  # Playwright's driver needs it, a bare Debian has it not
        problem = trouble()
    if problem:
        sys.exit(f"Playwright cannot drive {find_chromium()}:\n{problem}")
    stamp.write_text(state())


def state() -> str:
    """What must be tried again when it changes."""
    return f"playwright {importlib.metadata.version('playwright')}, {find_chromium()}"


def trouble() -> str:
    """Start the browser once, as the tests do; return what went wrong, or nothing."""
    command = [sys.executable, "-m", "tests.support.chromium"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode else ""


def apt_install(*packages: str) -> bool:
    """Install Debian packages if this is a Debian where we may; tell whether that was done."""
    apt = shutil.which("apt-get")
    if apt is None:
        return False
    as_root = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and (
        shutil.which("sudo") is None
        or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode
    ):
        return False
    say(f"installing {' and '.join(packages)} with apt-get")
    command = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-qq", "-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([*command, "update"], capture_output=True, check=False)
    install = [*command, "install", "--yes", "--no-install-recommends", *packages]
    done = subprocess.run(install, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return done.returncode == 0


def say(text: str) -> None:
    """Tell the user what takes so long."""
    print(f"setup: {text} ...", flush=True)


if __name__ == "__main__":
    main()
