"""Run a server as its users do: a process of its own on a free port, ended with SIGTERM.

    with running("examples/naive_loop/app.py") as server:
        urllib.request.urlopen(server.url)

Its output goes to a file, and is shown when a test fails. Leaving the block sends SIGTERM and asserts that the process
and all its children ended in time, and that nothing was written that looks like an accident.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
TRACEBACK = "Traceback (most recent call last)"

Host = Literal["uvicorn", "uvicorn-fast", "hypercorn"]
WsgiHost = Literal["gunicorn-gthread", "gunicorn-sync", "werkzeug", "waitress"]

# What is up right now, so that a failing test can show what its servers said (tests/conftest.py).
alive: "list[Server]" = []


class Server:
    """A program that listens on `url`, in a process group of its own."""

    def __init__(self, command: list[str], port: int, env: Mapping[str, str], log: Path, cwd: Path = ROOT) -> None:
        self.command = command
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def name(self) -> str:
        """The command as one would type it, without the way to the interpreter."""
        return " ".join(["python", *self.command[1:]])

    @property
    def output(self) -> str:
        """Everything the process has written so far."""
        return self.log.read_text(errors="replace")

    def wait_until_listening(self, within: float) -> None:
        """Wait until the port accepts connections; raise if that takes longer, or if the process ends."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended at once, with {self.process.returncode}\n{self.output}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not listen on port {self.port} within {within} s\n{self.output}")

    def wait_for_output(self, text: str, within: float = 10) -> None:
        """Wait until the process has written `text`."""
        deadline = time.monotonic() + within
        while text not in self.output:
            assert time.monotonic() < deadline, f"{self.name} never wrote {text!r}\n{self.output}"
            time.sleep(0.05)

    def terminate(self, within: float) -> None:
        """Send SIGTERM and assert that the process and every child of it ended within so many seconds."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} was still running {within} s after SIGTERM\n{self.output}") from None
        while self._group_lives():
            spent = time.monotonic() - started
            assert spent < within, f"{self.name} ended, but left children behind\n{self.output}"
            time.sleep(0.05)
        clean = os.name == "nt" or code in {0, -signal.SIGTERM, 128 + signal.SIGTERM}  # Windows knows no polite end
        assert clean, f"{self.name} ended with {code}\n{self.output}"

    def kill(self) -> None:
        """End what is left of the process group, whatever it says."""
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()

    def _group_lives(self) -> bool:
        if not hasattr(os, "killpg"):
            return False
        try:
            os.killpg(self.process.pid, 0)
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running(
    program: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    starts_within: float = 30,
    stops_within: float = 10,
    tracebacks: bool = False,
    cwd: Path = ROOT,
    port: int | None = None,
) -> Iterator[Server]:
    """Run `python program arguments...`: a path ending in .py, or a module's name.

    `{port}` in an argument becomes `port`, or the free one that was chosen; the environment has it as PORT, the address
    as HOST.
    `tracebacks=True` says that the test makes the program write one on purpose.
    """
    port = port or free_port()
    command = [sys.executable, *([program] if program.endswith(".py") else ["-m", program])]
    command += [argument.replace("{port}", str(port)) for argument in arguments]
    surroundings = {**os.environ, "PYTHONUNBUFFERED": "1", "HOST": HOST, "PORT": str(port), **(env or {})}
    with tempfile.TemporaryDirectory(prefix="truesocket-") as folder:
        server = Server(command, port, surroundings, Path(folder) / "output.txt", cwd)
        alive.append(server)
        try:
            server.wait_until_listening(starts_within)
            yield server
            server.terminate(stops_within)
            assert tracebacks or TRACEBACK not in server.output, f"{server.name} wrote a traceback\n{server.output}"
        except BaseException as error:
            if server.output not in str(error):
                error.add_note(f"--- output of {server.name} ---\n{server.output}")
            raise
        finally:
            alive.remove(server)
            server.kill()


def running_asgi(
    application: str,
    server: Host = "uvicorn-fast",
    env: Mapping[str, str] | None = None,
    tracebacks: bool = False,
) -> contextlib.AbstractContextManager[Server]:
    """Run an ASGI application (`"module:name"`) on uvicorn, on uvicorn with our fast door, or on Hypercorn."""
    match server:
        case "uvicorn" | "uvicorn-fast":
            fast = ["--ws", "truesocket.doors.uvicorn:Door"] if server == "uvicorn-fast" else []
            arguments = [application, "--host", HOST, "--port", "{port}", *fast]
            return running("uvicorn", *arguments, env=env, tracebacks=tracebacks)
        case "hypercorn":
            return running("hypercorn", application, "--bind", HOST + ":{port}", env=env, tracebacks=tracebacks)


def running_wsgi(
    application: str,
    server: WsgiHost,
    *arguments: str,
    threads: int = 40,
    env: Mapping[str, str] | None = None,
    tracebacks: bool = False,
) -> contextlib.AbstractContextManager[Server]:
    """Run a WSGI application (`"module:name"`) on gunicorn, on Werkzeug (`flask run`), or on waitress."""
    match server:
        case "gunicorn-gthread" | "gunicorn-sync":
            kind = ["--worker-class", "gthread", "--threads", str(threads)] if server == "gunicorn-gthread" else []
            where = ["--bind", HOST + ":{port}", "--no-control-socket"]
            return running("gunicorn", *kind, *where, *arguments, application, env=env, tracebacks=tracebacks)
        case "werkzeug":
            where = ["run", "--host", HOST, "--port", "{port}"]
            return running("flask", "--app", application, *where, *arguments, env=env, tracebacks=tracebacks)
        case "waitress":
            where = ["--listen", HOST + ":{port}", "--threads", str(threads)]
            return running("waitress", *where, *arguments, application, env=env, tracebacks=tracebacks)


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
