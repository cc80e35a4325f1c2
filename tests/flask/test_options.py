"""Flask-SocketIO's options: known, obsolete, unknown; json, message queues, origins."""

import dataclasses
import datetime
import decimal
import json
import logging
import uuid
import warnings
from typing import ClassVar

import flask
import pytest
from flask.json.provider import DefaultJSONProvider

from tests.support.flasking import served
from tests.support.wire import Wire, get
from truesocket.errors import BrokerUnavailable, UnknownOption, UsageError
from truesocket.flask import Namespace, SocketIO, emit
from truesocket.flask.options import OBSOLETE


def config(**options):
    return SocketIO(flask.Flask("app"), **options).core.config


# --- known, obsolete, unknown -----------------------------------------------------------------------------------------

#: Every option of Flask-SocketIO that means something here: what is given, our name, what it becomes.
KNOWN = [
    ("path", "/live", "path", "/live"),
    ("resource", "live", "path", "live"),
    ("async_handlers", False, "async_handlers", False),
    ("always_connect", True, "always_connect", True),
    ("namespaces", ["/", "/chat"], "namespaces", ("/", "/chat")),
    ("namespaces", "*", "namespaces", ("*",)),
    ("ping_interval", 7, "ping_interval", 7),
    ("ping_timeout", 8, "ping_timeout", 8),
    ("max_http_buffer_size", 9000, "max_payload", 9000),
    ("allow_upgrades", False, "allow_upgrades", False),
    ("http_compression", False, "http_compression", False),
    ("compression_threshold", 10, "compression_threshold", 10),
    ("cookie", "io", "cookie", "io"),
    ("cookie", {"name": "io", "secure": True}, "cookie", {"name": "io", "secure": True}),
    ("cors_allowed_origins", [], "cors_allowed_origins", []),
    ("cors_allowed_origins", "*", "cors_allowed_origins", "*"),
    ("cors_credentials", False, "cors_credentials", False),
    ("transports", "websocket", "transports", ("websocket",)),
    ("serializer", "msgpack", "serializer", "msgpack"),
]


@pytest.mark.parametrize(("name", "given", "ours", "expected"), KNOWN)
def test_known_options(name, given, ours, expected):
    assert getattr(config(**{name: given}), ours) == expected
    socketio = SocketIO()
    socketio.init_app(flask.Flask("app"), **{name: given})
    assert getattr(socketio.core.config, ours) == expected


def test_interval_with_grace():
    found = config(ping_interval=(10, 5), ping_timeout=20)
    assert (found.ping_interval, found.ping_timeout) == (10, 25)
    assert config(ping_interval=(10, 5)).ping_timeout == 25
    with pytest.raises(UsageError, match="give seconds, or"):
        config(ping_interval=(1, 2, 3))


@pytest.mark.parametrize(
    "name",
    ["transports", "namespaces", "cookie", "cors_allowed_origins", "message_queue", "client_manager", "json", "path"],
)
def test_none_is_not_given(name):
    assert config(**{name: None}) == config()


@pytest.mark.parametrize("name", sorted(OBSOLETE))
def test_obsolete_options_warn_where_they_are_written(name):
    with pytest.warns(DeprecationWarning, match=rf"SocketIO\({name}\) does nothing: {name}=...: ") as caught:
        SocketIO(flask.Flask("app"), **{name: "threading"})
    assert [each.filename for each in caught] == [__file__]
    with pytest.warns(DeprecationWarning, match="does nothing") as caught:
        SocketIO().init_app(flask.Flask("app"), **{name: "threading"})
    assert [each.filename for each in caught] == [__file__]


def test_one_warning_for_all_and_none_again():
    with pytest.warns(DeprecationWarning, match=r"^SocketIO\(async_mode, logger\) does nothing: ") as caught:
        socketio = SocketIO(async_mode="gevent", logger=True, engineio_logger=False, monitor_clients=True)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        socketio.init_app(flask.Flask("app"), ping_interval=3)


def test_unknown_options_name_the_nearest():
    for wrong, nearest in (
        ("cors_allowed_origin", "cors_allowed_origins"),
        ("max_http_buffersize", "max_http_buffer_size"),
        ("asyncmode", "async_mode"),
        ("messagequeue", "message_queue"),
    ):
        with pytest.raises(UnknownOption, match=f"no option '{wrong}'; did you mean '{nearest}'"):
            SocketIO(flask.Flask("app"), **{wrong: 1})


@pytest.mark.parametrize("name", ["pickle", "cbor"])
def test_serializers_that_are_not_there(name):
    with pytest.raises(UsageError, match="choose 'default' or 'msgpack'"):
        config(serializer=name)


def test_a_packet_class_of_python_socketio():
    class Packet:
        def encode(self): ...

        def decode(self): ...

    with pytest.raises(UsageError, match="is a Packet class of python-socketio; give an object with the methods of"):
        config(serializer=Packet)


def test_two_socketio_on_one_application():
    app = flask.Flask("mine")
    socketio = SocketIO(app)
    socketio.init_app(app)
    with pytest.raises(UsageError, match=r"'mine' has a SocketIO already, .*: use that one \(app.extensions"):
        SocketIO(app)
    assert app.extensions["socketio"] is socketio


def test_the_same_options_again_while_it_runs():
    """A factory that is called for each test gives the same options each time."""
    socketio = SocketIO()
    socketio.init_app(flask.Flask("first"), cors_allowed_origins="*")
    with served(socketio) as port:
        get(port, "/")
        core = socketio.core
        socketio.init_app(flask.Flask("second"), cors_allowed_origins="*")
        assert socketio.core is core


# --- origins ----------------------------------------------------------------------------------------------------------


def test_a_function_of_origin_and_environ():
    asked = []

    def allowed(origin, environ):
        asked.append((origin, environ["QUERY_STRING"], environ["REQUEST_METHOD"]))
        return origin == "http://good.example"

    app = flask.Flask("app")
    with served(SocketIO(app, cors_allowed_origins=allowed)) as port:
        target = "/socket.io/?EIO=4&transport=polling"
        assert get(port, target, [("Origin", "http://good.example")]).status == 200
        assert get(port, target, [("Origin", "http://bad.example")]).status == 403
    assert asked[0] == ("http://good.example", "EIO=4&transport=polling", "GET")


def test_a_function_of_the_origin():
    with served(SocketIO(flask.Flask("app"), cors_allowed_origins=lambda origin: "good" in origin)) as port:
        target = "/socket.io/?EIO=4&transport=polling"
        assert get(port, target, [("Origin", "http://good.example")]).status == 200
        assert get(port, target, [("Origin", "http://bad.example")]).status == 403


# --- json -------------------------------------------------------------------------------------------------------------


class Dated(DefaultJSONProvider):
    """An application's own: dates as days."""

    @staticmethod
    def default(value):
        if isinstance(value, datetime.date):
            return f"day {value.isoformat()}"
        return DefaultJSONProvider.default(value)


@dataclasses.dataclass
class Point:
    x: int
    y: decimal.Decimal


SENT = {
    "when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "day": datetime.date(2026, 1, 2),
    "id": uuid.UUID(int=7),
    "price": decimal.Decimal("1.20"),
    "point": Point(1, decimal.Decimal("2.50")),
    "bytes": b"\x00\x01",
}


@pytest.mark.parametrize("options", [{}, {"json": flask.json}])
def test_flask_json_types(options):
    app = flask.Flask("app")
    socketio = SocketIO(app, **options)

    @socketio.on("give")
    def give(back):
        emit("given", SENT)
        return back, SENT

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        back, sent = wire.call("give", {"a": [1, {"b": "ü"}]})
        pushed = wire.event("given")[0]
        socketio.emit("from outside", SENT)  # no application context here
        assert wire.event("from outside")[0]["id"] == str(SENT["id"])
    assert back == {"a": [1, {"b": "ü"}]}
    assert sent == pushed
    assert sent.pop("bytes") == b"\x00\x01"
    assert sent == {
        "when": "Fri, 02 Jan 2026 03:04:05 GMT",
        "day": "Fri, 02 Jan 2026 00:00:00 GMT",
        "id": str(SENT["id"]),
        "price": "1.20",
        "point": {"x": 1, "y": "2.50"},
    }


@pytest.mark.parametrize("options", [{}, {"json": flask.json}])
def test_an_own_provider(options):
    app = flask.Flask("app")
    app.json = Dated(app)
    socketio = SocketIO(app, **options)
    socketio.on_event("day", lambda: datetime.date(2026, 1, 2))
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("day") == ["day 2026-01-02"]


class Shouting:
    """A json module that cannot be told to write without spaces."""

    read: ClassVar[list[str]] = []

    @staticmethod
    def dumps(value):
        return json.dumps(value).upper().encode()

    @classmethod
    def loads(cls, text):
        cls.read.append(text)
        return json.loads(text)


def test_a_json_module_is_for_this_server_alone():
    loud, quiet = SocketIO(flask.Flask("loud"), json=Shouting), SocketIO(flask.Flask("quiet"))
    loud.on_event("say", lambda text: text)
    quiet.on_event("say", lambda text: (text, b"raw"))
    with served(loud) as one, served(quiet) as two, Wire(one) as a, Wire(two) as b:
        assert set(a.join()) == {"SID"}
        b.join()
        assert b.call("say", "text") == ["text", b"raw"]
        assert a.call("say", "text") == ["TEXT"]
    assert Shouting.read == ['["say","text"]']


def test_json_that_cannot_be_read_ends_that_client_alone(caplog):
    class Picky:
        dumps = json.dumps

        @staticmethod
        def loads(text):
            raise KeyError("never")

    socketio = SocketIO(flask.Flask("app"), json=Picky)
    with served(socketio) as port, Wire(port) as good, Wire(port) as bad:
        good.join()
        bad.join()
        bad.emit("say", 1)
        bad.wait_until_closed()
        socketio.emit("news", 1)
        assert good.event("news") == [1]


def test_wrong_json():
    with pytest.raises(UsageError, match=r"with the functions dumps\(\) and loads\(\)"):
        config(json=object())
    with pytest.raises(UsageError, match="exclude each other"):
        config(json=json, serializer="msgpack")


# --- message queues ---------------------------------------------------------------------------------------------------

URL = "redis://user:secret@queue.example:6379/0"


def test_a_process_that_only_emits():
    socketio = SocketIO(message_queue=URL, channel="mine")
    assert socketio.server is not None
    for act in (
        lambda: socketio.emit("news", 1),
        lambda: socketio.send("news"),
        lambda: socketio.call("question", to="sid"),
        lambda: socketio.close_room("room"),
        lambda: socketio.server.emit("news", 1),
    ):
        with pytest.raises(
            BrokerUnavailable, match=r"it needs message_queue='redis://\.\.\.@queue\.example:6379/0', which"
        ) as caught:
            act()
        assert "secret" not in str(caught.value)


def test_an_application_that_is_not_served_here():
    """A Celery worker that imports the application."""
    app = flask.Flask("app")
    socketio = SocketIO(app, message_queue=URL)
    with pytest.raises(BrokerUnavailable), app.app_context():
        emit("news", 1, namespace="/", broadcast=True)
    with pytest.raises(BrokerUnavailable):
        socketio.emit("news", 1)


def test_an_application_that_is_served(caplog):
    app = flask.Flask("app")
    with caplog.at_level(logging.ERROR):
        socketio = SocketIO(app, message_queue=URL)
    errors = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "queue.example" in errors[0].getMessage()
    assert "secret" not in errors[0].getMessage()
    assert "reach the clients of the process that makes them" in errors[0].getMessage()

    @app.get("/push")
    def push():
        socketio.emit("news", 2)
        return "pushed"

    assert app.test_client().get("/push").data == b"pushed"  # a page: this process serves, though nobody has come yet
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        socketio.emit("news", 1)
        assert wire.event("news") == [1]
        assert get(port, "/push").body == b"pushed"
        assert wire.event("news") == [2]
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1


def test_a_client_manager():
    class RedisManager: ...

    class Manager: ...

    with pytest.raises(BrokerUnavailable, match="client_manager=RedisManager"):
        SocketIO(flask.Flask("app"), client_manager=RedisManager()).emit("x")
    SocketIO(flask.Flask("app"), client_manager=Manager()).emit("x")


def test_without_a_queue_nobody_complains(caplog):
    SocketIO(flask.Flask("app"), message_queue=None, channel="x").emit("nobody hears")
    assert not caplog.records
    assert SocketIO().server is None
    assert SocketIO(flask.Flask("app")).server.namespaces == ["/"]


def test_options_shown():
    socketio = SocketIO(flask.Flask("app"), ping_interval=3, manage_session=False, path="live")
    assert dict(socketio.server_options) == {"ping_interval": 3}
    assert socketio.manage_session is False
    with pytest.raises(TypeError):
        socketio.server_options["ping_interval"] = 4  # type: ignore[index]


def test_handlers_outlive_new_options():
    socketio = SocketIO()
    socketio.on_event("say", print, "/a")
    socketio.on_namespace(Namespace("/b"))
    socketio.init_app(flask.Flask("app"), ping_interval=3)
    assert socketio.core.registry.find("/a", "say") is not None
    assert socketio.core.registry.knows("/b")
    assert [each[:1] + each[2:] for each in socketio.handlers] == [("say", "/a")]
