"""The hosts: how each is started, and what one gets there.  The table of docs/reference/hosts.md is made of this.

A cell is what the tests of this folder hold the host to: `Yes`, or `No` with the reason, and they look at both.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.servers import HOST

MODULE = "tests.apps.hosts_app"
CERTIFICATE = ("{cert}", "{key}")


@dataclass(frozen=True)
class Yes:
    """It works; `note` is what one should know all the same."""

    note: str = ""


@dataclass(frozen=True)
class No:
    """It does not, because."""

    because: str


Cell = Yes | No


@dataclass(frozen=True)
class Host:
    """One way to serve the application."""

    name: str  # as its page is called: docs/how-to/<page>.md, and in tests
    command: str  # as one would type it
    page: str
    program: str
    arguments: tuple[str, ...]
    door: str  # as the start-up line names it
    websocket: Cell = Yes()
    polling: Cell = Yes()
    tls: Cell = Yes()
    tls_websocket: Cell = Yes()
    drain: Cell = Yes()
    spread: Cell = Yes()
    proxy: Cell = Yes()
    reload: Cell = No("no option for it")
    workers: Cell = Yes("a warning at the start")
    speed: str = "host frames"
    tls_arguments: tuple[str, ...] = ()
    reload_arguments: tuple[str, ...] = ()
    worker_arguments: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, hash=False)
    tls_env: dict[str, str] = field(default_factory=dict, hash=False)
    reload_env: dict[str, str] = field(default_factory=dict, hash=False)
    closes_with: tuple[int, ...] = (1000, 1001)  # a WebSocket at SIGTERM
    noisy: bool = False  # it writes tracebacks of its own when it ends

    def __str__(self) -> str:
        return self.name


BIND = f"{HOST}:{{port}}"
APP, SOCKETIO = f"{MODULE}:app", f"{MODULE}:socketio"
GUNICORN_TLS = ("--certfile", "{cert}", "--keyfile", "{key}")
UVICORN_TLS = ("--ssl-certfile", "{cert}", "--ssl-keyfile", "{key}")
WERKZEUG_ALONE = No("development server: one process")
CUT = No("SIGTERM ends it on the spot: connections break, and clients come back all the same; Ctrl-C closes them")
AT_ONCE = No("uvicorn closes its own WebSockets at once: take the fast door")
NO_PORT = No("the host has closed its port by then, and its clients find nobody")
TLS_KEEPS = "gives up its socket only without TLS: let the proxy end TLS"
STAYS = No(f"stays on long-polling: it {TLS_KEEPS}")


def gunicorn(name: str, worker: str, *more: str, app: str = APP, **cells: Any) -> Host:
    """One of gunicorn's workers."""
    options = f"-k {worker} {' '.join(more)}".rstrip()
    return Host(
        name=name,
        command=f"gunicorn {options} app:{'app' if app == APP else 'socketio'}",
        page="gunicorn",
        program="gunicorn",
        arguments=("-k", worker, *more, "--bind", BIND, app),
        tls_arguments=GUNICORN_TLS,
        worker_arguments=("--workers", "2"),
        **{"reload": Yes("`--reload`"), "reload_arguments": ("--reload",), **cells},
    )


HOSTS = (
    Host(
        name="socketio.run",
        command="python app.py",
        page="run",
        program=f"{MODULE}",
        arguments=(),
        door="uvicorn",
        reload=Yes("`debug=True`"),
        workers=No("one process, and thousands of clients in it"),
        speed="raw socket",
        tls_env={"OPTIONS": '{"certfile": "{cert}", "keyfile": "{key}"}'},
        reload_env={"OPTIONS": '{"debug": true}'},
    ),
    Host(
        name="uvicorn, fast door",
        command="uvicorn --ws truesocket.doors.uvicorn:Door app:socketio",
        page="uvicorn",
        program="uvicorn",
        arguments=(SOCKETIO, "--host", HOST, "--port", "{port}", "--ws", "truesocket.doors.uvicorn:Door"),
        door="uvicorn",
        reload=Yes("`--reload`"),
        speed="raw socket",
        tls_arguments=UVICORN_TLS,
        reload_arguments=("--reload",),
        worker_arguments=("--workers", "2"),
    ),
    Host(
        name="uvicorn",
        command="uvicorn app:socketio",
        page="uvicorn",
        program="uvicorn",
        arguments=(SOCKETIO, "--host", HOST, "--port", "{port}"),
        door="asgi",
        spread=AT_ONCE,
        closes_with=(1000, 1001, 1012),  # whoever is first
        reload=Yes("`--reload`"),
        tls_arguments=UVICORN_TLS,
        reload_arguments=("--reload",),
        worker_arguments=("--workers", "2"),
    ),
    Host(
        name="hypercorn",
        command="hypercorn app:socketio",
        page="hypercorn",
        program="hypercorn",
        noisy=True,
        drain=Yes("after 3 s; at once with `--workers 0`"),
        spread=No("Hypercorn ends its WebSockets itself; with `--workers 0` they have their turn"),
        closes_with=(1011,),
        arguments=(SOCKETIO, "--bind", BIND),
        door="asgi",
        reload=Yes("`--reload`"),
        tls_arguments=("--certfile", "{cert}", "--keyfile", "{key}"),
        reload_arguments=("--reload",),
        worker_arguments=("--workers", "2"),
    ),
    Host(
        name="granian",
        command="granian --interface asgi app:socketio",
        page="granian",
        program="granian",
        arguments=("--interface", "asgi", "--host", HOST, "--port", "{port}", SOCKETIO),
        door="asgi",
        spread=No("Granian ends its connections itself"),
        closes_with=(1000, 1001, 1006),  # it does not always wait until our close is out
        reload=Yes("`--reload`"),
        tls_arguments=("--ssl-certificate", "{cert}", "--ssl-keyfile", "{key}"),
        reload_arguments=("--reload",),
        worker_arguments=("--workers", "2"),
    ),
    gunicorn(
        "gunicorn asgi",
        "asgi",
        app=SOCKETIO,
        door="asgi",
        reload=Yes("`--reload --graceful-timeout 1`"),
        reload_arguments=("--reload", "--graceful-timeout", "1"),
    ),
    gunicorn(
        "gunicorn uvicorn",
        "uvicorn_worker.UvicornWorker",
        app=SOCKETIO,
        door="asgi",
        spread=AT_ONCE,
        closes_with=(1000, 1001, 1012),
        reload=No("uvicorn's worker does not hear of gunicorn's `--reload`: take `uvicorn --reload`"),
        reload_arguments=(),
    ),
    gunicorn(
        "gunicorn gthread",
        "gthread",
        "--threads",
        "8",
        door="wsgi",
        speed="raw socket",
        tls_websocket=STAYS,
    ),
    gunicorn("gunicorn sync", "sync", door="wsgi", speed="raw socket", tls_websocket=STAYS),
    Host(
        name="flask run",
        command="flask --app app run",
        page="flask-run",
        program="flask",
        arguments=("--app", APP, "run", "--host", HOST, "--port", "{port}"),
        door="wsgi",
        speed="raw socket",
        reload=Yes("`flask --debug run`"),
        workers=WERKZEUG_ALONE,
        drain=CUT,
        spread=CUT,
        closes_with=(1006,),
        tls_arguments=("--cert", "{cert}", "--key", "{key}"),
        reload_arguments=("--debug",),
        tls_websocket=STAYS,
    ),
    Host(
        name="werkzeug",
        command="run_simple(host, port, app, threaded=True)",
        page="werkzeug",
        program="tests.apps.hosts_werkzeug",
        arguments=(),
        door="wsgi",
        speed="raw socket",
        reload=Yes("`use_reloader=True`"),
        workers=WERKZEUG_ALONE,
        drain=CUT,
        spread=CUT,
        closes_with=(1006,),
        tls_env={"CERT": "{cert}", "KEY": "{key}"},
        reload_env={"RELOAD": "1"},
        tls_websocket=STAYS,
    ),
    Host(
        name="waitress",
        command="waitress-serve --no-clear-untrusted-proxy-headers app:app",
        page="waitress",
        program="waitress",
        arguments=("--no-clear-untrusted-proxy-headers", "--listen", BIND, APP),
        door="wsgi",
        websocket=No("it keeps its sockets to itself: clients stay on long-polling, and the log says so"),
        speed="polling",
        drain=CUT,
        spread=CUT,
        proxy=Yes("with `--no-clear-untrusted-proxy-headers`"),
        tls=No("it speaks no TLS: let the proxy do it"),
        tls_websocket=No("no WebSockets"),
        reload=No("no option for it"),
        workers=No("one process"),
    ),
    Host(
        name="granian wsgi",
        command="granian --interface wsgi app:app",
        page="granian",
        program="granian",
        arguments=("--interface", "wsgi", "--host", HOST, "--port", "{port}", APP),
        door="wsgi",
        websocket=No("it keeps its sockets to itself: clients stay on long-polling, and the log says so"),
        speed="polling",
        spread=NO_PORT,
        tls_websocket=No("no WebSockets"),
        reload=Yes("`--reload`"),
        tls_arguments=("--ssl-certificate", "{cert}", "--ssl-keyfile", "{key}"),
        reload_arguments=("--reload",),
        worker_arguments=("--workers", "2"),
    ),
)

BY_NAME = {host.name: host for host in HOSTS}


def filled(text: str, cert: Path, key: Path) -> str:
    """With the paths of a certificate in it."""
    return text.replace("{cert}", str(cert)).replace("{key}", str(key))
