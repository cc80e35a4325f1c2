"""Has eventlet or gevent replaced the standard library's sockets and threads?  Then no server can run here.

An asyncio loop beside a green hub stalls, in a thread as in the main program.  So a server that starts says so once,
and names what to take away: the line that patches, the flag of ``python -m gevent.monkey``, or the worker of gunicorn.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from truesocket.errors import UsageError

__all__ = ["patched_by", "refuse_patched", "refuse_patched_worker"]

_GUNICORN_FLAG = re.compile(r"(?:^| )((?:-k|--worker-class)[= ]?\S*(?:gevent|eventlet)\S*)")
_PATCHING = re.compile(r"^(?!\s*#).*\b(?:patch_all|monkey_patch|patch_socket|patch_thread)\s*\(")
_GUNICORN_WORKERS = ("gunicorn.workers.ggevent", "gunicorn.workers.geventlet")
#: Files larger than this (bytes) are not searched for the line that patches.
_LARGEST = 1_000_000


def patched_by() -> str | None:
    """``"gevent"`` or ``"eventlet"`` where one of them has patched this process."""
    checks: dict[str, tuple[str, str, Sequence[str]]] = {
        "gevent": ("gevent.monkey", "is_module_patched", ("threading", "socket", "select")),
        "eventlet": ("eventlet.patcher", "is_monkey_patched", ("thread", "socket", "select")),
    }
    for name, (module, function, what) in checks.items():
        check: Callable[[str], Any] | None = getattr(sys.modules.get(module), function, None)
        if check is not None and any(check(each) for each in what):
            return name
    return None


def refuse_patched() -> None:
    """Raises :class:`~truesocket.errors.UsageError` in a patched process; the text says what to take away."""
    library = patched_by()
    if library is not None:
        raise UsageError(
            f"{library} has patched this process, and truesocket cannot run there: it has an event loop and threads of"
            f" its own. {_way_out(library)}"
        )


def refuse_patched_worker() -> None:
    """The same where the application is being loaded by a green worker of gunicorn, which is going to serve it."""
    if any(name in sys.modules for name in _GUNICORN_WORKERS):
        refuse_patched()


def _way_out(library: str) -> str:
    if any(name in sys.modules for name in _GUNICORN_WORKERS):
        flag = _GUNICORN_FLAG.search(" ".join(sys.argv))
        where = (
            f"`{flag[1]}` from gunicorn's command" if flag else f"worker_class = '{library}' from gunicorn's settings"
        )
        return f"Remove {where}, and write `-k gthread --threads 100` in its place."
    command = " ".join(getattr(sys, "orig_argv", sys.argv))
    if "-m gevent.monkey" in command:
        return "Remove `-m gevent.monkey` from the command."
    found = next(_patching_lines(list(sys.modules.values())), None)
    line = f"`{found[1]}` ({found[0]})" if found else f"the call that patches ({_call_of(library)})"
    return f"Remove {line}; nothing takes its place: handlers run in threads, and time.sleep() is fine in them."


def _call_of(library: str) -> str:
    return "gevent.monkey.patch_all()" if library == "gevent" else "eventlet.monkey_patch()"


def _patching_lines(modules: Iterable[ModuleType]) -> Iterator[tuple[str, str]]:
    """Lines of the application that patch: (``file:number``, the line); of the main module first."""
    main = sys.modules.get("__main__")
    for module in [main, *(module for module in modules if module is not main)]:
        path = getattr(module, "__file__", None)
        if not path or not path.endswith(".py") or not _is_applications(Path(path)):
            continue
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for number, line in enumerate(lines, 1):
            if _PATCHING.match(line):
                yield f"{path}:{number}", line.strip()


def _is_applications(path: Path) -> bool:
    """Whether a file is the application's own, and not a library's or the standard library's."""
    if {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(Path(__file__).parent.parent):
        return False
    try:
        return not path.is_relative_to(Path(re.__file__).parent.parent) and path.stat().st_size < _LARGEST
    except OSError:
        return False
