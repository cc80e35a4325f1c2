"""The option ``cookie``."""

import pytest

from truesocket.core.cookies import Cookie
from truesocket.errors import UsageError


@pytest.mark.parametrize(
    ("option", "header"),
    [
        ("io", "io=abc; Path=/; SameSite=Lax"),
        ({"name": "io"}, "io=abc"),
        (
            {"name": "io", "path": "/app", "httpOnly": True, "secure": False, "SameSite": "None", "max_age": 60},
            "io=abc; Path=/app; HttpOnly; SameSite=None; Max-Age=60",
        ),
        ({"name": "io", "domain": lambda: "example.com", "secure": lambda: True}, "io=abc; Domain=example.com; Secure"),
        ({"name": "io", "expires": None}, "io=abc"),
    ],
)
def test_what_is_sent(option, header):
    assert Cookie(option).header("abc") == ("Set-Cookie", header)


@pytest.mark.parametrize("option", [5, {}, {"name": 5}, "two words", "", {"name": "io", "colour": "red"}])
def test_what_is_no_cookie(option):
    with pytest.raises(UsageError, match="cookie"):
        Cookie(option)


def test_a_value_cannot_smuggle_in_a_header():
    with pytest.raises(UsageError, match="would end the cookie"):
        Cookie({"name": "io", "path": "/\r\nX: y"}).header("abc")
