"""Starts one server on a core of its own, lets the load loose on it from another, and returns what came out."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestants import LOAD, SERVERS, Contestant, Unavailable, environment
from benchmarks.works import FIGURES, Work

__all__ = ["Sample", "busy_elsewhere", "cores", "measure", "raise_limits"]

#: Seconds that a server gets to listen, and that the load gets for its work.
_START, _WORK = 30.0, 120.0
#: Where the load's CPU comes so near to the time that passed, it may have been the limit.
_LOAD_LIMIT = 0.9


@dataclass
class Sample:
    """One measurement: what a contestant did in a round."""

    work: str
    contestant: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    #: Why there are no figures.
    error: str = ""
    #: Seconds that it took, with the start of the server.
    took: float = 0.0
    #: Whether the load generator had no time left: rates and times say nothing of the server then, its CPU does.
    limited: bool = False
    #: The machine's load average when it ended.
    load_average: float = 0.0
    printed: dict[str, Any] = field(default_factory=dict)


def cores() -> tuple[set[int], set[int]]:
    """The core of the server and that of the load; the same ones where there is only one."""
    have = sorted(os.sched_getaffinity(0))
    return {have[0]}, {have[-1]}


def busy_elsewhere(seconds: float = 1.0) -> float:
    """How many cores are busy while nothing is measured: other work that disturbs the figures."""
    before = _busy()
    time.sleep(seconds)
    return (_busy() - before) / seconds


def _busy() -> float:
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _wait, irq, soft = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def measure(work: Work, contestant: Contestant, number: int) -> Sample:
    """One measurement in round ``number``; a failure is a sample with an ``error``."""
    sample = Sample(work.name, contestant.name, number)
    clients = work.arguments["clients"]
    assert isinstance(clients, int)
    if clients > contestant.most_clients:
        sample.error = contestant.why_not_more
        return sample
    began = time.monotonic()
    try:
        contestant.setup()
        with _running(contestant) as (port, pid):
            sample.printed = _load(work, contestant, port, pid)
        sample.figures = {name: FIGURES[name].read(sample.printed) for name in work.figures}
        window = sample.printed.get("connect", sample.printed)
        sample.limited = window["load_cpu"] > _LOAD_LIMIT * window["seconds"]
    except Unavailable as error:
        sample.error = str(error)
    except (OSError, LookupError, ArithmeticError) as error:  # the others go on
        sample.error = f"{type(error).__name__}: {error}"
    sample.took = round(time.monotonic() - began, 1)
    sample.load_average = os.getloadavg()[0]
    return sample


@contextlib.contextmanager
def _running(contestant: Contestant) -> Iterator[tuple[int, int]]:
    """A listening server: its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryFile() as log:
        with _on(cores()[0]):
            process = subprocess.Popen(
                contestant.command(port),
                cwd=SERVERS,
                env=environment(contestant),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            _wait_for(port, process)
            yield port, process.pid
        except Unavailable as error:
            raise Unavailable(f"{error}{_last_line(log)}") from error
        finally:
            _end(process)


@contextlib.contextmanager
def _on(core: set[int]) -> Iterator[None]:
    """Processes that are started meanwhile get this core: they inherit it from the thread that starts them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_limits() -> None:
    """As many open files as we may have, for us and for all that we start."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (65536, hard):
        with contextlib.suppress(ValueError, OSError):  # only root may raise the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Unavailable("the server ended at once")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
            continue
        time.sleep(0.3)  # what it does behind its start is not our subject
        return
    raise Unavailable("the server did not listen in time")


def _last_line(log: Any) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return f" ({lines[-1][:200]})" if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and what it started, at once: they have a process group of their own, and nothing to save."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _load(work: Work, contestant: Contestant, port: int, pid: int) -> dict[str, Any]:
    words = {"pid": pid, "dialect": contestant.dialect, **work.arguments}
    own = [word.format(kind=work.arguments.get("kind", "100")) for word in contestant.arguments]
    command = [str(LOAD), str(port), work.mode, *(f"{name}={value}" for name, value in words.items()), *own]
    try:
        with _on(cores()[1]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_WORK, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not done within {_WORK:.0f} seconds") from None
    try:
        printed: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise Unavailable(f"the load generator ended with code {done.returncode}") from None
    if "error" in printed:
        raise Unavailable(str(printed["error"]))
    return printed
