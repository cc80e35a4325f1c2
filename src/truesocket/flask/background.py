"""Work beside the handlers: ``socketio.start_background_task`` and ``socketio.sleep``."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from truesocket.errors import UsageError

__all__ = ["sleep", "start"]

_log = logging.getLogger("truesocket")


def start(target: Any, args: tuple[object, ...], kwargs: dict[str, object]) -> threading.Thread:
    """Runs ``target`` in a thread of its own, which does not keep the program from ending; its failure is logged."""
    if not callable(target) or inspect.iscoroutinefunction(target):
        raise UsageError(
            f"start_background_task({target!r}): give a def function; an async def one is started from an async def"
            " handler with asyncio.create_task()"
        )
    name = getattr(target, "__name__", type(target).__name__)
    thread = threading.Thread(target=_logged, args=(target, args, kwargs), name=f"truesocket-task-{name}", daemon=True)
    thread.start()
    return thread


def sleep(seconds: float) -> Awaitable[None]:
    """Sleeps at once in a thread; on an event loop, when it is awaited."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        time.sleep(seconds)
        return _Slept()
    return asyncio.sleep(seconds)


class _Slept:
    """``await`` does no harm to what is over."""

    def __await__(self) -> Generator[object, None, None]:
        return
        yield


def _logged(target: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    try:
        target(*args, **kwargs)
    except Exception:
        _log.exception("the background task %s failed", getattr(target, "__qualname__", target))
