"""What type checkers make of the Flask face; never run, read by mypy and pyright (``test_types.py``)."""

from typing import assert_type

from flask import Flask

from truesocket.flask import SocketIO, emit

socketio = SocketIO(Flask(__name__), ping_interval=10)


@socketio.on("say", namespace="/chat")
def say(text: str) -> int:
    emit("said", text, broadcast=True, include_self=False)
    return len(text)


@socketio.event
def plain(a: int) -> str:
    return str(a)


@socketio.event(namespace="/chat")
async def awaited(a: int) -> str:
    return str(a)


async def check() -> None:
    assert_type(say("hi"), int)
    say(5)  # type: ignore[arg-type]
    assert_type(plain(1), str)
    assert_type(await awaited(1), str)
