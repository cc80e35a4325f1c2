"""The code blocks of the documentation, and how each of them is run.

    <!-- not run: the reason -->     right above a block: it is not run, and says why

A block is, by its language:

* `python`: executed, in the order of the page, in one namespace for each page, with an application and a SocketIO of
  its own; every name that its functions use must exist. `GIVEN` has what a page takes for granted.
* `html`, `js`: parsed by Node.js.
* `json`, `toml`, `ini`: parsed.
* `text`: what the program says. Every line must be a text that stands in the source.
* no language: lines of the log, as above, or command lines. Each command must be one that exists, with options that it
  really has (`commands.py`).
* a file, where the line above is its name in backticks and a colon: part of the page's program, which a test of its
  own runs (`PROGRAMS`).
"""

import ast
import builtins
import configparser
import inspect
import json
import re
import shutil
import subprocess
import symtable
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.docs.commands import check_command
from truesocket.flask import SocketIO
from truesocket.flask.run_options import for_server

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src/truesocket"

#: Pages whose blocks are the files of a program -> the test that runs it.
PROGRAMS = {
    "docs/tutorial/first-push.md": "tests/browser/test_tutorial.py::test_first_push",
    "docs/tutorial/first-push.zh-CN.md": "tests/browser/test_tutorial.py::test_first_push_in_chinese",
    "docs/tutorial/rooms.md": "tests/browser/test_tutorial.py::test_rooms",
    "docs/tutorial/login.md": "tests/browser/test_tutorial.py::test_login",
    "docs/how-to/test-your-application.md": "tests/testing/test_plugin.py::test_the_page_of_the_documentation",
}

_PREAMBLE = """
import os, threading, time
from flask import Flask, abort, render_template, request, session
from truesocket.flask import *
app = Flask("example")
app.secret_key = "example"
"""

_FENCE = re.compile(r"^( *)(`{3,})(.*)$")
_FILE = re.compile(r"^`([\w./-]+\.\w+)`[:：]$")
_REASON = re.compile(r"^<!-- not run: (.+) -->$")


@dataclass(frozen=True)
class Block:
    """One fenced block, with the line it begins on and what stands right above it."""

    page: str
    line: int
    language: str
    text: str
    file: str = ""
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Everything that users read."""
    return [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted(DOCS.rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page; Sphinx's directives are no code."""
    return [block for block in _blocks(page) if not block.language.startswith("{")]


def _blocks(page: Path) -> Iterator[Block]:
    name = page.relative_to(ROOT).as_posix()
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    above = ""
    for number, line in lines:
        fence = _FENCE.match(line)
        if not fence:
            above = line.strip() or above
            continue
        indent, ticks, language = fence.groups()
        text = []
        for _, inside in lines:
            if inside.strip() == ticks:
                break
            text.append(inside.removeprefix(indent))
        file, reason = _FILE.match(above), _REASON.match(above)
        yield Block(
            name,
            number,
            language.strip(),
            "\n".join(text) + "\n",
            file[1] if file else "",
            reason[1] if reason else "",
        )
        above = ""


def program_of(page: str, folder: Path) -> list[str]:
    """Write the files of a page's program into a folder, and return their names."""
    names = []
    for block in blocks_of(ROOT / page):
        if block.file:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
            names.append(block.file)
    return names


# -- each language -------------------------------------------------------------------------------------------------


class Page:
    """What the Python blocks of one page build up together."""

    def __init__(self, given: str = "") -> None:
        self.names: dict[str, Any] = {"__name__": "example"}
        exec(compile(_PREAMBLE + given, "given", "exec"), self.names)

    def run(self, block: Block) -> None:
        """Execute a block; it binds a SocketIO of its own, or gets one."""
        tree = ast.parse(block.text, str(block))
        calls = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        setup = "from flask import Flask\napp = Flask('example')\napp.secret_key = 'example'\n"
        if "SocketIO" not in calls:
            setup += "from truesocket.flask import SocketIO\nsocketio = SocketIO(app)\n"
        exec(setup, self.names)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SocketIO, "run", _would_run)
            exec(compile(tree, str(block), "exec"), self.names)
        missing = used_names(block.text) - self.names.keys() - set(dir(builtins))
        assert not missing, f"{block} uses {sorted(missing)}, and the page has no such name"


_RUN = inspect.signature(SocketIO.run)


def _would_run(*args: Any, **kwargs: Any) -> None:
    """A server would never come back: whether it takes these arguments, and tests/hosts runs it."""
    bound = _RUN.bind(*args, **kwargs)
    for_server(bound.arguments.get("server_options", {}), inspect.signature(uvicorn.Config).parameters, stacklevel=1)


def used_names(code: str) -> set[str]:
    """The global names that a piece of code reads, at any depth."""

    def walk(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                yield symbol.get_name()
        for child in table.get_children():
            yield from walk(child)

    return set(walk(symtable.symtable(code, "example", "exec")))


def check_html(block: Block) -> None:
    """The scripts of a page."""
    for kind, script in re.findall(r"<script([^>]*)>(.*?)</script>", block.text, re.DOTALL):
        if script.strip():
            check_js(script, module="module" in kind)


def check_js(script: str, *, module: bool) -> None:
    """Node.js parses it; nothing is run."""
    node = shutil.which("node")
    assert node, "Node.js is needed: make setup"
    kind = "module" if module else "commonjs"
    done = subprocess.run(
        [node, "--check", f"--input-type={kind}", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def check_ini(text: str) -> None:
    """systemd's files may name an option twice; everything else is as in any ini file."""
    configparser.RawConfigParser(strict=False).read_string(text)


def check_shell(block: Block) -> None:
    """Every command of a block; a backslash at the end goes on in the next line.  Or else lines of the log."""
    if block.text.startswith(("INFO", "WARNING", "ERROR")):
        check_said(block)
        return
    for line in block.text.replace("\\\n", " ").splitlines():
        command = line.split("  #")[0].strip().removeprefix("$ ")
        for part in re.split(r" && | \| ", command):
            if part:
                check_command(part)


def check_said(block: Block) -> None:
    """Every line is something that the program says; an indented line goes on with the one above."""
    for line in re.sub(r"\n +", " ", block.text).splitlines():
        said = re.sub(r"^(INFO|WARNING|ERROR) +", "", line.strip())
        assert not said or is_said(said), f"{block}: nothing in src/truesocket says {said!r}"


def check_json(block: Block) -> None:
    """Valid, and a hint in it is one of ours."""
    found = json.loads(block.text)
    if isinstance(found, dict) and "hint" in found:
        assert is_said(found["hint"]), f"{block}: nothing in src/truesocket gives the hint {found['hint']!r}"


CHECKS = {
    "html": check_html,
    "js": lambda block: check_js(block.text, module="import " in block.text),
    "json": check_json,
    "toml": lambda block: tomllib.loads(block.text),
    "ini": lambda block: check_ini(block.text),
    "text": check_said,
    "": check_shell,
}


# -- what the program says -------------------------------------------------------------------------------------------


@cache
def sayings() -> tuple[tuple[str, ...], ...]:
    """Every text in the source, cut at its gaps (`%s`, `{name}`)."""
    found = {each for file in sorted(SOURCE.rglob("*.py")) for each in _texts(ast.parse(file.read_text("utf-8")))}
    return tuple(sorted(each for each in found if len("".join(each)) >= 10))


def _texts(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line in {node.value, *node.value.splitlines()}:
                yield tuple(re.split(r"%(?:\.\d+)?[sdrfx]", line))
        elif isinstance(node, ast.JoinedStr):
            pieces = [each.value if isinstance(each, ast.Constant) else "\0" for each in node.values]
            yield tuple("".join(map(str, pieces)).split("\0"))


def is_said(line: str) -> bool:
    """Whether a line is one of the source's texts, and what fills its gaps, where it is a sentence, is another.

    Three dots at its end, behind a blank, leave the rest of the text out.
    """
    if line.endswith(" ..."):
        return any(_begins(line.removesuffix(" ..."), parts) for parts in sayings())
    for parts in sayings():
        match = _pattern(parts).fullmatch(line)
        if match and all(len(gap.split()) < 5 or is_said(gap) for gap in match.groups() if gap):
            return True
    return False


def _begins(line: str, parts: tuple[str, ...]) -> bool:
    """Whether a text begins with the line, which ends within one of the text's pieces or right behind it."""
    for index, part in enumerate(parts):
        for length in range(len(part), 0, -1):
            head = line.removesuffix(part[:length])
            if head != line and _pattern((*parts[:index], "") if index else ("",)).fullmatch(head):
                return len("".join(parts[:index])) + length >= 20
    return False


@cache
def _pattern(parts: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, parts)), re.DOTALL)
