"""truesocket.browser: the files that the server serves, and the ES module made from the classic script."""

import re
import shutil
import subprocess

import pytest

from truesocket.browser import asset

NAMES = ("truesocket.js", "truesocket.mjs", "truesocket.d.ts")


def served(name):
    found = asset(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_a_body_a_type_and_a_strong_etag(name):
    file = served(name)
    assert file.body.decode()
    assert file.content_type.endswith("; charset=utf-8")
    assert re.fullmatch(r'"[0-9a-f]{32}"', file.etag)
    assert served(name) is file, "read once"


def test_scripts_are_javascript():
    assert served("truesocket.js").content_type == served("truesocket.mjs").content_type
    assert served("truesocket.js").content_type.startswith("text/javascript")  # RFC 9239


def test_etags_differ_as_the_contents_do():
    assert len({served(name).etag for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", ["", "x.js", "__init__.py", "../browser/truesocket.js", "/truesocket.js", "IO.JS"])
def test_nothing_else_is_served(name):
    assert asset(name) is None


def test_module_and_script_differ_in_the_last_line_alone():
    script, module = (served(name).body.decode().splitlines() for name in ("truesocket.js", "truesocket.mjs"))
    assert script[:-1] == module[:-1]
    assert script[-1] == "globalThis.io = truesocket;"
    assert "export" in module[-1]


def test_module_exports_and_leaves_the_page_alone(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.fail("no Node.js found: run `make setup`", pytrace=False)
    (tmp_path / "truesocket.mjs").write_bytes(served("truesocket.mjs").body)
    (tmp_path / "use.mjs").write_text(
        'import main, { io, connect, Manager, Socket, protocol } from "./truesocket.mjs";\n'
        "console.log(main === io, connect === io, typeof Manager, typeof Socket, protocol, globalThis.io);\n"
    )
    done = subprocess.run([node, "use.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["true", "true", "function", "function", "5", "undefined"]


def test_types_name_every_option():
    script, types = served("truesocket.js").body.decode(), served("truesocket.d.ts").body.decode()
    defaults = script.split("const DEFAULTS = {")[1].split("\n  };")[0]
    options = re.findall(r"^    (\w+):", defaults, re.MULTILINE)
    assert len(options) >= 16
    for option in options:
        assert re.search(rf"^  {option}: ", types, re.MULTILINE), option
