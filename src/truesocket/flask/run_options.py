"""The arguments of ``run()`` that were meant for another server: Werkzeug's, eventlet's, gevent's, ``uvicorn.run``'s.

Flask-SocketIO hands them on to whichever server it finds, so they stand in many programs.  Each is served under the
name that it has here, or accepted with a warning that says why it does nothing, or refused with what to do instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from truesocket.errors import UnknownOption, UsageError

__all__ = ["for_reloader", "for_server"]

_LOG = "requests are logged with log_output=True, through logging.getLogger('uvicorn.access')"
_THREADS = "handlers and pages always run in threads (handler_threads= and http_threads= of SocketIO)"
_TLS = "TLS is set up by ssl_context=, or by certfile= and keyfile="

#: Nothing depends on them here: the argument -> why.
NEEDLESS = {
    # eventlet's wsgi.server and gevent's WSGIServer
    "log": _LOG,
    "error_log": _LOG,
    "log_format": _LOG,
    "log_x_forwarded_for": "trusted_proxies= of SocketIO says whom to believe",
    "max_size": _THREADS,
    "custom_pool": _THREADS,
    "spawn": _THREADS,
    "handler_class": "WebSockets are real without a class for them",
    "protocol": "WebSockets are real without a class for them",
    "keepalive": "timeout_keep_alive=seconds is the name here",
    "socket_timeout": "timeout_keep_alive=seconds is the name here",
    "max_http_version": "HTTP/1.1 and 1.0 are spoken as the client wants",
    "minimum_chunk_size": "what a page yields is sent at once",
    "url_length_limit": "the server has a limit of its own",
    "capitalize_response_headers": "clients do not care",
    "server_event": "no other program is told",
    "server_side": _TLS,
    "do_handshake_on_connect": _TLS,
    "suppress_ragged_eofs": _TLS,
    "ssl_version": "the safe versions of TLS are spoken; an ssl_context= of your own may say otherwise",
    # Werkzeug's run_simple and Flask's app.run
    "threaded": _THREADS,
    "request_handler": "there is no Werkzeug server behind it",
    "use_evalex": "the debugger has it",
    "load_dotenv": "the flask command does that; python-dotenv has load_dotenv()",
}

#: These would change what the program does: the argument -> what to do instead.
IMPOSSIBLE = {
    "processes": "run() serves in one process, and thousands of clients in it",
    "workers": "run() serves in one process, and thousands of clients in it",
    "reload": "write use_reloader=True",
    "reload_dirs": "write reloader_options={'extra_files': [...]}",
    "reload_includes": "write reloader_options={'extra_files': [...]}",
    "reload_excludes": "write reloader_options={'exclude_patterns': [...]}",
    "reload_delay": "write reloader_options={'interval': seconds}",
    "uds": "for a unix socket run: uvicorn --uds PATH --ws truesocket.doors.uvicorn:Door app:socketio",
    "fd": "for a socket that is open already run: uvicorn --fd N --ws truesocket.doors.uvicorn:Door app:socketio",
    "environ": "put a middleware around app.wsgi_app that adds to the environ",
    "static_files": "Flask serves the folder static, and send_from_directory() any other",
    "passthrough_errors": "set app.config['PROPAGATE_EXCEPTIONS'] = True",
    "app": "the application is the first argument of run()",
    "factory": "call the factory, and give run() what it returns",
    "interface": "run() knows what kind of application a Flask one is",
    "ssl_context_factory": "give ssl_context= what it returns",
}

#: Werkzeug's names for what stands in reloader_options=.
_RELOADER = {"reloader_interval": "interval", "reloader_type": "reloader_type", "exclude_patterns": "exclude_patterns"}
_RELOADER_OPTIONS = ("extra_files", "exclude_patterns", "interval", "reloader_type")


def for_server(options: Mapping[str, Any], known: Mapping[str, object], stacklevel: int) -> dict[str, Any]:
    """What is left for the server of the arguments that ``run()`` got beyond its own.

    Raises :class:`~truesocket.errors.UsageError` for what cannot be done, with what to do instead.
    """
    left: dict[str, Any] = {}
    for name, value in options.items():
        if name in NEEDLESS:
            text = f"run({name}=...) does nothing: {NEEDLESS[name]}"
            warnings.warn(text, DeprecationWarning, stacklevel=stacklevel + 1)
        elif name in IMPOSSIBLE:
            if value is True or value not in (None, False, 1):  # those ask for nothing
                raise UsageError(f"run() cannot do {name}={value!r}: {IMPOSSIBLE[name]}")
        elif name in known:
            left[name] = value
        else:
            raise UnknownOption(name, known, where="run()")
    return left


def for_reloader(given: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """``reloader_options=``, with what stood among the arguments of ``run()`` itself, which is taken out there."""
    moved = {_RELOADER[name]: options.pop(name) for name in list(options) if name in _RELOADER}
    found = {**moved, **given}
    for name in found:
        if name not in _RELOADER_OPTIONS:
            raise UnknownOption(name, _RELOADER_OPTIONS, where="reloader_options")
    return found
