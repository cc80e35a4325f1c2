"""The tree of exceptions, as drawn at the top of its module."""

import pytest

from truesocket import errors
from truesocket.errors import (
    AckTimeout,
    Disconnected,
    ProtocolError,
    Refused,
    TooLarge,
    TruesocketError,
    UnknownOption,
    UnknownSid,
    UpgradeError,
    UsageError,
    nearest,
)

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BaseException)]


def test_the_drawing_shows_every_class_below_its_parent():
    lines = [line for line in (errors.__doc__ or "").splitlines() if "Error" in line or "──" in line]
    assert {each.__name__ for each in CLASSES} == set(errors.__all__) - {"nearest"}
    for each in CLASSES:
        [line] = [
            line for line in (errors.__doc__ or "").splitlines() if f" {each.__name__} " in f"{line} ".replace("(", " ")
        ]
        depth = line.index(each.__name__) // 4 - 1
        parents = [base for base in each.__mro__[1:] if issubclass(base, TruesocketError)]
        assert depth == len(parents), line
    assert lines


def test_everything_has_one_root_but_disconnected():
    for each in CLASSES:
        assert issubclass(each, TruesocketError) != (each is Disconnected)
    assert not issubclass(Disconnected, Exception)
    assert Disconnected("ping timeout").reason == "ping timeout"


def test_also_builtin_ones():
    assert issubclass(AckTimeout, TimeoutError)
    assert issubclass(UnknownSid, KeyError)
    assert issubclass(UnknownOption, TypeError)
    assert issubclass(UnknownOption, UsageError)


def test_protocol_errors_carry_codes():
    assert (ProtocolError("x").close_code, ProtocolError("x").http_status) == (1002, 400)
    assert (TooLarge("x").close_code, TooLarge("x").http_status) == (1009, 413)
    error = ProtocolError("x", close_code=1007, http_status=426)
    assert (error.close_code, error.http_status, str(error)) == (1007, 426, "x")
    upgrade = UpgradeError("x", http_status=405, headers=(("Allow", "GET"),))
    assert (upgrade.http_status, upgrade.headers) == (405, (("Allow", "GET"),))


@pytest.mark.parametrize(
    ("args", "payload"),
    [
        ((), {"message": "Connection rejected by server"}),
        (("no",), {"message": "no"}),
        ((5,), {"message": "5"}),
        (("no", None), {"message": "no", "data": None}),
        (("no", {"a": 1}), {"message": "no", "data": {"a": 1}}),
        (("no", 1, 2), {"message": "no", "data": [1, 2]}),
    ],
)
def test_payload_of_a_refusal(args, payload):
    assert Refused(*args).payload == payload


def test_unknown_sid_is_readable():
    assert str(UnknownSid("abc", "/chat")) == (
        "no client with sid 'abc' in the namespace '/chat'; it may have left just now"
    )


def test_nearest():
    assert nearest("transprots", ["transports", "path"]) == "; did you mean 'transports'?"
    assert nearest("colour", ["transports", "path"]) == ""
