"""One SocketIO, several applications beside each other: a handler runs in the one that its client came through."""

import contextlib
import threading
from collections.abc import Iterator

import flask
from werkzeug.serving import make_server

from tests.support.servers import HOST
from tests.support.wire import Wire
from truesocket.flask import SocketIO, emit


@contextlib.contextmanager
def werkzeug(app: flask.Flask) -> Iterator[int]:
    """Serves the application by Werkzeug's own server, in threads of this process; gives the port."""
    server = make_server(HOST, 0, app, threaded=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
    assert not thread.is_alive()


def test_two_applications_of_one_socketio():
    socketio = SocketIO()
    apps = [flask.Flask("first"), flask.Flask("second")]

    @socketio.on("which")
    def which():
        emit("heard", flask.current_app.name, broadcast=True)
        return flask.current_app.name

    for app in apps:
        socketio.init_app(app)
    with werkzeug(apps[0]) as a, werkzeug(apps[1]) as b, Wire(a) as one, Wire(b, transport="polling") as two:
        first, second = one.join()["sid"], two.join()["sid"]
        assert one.call("which") == ["first"]
        assert two.call("which") == ["second"]
        assert [one.event("heard"), one.event("heard")] == [["first"], ["second"]]  # one server: they hear each other
        assert socketio.server.get_environ(first)["flask.app"] is apps[0]
        assert socketio.server.get_environ(second)["flask.app"] is apps[1]
