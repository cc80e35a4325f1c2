"""``debug=True``: the program is started again when one of its files changes.

The parent executes the program up to ``socketio.run()``, starts it anew in a child and watches the files; the server
in the child owns the main thread and ends as it always does.  A program that fails (a syntax error just typed) is
started again with the next change.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterable
from pathlib import Path

import watchfiles

__all__ = ["BAD_START", "in_child", "run"]

_log = logging.getLogger("truesocket")

#: The exit code of a program that can never start as it is (a port in use): the parent ends, too.
BAD_START = 78
#: Seconds that the child has to end before it is killed.
_PATIENCE = 8
#: Flask and its extensions ask for this name to find out whether they run in the child.
_VARIABLE = "WERKZEUG_RUN_MAIN"


def in_child() -> bool:
    """Whether this process is the one that serves."""
    return os.environ.get(_VARIABLE) == "true"


def run(extra_files: Iterable[str] = ()) -> int:
    """Watches and restarts until a signal or the program's own end; returns the exit code."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    files = {str(Path(name).resolve()) for name in extra_files}
    roots = source_roots() | {str(Path(name).parent) for name in files}
    python = watchfiles.PythonFilter()

    def wanted(change: watchfiles.Change, path: str) -> bool:
        return path in files or python(change, path)

    _log.info("reloader: watching %s", ", ".join(sorted(roots)))
    child: subprocess.Popen[bytes] | None = _start()
    changes = watchfiles.watch(
        *roots, watch_filter=wanted, stop_event=stop, rust_timeout=500, yield_on_timeout=True, raise_interrupt=False
    )
    for changed in changes:
        code = child.poll() if child is not None else None
        if code is not None:
            child = None
            if code in (0, BAD_START):
                return code
            _log.error("the program ended with exit code %d; change a file and it is started again", code)
        if changed and not stop.is_set():
            names = sorted({os.path.relpath(path) for _, path in changed})
            _log.info("reloader: %s changed, starting again", ", ".join(names[:3]))
            _end(child)
            child = _start()
    _end(child)
    return 0


def source_roots() -> set[str]:
    """The folders of the program's own modules: not Python's library, not installed packages."""
    foreign = {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders: set[Path] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file:
            continue
        folder = Path(file).resolve().parent
        own = not any(str(folder).startswith(each) for each in foreign) and "site-packages" not in folder.parts
        if own and folder.is_dir():
            folders.add(folder)
    return {str(folder) for folder in folders if not folders.intersection(folder.parents)}


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, *sys.orig_argv[1:]]
    return subprocess.Popen(command, env={**os.environ, _VARIABLE: "true"})


def _end(child: subprocess.Popen[bytes] | None) -> None:
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
