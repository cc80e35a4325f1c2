"""Command lines in the documentation: each must be a command that exists, with options that it really has."""

import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from truesocket import cli

ROOT = Path(__file__).parents[2]


def check_command(line: str) -> None:
    """Fail where a command line could not work as it is written."""
    words = shlex.split(line)
    while words and re.match(r"^[A-Z_]+=", words[0]):
        words.pop(0)
    name = re.split(r"[/\\]", words[0])[-1]
    check = COMMANDS.get(name)
    assert check, (
        f"nothing checks the command {name!r} of {line!r}: mark the block with a reason, or add it to COMMANDS"
    )
    check(words[1:])


def _truesocket(arguments: list[str]) -> None:
    if arguments not in (["--help"], ["--version"]):
        cli._parser().parse_args(arguments)


def _make(arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for word in arguments:
        assert "=" in word or word in targets, f"make {word}: no such target"


def _pip(arguments: list[str]) -> None:
    assert arguments[0] == "install"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in arguments[1:]:
        for extra in re.findall(r"^truesocket\[(.+)\]$", word):
            assert set(extra.split(",")) <= extras.keys(), word


def _uvicorn(arguments: list[str]) -> None:
    from uvicorn.main import main

    main.make_context("uvicorn", list(arguments))


def _gunicorn(arguments: list[str]) -> None:
    if sys.platform == "win32":  # there is none
        return
    from gunicorn.config import Config

    Config().parser().parse_args(arguments)


def _flask(arguments: list[str]) -> None:
    from flask.cli import FlaskGroup, run_command

    group = FlaskGroup()
    with mock.patch.dict(os.environ):  # --debug says so to the whole process
        context = group.make_context(
            "flask", [word for word in arguments if word != "run"] + ["run"], resilient_parsing=True
        )
        assert context.command
        run_command.make_context("run", arguments[arguments.index("run") + 1 :], resilient_parsing=True)


def _python(arguments: list[str]) -> None:
    if arguments[:1] == ["-m"]:
        known = {"venv": None, "pip": _pip, "truesocket": _truesocket, "pytest": None}
        assert arguments[1] in known or arguments[1].startswith("truesocket."), arguments
        if check := known.get(arguments[1]):
            check(arguments[2:])
    else:
        assert arguments[0].endswith(".py"), arguments


def _nothing(arguments: list[str]) -> None:
    """What is not ours to check: there is such a command on every machine that needs it."""


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "truesocket": _truesocket,
    "make": _make,
    "pip": _pip,
    "uvicorn": _uvicorn,
    "gunicorn": _gunicorn,
    "flask": _flask,
    "python": _python,
    "pytest": _nothing,
    "npm": _nothing,
    "git": _nothing,
    "cd": _nothing,
    "curl": _nothing,
    "hypercorn": _nothing,  # its test in tests/hosts starts it with the options of its page
    "granian": _nothing,
    "waitress-serve": _nothing,
    "sudo": _nothing,
    "systemctl": _nothing,
    "openssl": _nothing,
    "docker": _nothing,
    "mkcert": _nothing,
    "export": _nothing,
}
