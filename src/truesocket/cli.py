"""The command ``truesocket``: ``demo`` shows what it does, ``run`` serves an application."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any

from truesocket._version import __version__
from truesocket.errors import UsageError, nearest

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments) or 0)
    except UsageError as error:
        print(f"truesocket: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="truesocket", description="Real-time push over a WebSocket that is real.")
    parser.add_argument("--version", action="version", version=f"truesocket {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="serve the demo page")
    demo.set_defaults(command=_demo)
    run = commands.add_parser("run", help="serve an application: truesocket run app:app")
    run.add_argument("target", help="MODULE:NAME of a Flask application, its SocketIO, or an ASGI application")
    run.add_argument("--debug", action="store_true", help="Flask's error pages and the reloader")
    run.add_argument(
        "--as-flask-socketio",
        action="store_true",
        help="`import flask_socketio` in the application is truesocket: it runs without a changed line",
    )
    run.add_argument("--certfile", help="the certificate, in PEM form: serve https")
    run.add_argument("--keyfile", help="its key, in PEM form")
    run.set_defaults(command=_run)
    for command in (demo, run):
        command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        command.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    return parser


def _demo(arguments: argparse.Namespace) -> None:
    _need_flask("truesocket demo")
    from truesocket.demo import create_app

    app, socketio = create_app()
    socketio.run(app, host=arguments.host, port=arguments.port)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.as_flask_socketio:
        _need_flask("truesocket run --as-flask-socketio")
        from truesocket.flask.alias import VARIABLE, as_flask_socketio

        os.environ[VARIABLE] = "1"  # the reloader's child, and processes that the application starts
        as_flask_socketio()
    place = {name: getattr(arguments, name) for name in ("host", "port", "certfile", "keyfile")}
    found = load(arguments.target)
    socketio = getattr(found, "extensions", {}).get("socketio", found)
    if hasattr(socketio, "run") and hasattr(socketio, "server"):
        socketio.run(debug=arguments.debug or None, **place)
        return
    from truesocket.doors.asgi import ASGIApp
    from truesocket.doors.entrance import ensure_log_output
    from truesocket.doors.uvicorn import serve

    if not isinstance(found, ASGIApp):
        raise UsageError(
            f"{arguments.target} is neither a Flask application with a SocketIO nor a truesocket.ASGIApp, but"
            f" {type(found).__name__}; write SocketIO(app) in your module, or name the right object"
        )
    ensure_log_output()
    serve(found, **place)


def load(target: str) -> Any:
    """Imports ``MODULE:NAME``.  Raises :class:`~truesocket.errors.UsageError` where there is no such thing."""
    module_name, _, name = target.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UsageError(f"there is no module {module_name!r} here; run it in your project's folder") from None
        raise
    name = name or "app"
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module_name!r} has no {name!r}{nearest(part, dir(found))}")
        found = getattr(found, part)
    return found


def _need_flask(what: str) -> None:
    try:
        importlib.import_module("flask")
    except ModuleNotFoundError:
        raise UsageError(f"{what} needs Flask: pip install 'truesocket[flask]'") from None


if __name__ == "__main__":
    sys.exit(main())
