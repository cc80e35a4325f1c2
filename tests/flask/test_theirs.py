"""python-socketio's time-out and ours, in one error."""

import asyncio
import sys

import pytest
import socketio.exceptions

from truesocket import AckTimeout
from truesocket.core.server import Reply
from truesocket.flask.theirs import Answer, as_timeout


def failed() -> Reply[object]:
    reply: Reply[object] = Reply(lambda: False)
    reply.fail(AckTimeout("nobody"))
    return reply


def test_the_error_is_of_both_kinds():
    error = as_timeout(AckTimeout("nobody"))
    assert isinstance(error, (AckTimeout, TimeoutError))
    assert isinstance(error, socketio.exceptions.TimeoutError)
    assert str(error) == "nobody"
    assert type(error).__name__ == "AckTimeout"
    assert as_timeout(error) is error
    assert type(as_timeout(AckTimeout("other"))) is type(error)


def test_where_nobody_has_imported_theirs_it_stays_ours(monkeypatch):
    monkeypatch.delitem(sys.modules, "socketio.exceptions")
    error = AckTimeout("nobody")
    assert as_timeout(error) is error


def test_answers():
    with pytest.raises(socketio.exceptions.TimeoutError, match="nobody"):
        Answer(failed()).result()

    async def wait():
        return await Answer(failed())

    with pytest.raises(socketio.exceptions.TimeoutError, match="nobody"):
        asyncio.run(wait())
    reply: Reply[int] = Reply(lambda: False)
    answer = Answer(reply)
    assert not answer.done()
    with pytest.raises(socketio.exceptions.TimeoutError, match="no answer within"):
        answer.result(0.01)
    reply.set(5)
    assert (answer.result(), answer.done()) == (5, True)
