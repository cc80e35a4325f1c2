"""``flask_socketio`` under another roof: an import hook that makes truesocket's modules when somebody imports them.

``truesocket.flask.as_flask_socketio()`` installs it; so does ``truesocket-alias.pth``, in an interpreter that starts
with ``TRUESOCKET_AS_FLASK_SOCKETIO=1``.  Nothing is imported before the application imports ``flask_socketio``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["NAMES", "SPARE_NAMES", "install", "install_from_environment"]

#: What is ours, whoever else is installed.
NAMES = ("flask_socketio", "flask_socketio.namespace", "flask_socketio.test_client")
#: What is ours where python-socketio is not installed.
SPARE_NAMES = ("socketio", "socketio.exceptions")

_OFF = ("", "0", "no", "false", "off")


class _Finder(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        packages = {name.partition(".")[0] for name in self._names}
        return ModuleSpec(fullname, _Loader(), origin="truesocket", is_package=fullname in packages)


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        importlib.import_module("truesocket.flask.alias").fill(module)


_FIRST = _Finder(NAMES)
_LAST = _Finder(SPARE_NAMES)


def install() -> None:
    """From now on ``import flask_socketio`` finds truesocket; twice does no harm."""
    if _FIRST not in sys.meta_path:
        sys.meta_path.insert(0, _FIRST)
        sys.meta_path.append(_LAST)  # asked only where nobody else has it


def install_from_environment(value: str) -> None:
    """What the .pth file calls, with the value of ``TRUESOCKET_AS_FLASK_SOCKETIO``."""
    if value.strip().lower() not in _OFF:
        install()
