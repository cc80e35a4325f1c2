"""``SocketIO(message_queue=...)``: what becomes of it while there are no brokers.

Nothing is lost without a word.  A process that serves clients delivers to its own, and says once, as an error in the
log, that it reaches no others.  A process that serves nobody (a Celery worker, a script with
``SocketIO(message_queue=url)``) has nobody to deliver to: there every emission raises
:class:`~truesocket.errors.BrokerUnavailable`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import flask

from truesocket.core.ports import Ticker
from truesocket.core.server import Server
from truesocket.core.socket import Command
from truesocket.errors import BrokerUnavailable

__all__ = ["LonelyServer", "say_lonely"]

_log = logging.getLogger("truesocket")


class LonelyServer(Server):
    """A server that was meant to be one of several; ``queue`` names what should have connected them."""

    queue = ""
    _has_served = False

    def start(self, ticker: Callable[[], Ticker]) -> None:
        super().start(ticker)
        self._has_served = True

    def tell(self, command: Command, *args: object, weight: int = 0) -> Awaitable[None]:
        if not self._has_served and not flask.has_request_context():  # a page is a sign of a process that serves
            raise BrokerUnavailable(
                f"this process serves no clients, and to reach those of another one it needs {self.queue}, which this"
                " release cannot use; emit in the process that serves (a page of it can do that for others)"
            )
        return super().tell(command, *args, weight=weight)

    def _forked(self) -> None:
        super()._forked()
        self._has_served = False


def say_lonely(queue: str) -> None:
    """The line in the log of an application that wants a queue."""
    _log.error(
        "%s is not used: this release has no brokers. Emissions reach the clients of the process that makes them, and"
        " in a process that serves none (Celery, scripts) they raise BrokerUnavailable. One process needs no queue: run"
        " one, and leave the option out",
        queue,
    )
