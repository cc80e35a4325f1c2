"""truesocket under the name ``flask_socketio``: an application of Flask-SocketIO runs without a changed line.

::

    import truesocket.flask
    truesocket.flask.as_flask_socketio()      # before the first `import flask_socketio`

``truesocket run --as-flask-socketio app:app`` and the environment variable ``TRUESOCKET_AS_FLASK_SOCKETIO=1`` (for
gunicorn, Celery, pytest) do the same from outside.  ``_truesocket/alias.py`` has the import hook, which calls
:func:`fill` when somebody imports one of the names.  Where python-socketio is not installed there is a ``socketio``,
too, with its exceptions; where it is, it stays as it is, and its exceptions go on meaning what they meant
(``flask/theirs.py``, ``flask/surroundings.py``).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from _truesocket import alias as hook
from truesocket import errors
from truesocket._version import __version__
from truesocket.core.patched import refuse_patched
from truesocket.errors import UsageError

__all__ = ["VARIABLE", "as_flask_socketio", "fill"]

#: The environment variable that does it from outside: ``1``.
VARIABLE = "TRUESOCKET_AS_FLASK_SOCKETIO"
#: The release of Flask-SocketIO whose names these are; the rest says who answers to them.
_VERSION = f"5.7.0+truesocket.{__version__}"
_NAMES = (
    "ConnectionRefusedError",
    "Namespace",
    "SocketIO",
    "SocketIOTestClient",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "rooms",
    "send",
)


def as_flask_socketio() -> None:
    """From now on ``import flask_socketio`` is truesocket, in this process; twice does no harm.

    Raises :class:`~truesocket.errors.UsageError` where Flask-SocketIO itself has been imported already, or where
    eventlet or gevent has patched the process.
    """
    refuse_patched()
    real = sys.modules.get("flask_socketio")
    if real is not None and not _is_ours(real):
        raise UsageError(
            f"flask_socketio has been imported already, from {getattr(real, '__file__', 'somewhere')}: call"
            f" as_flask_socketio() before the first line that imports it, or set {VARIABLE}=1 in the environment"
        )
    hook.install()
    for name in hook.NAMES:
        importlib.import_module(name)


def _is_ours(module: ModuleType) -> bool:
    return getattr(module.__spec__, "origin", None) == "truesocket"


def fill(module: ModuleType) -> None:
    """Puts into a new module what it is known for; the import hook calls it."""
    refuse_patched()
    _CONTENTS[module.__name__](module)


def _flask_socketio(module: ModuleType) -> None:
    ours = importlib.import_module("truesocket.flask")
    for name in _NAMES:
        setattr(module, name, getattr(ours, name))
    module.__dict__.update(
        __doc__="truesocket, under the name that Flask-SocketIO's users know.",
        __version__=_VERSION,
        __all__=list(_NAMES),
        has_request_context=importlib.import_module("flask").has_request_context,
        flask=importlib.import_module("flask"),
    )


def _namespace(module: ModuleType) -> None:
    module.__dict__["Namespace"] = importlib.import_module("truesocket.flask").Namespace


def _test_client(module: ModuleType) -> None:
    module.__dict__["SocketIOTestClient"] = importlib.import_module("truesocket.flask").SocketIOTestClient


def _socketio(module: ModuleType) -> None:
    def missing(name: str) -> object:
        raise AttributeError(
            f"module 'socketio' has no attribute {name!r}: python-socketio is not installed, and truesocket stands in"
            " for its exceptions alone; pip install python-socketio for its clients and servers"
        )

    module.__dict__.update(__doc__="truesocket, in place of python-socketio's exceptions.", __getattr__=missing)
    importlib.import_module("socketio.exceptions")


class BadNamespaceError(errors.TruesocketError):
    """python-socketio's clients raise it, ours never."""


class DisconnectedError(errors.TruesocketError):
    """python-socketio's clients raise it, ours never."""


def _exceptions(module: ModuleType) -> None:
    module.__dict__.update(
        __doc__="python-socketio's names for truesocket's exceptions.",
        SocketIOError=errors.TruesocketError,
        ConnectionError=errors.Refused,
        ConnectionRefusedError=errors.Refused,
        TimeoutError=errors.AckTimeout,
        BadNamespaceError=BadNamespaceError,
        DisconnectedError=DisconnectedError,
    )


_CONTENTS = {
    "flask_socketio": _flask_socketio,
    "flask_socketio.namespace": _namespace,
    "flask_socketio.test_client": _test_client,
    "socketio": _socketio,
    "socketio.exceptions": _exceptions,
}
