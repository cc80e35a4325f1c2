"""Options: unknown ones name the nearest, wrong values say what to write."""

import pytest

from truesocket.codec.serializers import Json
from truesocket.core.config import Config
from truesocket.errors import UnknownOption, UsageError
from truesocket.session.outbox import Overflow


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ping_intervall", "ping_interval"),
        ("cors_alowed_origins", "cors_allowed_origins"),
        ("transport", "transports"),
        ("handlers_threads", "handler_threads"),
    ],
)
def test_unknown_option_names_the_nearest(name, nearest):
    with pytest.raises(UnknownOption, match=rf"SocketIO\(\) has no option '{name}'; did you mean '{nearest}'\?"):
        Config.make({name: 1})


def test_unknown_option_with_nothing_near_points_to_the_list():
    with pytest.raises(UnknownOption, match=r"Server\(\) has no option 'colour'; see docs/reference/options.md"):
        Config.make({"colour": "red"}, where="Server()")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ping_interval": "25"}, "ping_interval='25' must be a number, 0 or more"),
        ({"ping_timeout": -1}, "ping_timeout=-1 must be a number, 0 or more"),
        ({"ping_interval": 0}, "ping_interval must be more than 0"),
        ({"ping_interval": float("nan")}, "must be a number"),
        ({"max_payload": True}, "max_payload=True must be a whole number"),
        ({"max_payload": 0}, "max_payload must be more than 0"),
        ({"http_threads": 0}, "http_threads must be more than 0"),
        ({"handler_threads": 1.5}, "handler_threads=1.5 must be a whole number"),
        ({"always_connect": 1}, "always_connect=1 must be True or False"),
        ({"async_handlers": "no"}, "async_handlers='no' must be True or False"),
        ({"transports": []}, "choose from 'polling' and 'websocket', at least one"),
        ({"transports": ["websockets"]}, "choose from 'polling' and 'websocket'"),
        ({"transports": 5}, "transports=5 must be a name or a list of names"),
        ({"overflow": "drop"}, "choose 'close', 'drop_oldest' or 'drop_volatile'"),
        ({"path": 5}, "path=5 must be a text"),
        ({"path": "/"}, "path='/' must name a path"),
        ({"cors_allowed_origins": 5}, "cors_allowed_origins=5"),
        ({"cors_allowed_origins": ["shop.example"]}, "'https://shop.example'"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "trusted_proxies"),
        ({"namespaces": ["chat"]}, "must begin with a slash"),
    ],
)
def test_wrong_values_say_what_to_write(options, says):
    with pytest.raises(UsageError) as caught:
        Config.make(options)
    assert says in str(caught.value)
    assert str(caught.value).startswith("SocketIO(): ")


def test_defaults():
    config = Config.make({})
    assert (config.ping_interval, config.ping_timeout, config.max_payload) == (25, 20, 1_000_000)
    assert config.transports == ("polling", "websocket")
    assert config.cors_allowed_origins is None


def test_a_single_name_is_a_list_of_one():
    config = Config.make({"transports": "websocket", "namespaces": ["*"], "trusted_proxies": "10.0.0.0/8"})
    assert config.transports == ("websocket",)
    assert config.namespaces == ("*",)
    assert config.trusted_proxies == ("10.0.0.0/8",)


@pytest.mark.parametrize("path", ["socket.io", "/socket.io", "socket.io/", "/socket.io/"])
def test_prefix_has_slashes_around_it(path):
    assert Config.make({"path": path}).prefix == "/socket.io/"


def test_sessions_learn_what_they_need():
    options = Config.make({"ping_interval": 5, "overflow": "drop_oldest", "transports": ["polling"]}).engine_options()
    assert options.ping_interval == 5
    assert options.overflow is Overflow.DROP_OLDEST
    assert options.upgrades is False
    assert Config.make({}).engine_options().upgrades is True
    assert Config.make({"allow_upgrades": False}).engine_options().upgrades is False


def test_a_serializer_of_ones_own():
    serializer = Json()
    assert Config.make({"serializer": serializer}).make_serializer() is serializer
