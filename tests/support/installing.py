"""A fresh virtual environment with truesocket installed in it, as a user has it; all else is borrowed from ours."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.servers import ROOT


def make_environment(folder: Path, *, editable: bool = False) -> Path:
    """Builds this source and installs it into a new environment in `folder`; returns the interpreter there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    others = ask(Path(sys.executable), "import sysconfig; print(sysconfig.get_path('purelib'))")
    # A line that is a path: what is there can be imported, and its own .pth files and entry points sleep.
    (site / "zz-others.pth").write_text(f"{others}\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    command += ["--no-build-isolation", "--ignore-installed", *(["--editable"] if editable else []), str(ROOT)]
    subprocess.run(command, check=True, timeout=100)
    return python


def ask(python: Path, code: str) -> str:
    """What a program prints."""
    return subprocess.check_output([python, "-c", code], text=True, timeout=60).strip()


def run_installed(python: Path, *arguments: str | Path, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a program there, in `folder`, with nothing of our own environment variables."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TRUESOCKET"))}
    return subprocess.run(
        [python, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**surroundings, **env},
        cwd=folder,
    )
