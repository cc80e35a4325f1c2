"""The demo: pushes, the transport that is really in use, latency, people, messages, and the endless loop.

It is written as an application is written: with ``truesocket.flask`` and nothing below it.
"""

from __future__ import annotations

import inspect
import secrets
import textwrap
import threading
import time
from collections import deque
from typing import Any

from flask import Flask, Response, render_template, request

from truesocket.flask import SocketIO, emit

from .people import People, clean

__all__ = ["create_app"]

PUSH_EVERY = 2
"""Seconds between two pushes."""
KEPT_MESSAGES = 50
MESSAGE_LENGTH = 280

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app() -> tuple[Flask, SocketIO]:
    """Makes the demo's Flask application and its SocketIO; the caller runs them."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = secrets.token_hex()
    socketio = SocketIO(app)

    people = People()
    messages: deque[dict[str, Any]] = deque(maxlen=KEPT_MESSAGES)
    loops: dict[str, object] = {}
    pulse_started = threading.Lock()

    def pulse() -> None:
        """One background task pushes to everybody, however many they are."""
        number = 0
        while True:
            socketio.sleep(PUSH_EVERY)
            number += 1
            socketio.emit("pulse", {"number": number})

    @socketio.on("connect")
    def arrived(auth: object = None) -> None:
        wanted = auth.get("key") if isinstance(auth, dict) else None
        you = people.enter(request.sid, wanted, socketio.transport(request.sid))
        if pulse_started.acquire(blocking=False):
            socketio.start_background_task(pulse)
        emit("welcome", {"you": you, "people": people.listing(), "messages": list(messages)})
        emit("people", people.listing(), broadcast=True)

    @socketio.on("disconnect")
    def left(reason: object = None) -> None:
        loops.pop(request.sid, None)
        people.leave(request.sid)
        emit("people", people.listing(), broadcast=True)

    @socketio.on("measure")
    def measure() -> str:
        """The page takes the time until the answer is there; the answer is the transport as the *server* knows it."""
        transport: str = socketio.transport(request.sid)
        if people.moved(request.sid, transport):
            emit("people", people.listing(), broadcast=True)
        return transport

    @socketio.on("say")
    def say(text: object) -> bool:
        said, speaker = clean(text, MESSAGE_LENGTH), people.get(request.sid)
        if not said or not speaker:
            return False
        message = {"from": speaker, "text": said, "at": round(time.time() * 1000)}
        messages.append(message)
        emit("said", message, broadcast=True)
        return True

    @socketio.on("start_loop")
    def client_msg(msg):  # type: ignore[no-untyped-def]
        me = loops[request.sid] = object()
        while loops.get(request.sid) is me:
            emit("server_response", {"data": msg["data"]})
            time.sleep(2)

    @socketio.on("stop_loop")
    def stop_loop() -> None:
        loops.pop(request.sid, None)

    @app.get("/")
    def index() -> str:
        return render_template(
            "demo.html",
            language=_language(),
            loop_source=_source(client_msg),
            message_length=MESSAGE_LENGTH,
        )

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    return app, socketio


def _language() -> str:
    """What the reader chose with the switch, else what the browser asks for."""
    chosen = request.cookies.get("lang")
    if chosen in ("en", "zh"):
        return chosen
    return request.accept_languages.best_match(["en", "zh", "zh-CN", "zh-TW"], default="en")[:2]


def _source(handler: Any) -> str:
    """The very lines that run, for the page to show; the note for the type checker is left out."""
    return textwrap.dedent(inspect.getsource(handler)).replace("  # type: ignore[no-untyped-def]", "").strip()
