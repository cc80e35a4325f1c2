"""Who owns a thread: the whole list.  All else goes through `core/pool.py` and `bridge.py`."""

import re
from pathlib import Path

import truesocket

SOURCE = Path(truesocket.__file__).parent

# What makes a thread, and the files that may.
OWNERS = {
    r"threading\.Thread\(": {
        "bridge.py",  # the loop under hosts that have none
        "core/pool.py",  # the pools of handlers and pages
        "core/watchdog.py",  # looks whether the loop turns
        "flask/background.py",  # start_background_task
        "flask/reloader.py",  # the child waits for the end of its parent
    },
    r"\b(Thread|Process)PoolExecutor\b": set(),
    r"\brun_in_executor\(|\bto_thread\(": set(),
    r"\b_thread\.start_new|\bthreading\.Timer\(": set(),
    r"(?<!class )\bPool\(": {
        "core/runner.py",  # events; connect, disconnect and acks
        "flask/pages.py",
    },
    r"\bmultiprocessing\b": set(),
    r"\bsubprocess\.Popen\(": {"flask/reloader.py"},
}


def code_of(path: Path) -> str:
    """Without comments and docstrings."""
    text = re.sub(r'"""[\s\S]*?"""', "", path.read_text())
    return re.sub(r"#.*", "", text)


def test_owners_of_threads():
    found = {pattern: set() for pattern in OWNERS}
    for path in SOURCE.rglob("*.py"):
        code = code_of(path)
        for pattern in OWNERS:
            if re.search(pattern, code):
                found[pattern].add(path.relative_to(SOURCE).as_posix())
    assert found == OWNERS


def test_every_thread_is_a_daemon_with_a_name():
    for path in SOURCE.rglob("*.py"):
        for match in re.finditer(r"threading\.Thread\(([^()]|\([^()]*(\([^()]*\)[^()]*)*\))*\)", code_of(path)):
            assert "daemon=True" in match[0], f"{path.name}: exit would wait for {match[0]}"
            assert "name=" in match[0], f"{path.name}: nobody can tell what {match[0]} is"
