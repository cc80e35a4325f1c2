"""Every code block of the documentation is run, or says why not."""

from pathlib import Path

import pytest

from tests.docs.examples import CHECKS, PROGRAMS, ROOT, Block, Page, blocks_of, is_said, pages, used_names
from truesocket.errors import UnknownOption

#: What a page takes for granted: the reader's own functions.
GIVEN = {
    "docs/how-to/push-from-anywhere.md": """
def price_of(symbol): return 1.0
def all_prices(): return {"X": 1.0}
def save(order): pass
""",
}

NAMES = [page.relative_to(ROOT).as_posix() for page in pages()]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Examples may name files that their readers have."""
    (tmp_path / "node_modules/socket.io-client/dist").mkdir(parents=True)
    for name in ("socket.io.js", "socket.io.min.js"):
        (tmp_path / "node_modules/socket.io-client/dist" / name).write_text("// the client")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_runs_or_says_why_not(name):
    page = Page(GIVEN.get(name, ""))
    for block in blocks_of(ROOT / name):
        if block.reason:
            assert len(block.reason.split()) >= 3, f"{block}: a reason is a sentence"
        elif block.file:
            assert name in PROGRAMS, f"{block}: no test runs the program of this page (PROGRAMS)"
        elif block.language == "python":
            page.run(block)
        else:
            assert block.language in CHECKS, f"{block}: nothing runs {block.language!r}; give a reason why not"
            CHECKS[block.language](block)


def test_the_programs_have_tests():
    for page, proof in PROGRAMS.items():
        file, _, test = proof.partition("::")
        tests = (ROOT / file).read_text(encoding="utf-8")
        assert page in NAMES
        assert f"def {test}(" in tests
        assert f'"{page}"' in tests


# -- the mechanism itself --------------------------------------------------------------------------------------------


def write(folder: Path, text: str) -> list[Block]:
    page = ROOT / "docs" / "x.md"
    target = folder / "x.md"
    target.write_text(text, encoding="utf-8")
    return [Block(page.name, b.line, b.language, b.text, b.file, b.reason) for b in _parsed(target)]


def _parsed(target: Path) -> list[Block]:
    from tests.docs import examples

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "ROOT", target.parent)
        return blocks_of(target)


def test_blocks_are_found_with_what_stands_above(tmp_path):
    found = write(
        tmp_path, "`app.py`:\n\n```python\nx\n```\n\n<!-- not run: for a reason -->\n```js\ny\n```\n```\nz\n```\n"
    )
    assert [(b.language, b.text, b.file, b.reason) for b in found] == [
        ("python", "x\n", "app.py", ""),
        ("js", "y\n", "", "for a reason"),
        ("", "z\n", "", ""),
    ]


def test_a_name_that_does_not_exist_is_found():
    assert used_names("def f(x):\n    return g(x, len(x))\n") == {"g", "len"}
    with pytest.raises(AssertionError, match="nowhere"):
        Page().run(Block("x.md", 1, "python", "def f():\n    nowhere()\n"))


def test_a_language_that_nothing_runs_has_no_check():
    assert "nginx" not in CHECKS
    assert "rust" not in CHECKS


def test_a_wrong_command_is_found():
    for command in (
        "truesocket run --nonsense app:app",
        "make nonsense",
        "pip install truesocket[nonsense]",
        "nonsense",
    ):
        with pytest.raises((AssertionError, SystemExit)):
            CHECKS[""](Block("x.md", 1, "", command + "\n"))


def test_only_what_the_source_says_is_said():
    assert is_said("client abc at 10.0.0.7 was closed: text after the end")
    assert not is_said("client abc at 10.0.0.7 was closed because we felt like it today, did we not")
    assert not is_said("the server is on fire")
    assert is_said("client abc at 10.0.0.7 stays on long-polling: ...")
    assert not is_said("client abc at 10.0.0.7 stays in bed ...")


def test_broken_scripts_are_found():
    with pytest.raises(AssertionError):
        CHECKS["html"](Block("x.md", 1, "html", "<script>const = 3</script>"))


def test_run_is_not_run_but_its_arguments_are_looked_at():
    Page().run(Block("x.md", 1, "python", 'socketio.run(app, port=80, certfile="cert.pem", log_level="info")\n'))
    with pytest.raises(UnknownOption):
        Page().run(Block("x.md", 1, "python", "socketio.run(app, prot=80)\n"))
