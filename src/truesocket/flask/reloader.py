"""``debug=True``: the program is started again when one of its files changes.

The parent executes the program up to ``socketio.run()``, starts it anew in a child and watches the files; the server
in the child owns the main thread and ends as it always does.  A program that fails (a syntax error just typed) is
started again with the next change.  A parent that is killed takes its child along: the child holds one end of a pipe,
and hears when the other end is gone, however that came.
"""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import watchfiles

__all__ = ["BAD_START", "end_with_parent", "in_child", "run"]

_log = logging.getLogger("truesocket")

#: The exit code of a program that can never start as it is (a port in use): the parent ends, too.
BAD_START = 78
#: Seconds that the child has to end before it is killed, where nobody says how long its server may take.
_PATIENCE = 8.0
#: Seconds that it gets when a second signal says: now.
_HURRY = 2.0
#: Seconds between two looks at a child that is to end.
_LOOK = 0.05
#: Flask and its extensions ask for this name to find out whether they run in the child.
_VARIABLE = "WERKZEUG_RUN_MAIN"
#: Tells the child which file descriptor is its end of the pipe.
_PIPE = "TRUESOCKET_RELOADER_PIPE"
#: Milliseconds between two looks at the files, on systems that do not tell by themselves.
_INTERVAL = 300


def in_child() -> bool:
    """Whether this process is the one that serves."""
    return os.environ.get(_VARIABLE) == "true"


def end_with_parent(patience: float = _PATIENCE) -> None:
    """In the child: ends this process when the parent is gone, however that came; within ``patience`` seconds."""
    number = os.environ.pop(_PIPE, "")
    if not number:
        return
    pipe = int(number)
    os.set_inheritable(pipe, False)  # not for the program's own children

    def wait() -> None:
        os.read(pipe, 1)  # nothing ever comes: it returns when the parent's end is closed
        _log.warning("the reloader is gone, so this program ends, too")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(patience)
        os._exit(1)

    threading.Thread(target=wait, name="truesocket-reloader", daemon=True).start()


class _Signals:
    """Those that the parent has got: the first ends the child in order, one more ends it now."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.again = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._hear)

    def _hear(self, number: int, frame: object) -> None:
        (self.again if self.stop.is_set() else self.stop).set()


def run(extra_files: Iterable[str] = (), options: Mapping[str, Any] | None = None, patience: float = _PATIENCE) -> int:
    """Watches and restarts until a signal or the program's own end; returns the exit code.

    A child has ``patience`` seconds to end.

    ``options``: further ``extra_files``, ``exclude_patterns`` (as in a shell, against the whole path or the name), and
    the ``interval`` in seconds, for systems that do not tell of changes by themselves.
    """
    options = options or {}
    signals = _Signals()
    files = {str(Path(name).resolve()) for name in (*extra_files, *(options.get("extra_files") or ()))}
    roots = source_roots() | {str(Path(name).parent) for name in files}
    python = watchfiles.PythonFilter()
    excluded = tuple(options.get("exclude_patterns") or ())

    def wanted(change: watchfiles.Change, path: str) -> bool:
        if any(fnmatch.fnmatch(path, each) or fnmatch.fnmatch(Path(path).name, each) for each in excluded):
            return False
        return path in files or python(change, path)

    _log.info("reloader: watching %s", ", ".join(sorted(roots)))
    interval = options.get("interval")
    changes = watchfiles.watch(
        *roots,
        watch_filter=wanted,
        stop_event=signals.stop,
        rust_timeout=500,
        yield_on_timeout=True,
        raise_interrupt=False,
        poll_delay_ms=_INTERVAL if interval is None else max(1, round(float(interval) * 1000)),
    )
    return _watch(changes, signals, patience)


def _watch(changes: Iterable[set[tuple[watchfiles.Change, str]]], signals: _Signals, patience: float) -> int:
    """Starts the child, and again after every change; an empty set of changes is a look at the child."""
    pipe = _pipe()
    child: subprocess.Popen[bytes] | None = _start(pipe)
    for changed in changes:
        code = child.poll() if child is not None else None
        if code is not None:
            child = None
            if code in (0, BAD_START):
                return code
            _log.error("the program ended with exit code %d; change a file and it is started again", code)
        if changed and not signals.stop.is_set():
            names = sorted({os.path.relpath(path) for _, path in changed})
            _log.info("reloader: %s changed, starting again", ", ".join(names[:3]))
            _end(child, signals, patience)
            child = _start(pipe)
    _end(child, signals, patience)
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


def _start(pipe: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, _VARIABLE: "true"}
    if pipe is None:
        return subprocess.Popen(command, env=environment)
    return subprocess.Popen(command, env={**environment, _PIPE: str(pipe)}, pass_fds=[pipe])


def _pipe() -> int | None:
    """The end for the children; the other one stays open as long as this process lives, and nobody inherits it."""
    return None if os.name == "nt" else os.pipe()[0]  # Windows hands on no file descriptors by number


def _end(child: subprocess.Popen[bytes] | None, signals: _Signals, patience: float) -> None:
    if child is None or child.poll() is not None:
        return
    child.terminate()
    if not (_ends(child, patience, signals.again) or _hurries(child)):
        child.kill()
        child.wait()


def _hurries(child: subprocess.Popen[bytes]) -> bool:
    """The second SIGTERM ends a server at once; whether it did."""
    child.terminate()
    return _ends(child, _HURRY, None)


def _ends(child: subprocess.Popen[bytes], within: float, unless: threading.Event | None) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and not (unless is not None and unless.is_set()):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_LOOK)
            return True
    return child.poll() is not None
