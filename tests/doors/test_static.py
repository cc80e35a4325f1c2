"""The browser clients that the server serves."""

import pytest

from truesocket.doors.static import Static
from truesocket.errors import UsageError


def test_our_own_client_is_always_there():
    reply = Static(None).reply("truesocket.js", "GET", "")
    assert reply.status == 200
    assert b"globalThis.io" in reply.body
    etag = dict(reply.headers)["ETag"]
    again = Static(None).reply("truesocket.js", "GET", f'"other", {etag}')
    assert (again.status, again.body) == (304, b"")
    assert Static(None).reply("truesocket.js", "HEAD", "").body == b""
    assert Static(None).reply("truesocket.js", "POST", "").status == 404
    assert Static(None).reply("socket.io.js", "GET", "").status == 404


def test_a_file_that_the_application_names(tmp_path):
    script = tmp_path / "whatever.js"
    script.write_text("io = 1")
    static = Static(str(script))
    assert static.reply("socket.io.js", "GET", "").body == b"io = 1"
    assert static.reply("socket.io.min.js", "GET", "").status == 404
    script.write_text("io = 2")
    assert static.reply("socket.io.js", "GET", "").body == b"io = 2"


@pytest.mark.parametrize("place", ["", "dist", "client-dist", "socket.io-client/dist"])
def test_a_folder_of_npm(tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "socket.io.min.js").write_text("min")
    (folder / "socket.io.min.js.map").write_text("{}")
    static = Static(str(tmp_path))
    assert static.reply("socket.io.min.js", "GET", "").content_type == "text/javascript; charset=utf-8"
    assert static.reply("socket.io.min.js.map", "GET", "").content_type == "application/json"
    assert static.reply("socket.io.js", "GET", "").status == 404


@pytest.mark.parametrize("name", ["../secret", "package.json", "socket.io.js/../package.json", "socket.io..js", ""])
def test_nothing_else_is_ever_read(tmp_path, name):
    (tmp_path / "package.json").write_text("secret")
    assert Static(str(tmp_path)).reply(name, "GET", "").status == 404


def test_a_path_that_is_nothing():
    with pytest.raises(UsageError, match="npm install"):
        Static("no/such/place")
