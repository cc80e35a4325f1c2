"""Let atheris look for bytes that break a codec or a session.  `make fuzz SECONDS=60`

    python -m scripts.fuzz [--seconds 60] [--jobs 1] [TARGET ...]   each target for so long; all without a name
    python -m scripts.fuzz --input FILE TARGET                      once, with the bytes of a file

The targets stand in `tests/support/fuzzing.py`; their golden inputs are where the search begins.  What it has learnt is
kept in `test-results/fuzz` for the next time, and so are bytes that break something; the outcome is in
`test-results/fuzz.json`, for the page about robustness.  Only a ProtocolError may come out of a target, within a second
and with less than 1 GiB of memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from truesocket.errors import ProtocolError

if TYPE_CHECKING:
    from tests.support.fuzzing import Target

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "test-results"
FOLDER = RESULTS / "fuzz"
LONGEST = 4096  # bytes of an input
SLOWEST = 5  # seconds for one input, on a machine with other work
MEMORY = 1024  # MiB
_writing = threading.Lock()


def main() -> None:
    """Each target in a process of its own: atheris never comes back from one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="so many targets at a time")
    parser.add_argument("--input", type=Path, help="a file with the bytes of one try")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    args = parser.parse_args()
    known = load(instrumented=args.inside)
    wrong = [name for name in args.targets if name not in known]
    if wrong:
        parser.error(f"no target {wrong[0]!r}; there are: {', '.join(known)}")
    names = args.targets or list(known)
    if args.input is not None:
        attempt(known[names[0]], args.input.read_bytes())
    elif args.inside:
        fuzz(names[0], known[names[0]], args.seconds)
    else:
        with ThreadPoolExecutor(args.jobs) as pool:
            held = list(pool.map(lambda name: search(name, known[name], args.seconds), names))
        broken = [name for name, good in zip(names, held, strict=True) if not good]
        if broken:
            sys.exit(f"broken: {', '.join(broken)}")


def load(*, instrumented: bool) -> dict[str, Target]:
    """The targets; `instrumented` so that atheris sees which lines an input reaches."""
    if not instrumented:
        from tests.support.fuzzing import TARGETS

        return TARGETS
    import atheris

    with atheris.instrument_imports(include=["truesocket"]):
        from tests.support.fuzzing import TARGETS as WATCHED
    return WATCHED


def attempt(target: Target, data: bytes) -> None:
    """One try."""
    try:
        target.function(data)
    except ProtocolError:
        pass


def fuzz(name: str, target: Target, seconds: int) -> None:
    """In the process of one target."""
    import atheris

    folder = folder_of(name)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={folder}/broken-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([name, *options, str(folder / "learnt"), str(folder / "golden")], lambda data: attempt(target, data))
    atheris.Fuzz()


def folder_of(name: str) -> Path:
    """Where a target keeps its things."""
    return FOLDER / re.sub(r"\W+", "-", name)


def search(name: str, target: Target, seconds: int) -> bool:
    """Fuzzes one target and says what came out; whether it held."""
    folder = folder_of(name)
    for sub in ("learnt", "golden"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.golden()):
        (folder / "golden" / f"{number:02}").write_bytes(data)
    command = [sys.executable, "-m", "scripts.fuzz", "--inside", "--seconds", str(seconds), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    held = done.returncode == 0
    note(
        name,
        {
            "held": held,
            "seconds": seconds,
            "tries": int(stats.get("number_of_executed_units", 0)),
            "slowest_seconds": int(stats.get("slowest_unit_time_sec", 0)),
            "memory_mb": int(stats.get("peak_rss_mb", 0)),
            "python": platform.python_version(),
        },
    )
    tries = int(stats.get("number_of_executed_units", 0))
    print(f"{'held  ' if held else 'BROKEN'} {name}: {tries:,} tries in {seconds} s", flush=True)
    if not held:
        print(f"{done.stdout}{done.stderr}\nthe bytes are in {folder}", flush=True)
    return held


def note(name: str, outcome: dict[str, object]) -> None:
    """Adds to the outcomes that are known."""
    path = RESULTS / "fuzz.json"
    with _writing:
        known: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
        known[name] = outcome
        path.write_text(json.dumps(known, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
