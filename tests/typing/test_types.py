"""The public API has types, all of it; and mypy and pyright understand them as we mean them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
FILES = sorted(str(path.relative_to(ROOT)) for path in HERE.glob("*.py") if not path.name.startswith("test_"))

# pyright looks for packages where Python does, but does not read the .pth file of an editable installation
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}

#: Symbols whose types are another package's to tell.
FOREIGN = {
    "truesocket.doors.http.Http": "uvicorn's own class is its base",
    "truesocket.doors.uvicorn.Server": "uvicorn's own class is its base",
    "truesocket.flask.running.run": "its argument holds such a server",
}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_mypy():
    done = run("mypy", "--strict", *FILES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright():
    done = run("pyright", "--pythonpath", sys.executable, "--warnings", *FILES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_everything_public_has_a_type():
    """`pyright --verifytypes`, symbol by symbol."""
    done = run(
        "pyright", "--pythonpath", sys.executable, "--verifytypes", "truesocket", "--ignoreexternal", "--outputjson"
    )
    report = json.loads(done.stdout)["typeCompleteness"]
    assert report["pyTypedPath"].endswith("truesocket/py.typed")
    assert len(report["symbols"]) > 1000
    untyped = [
        f"{symbol['name']}: {note['message'].splitlines()[0]}"
        for symbol in report["symbols"]
        for note in symbol["diagnostics"]
        if note["severity"] == "error" and symbol["name"] not in FOREIGN
    ]
    assert untyped == []
