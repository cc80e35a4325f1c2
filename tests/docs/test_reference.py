"""The reference lists what there is, all of it and nothing else."""

import re
from dataclasses import fields
from inspect import signature
from pathlib import Path

from truesocket.core.config import Config
from truesocket.doors import uvicorn
from truesocket.flask import SocketIO
from truesocket.flask.options import _OWN, OBSOLETE

OPTIONS = (Path(__file__).parents[2] / "docs/reference/options.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", OPTIONS, re.MULTILINE))


def test_every_option_is_listed():
    known = {field.name for field in fields(Config)} | {*_OWN, "switch_interval", "gc_freeze"}
    assert ROWS.keys() == known


def test_the_defaults_are_true():
    defaults = {field.name: field.default for field in fields(Config)}
    defaults |= {name: signature(uvicorn.serve).parameters[name].default for name in ("switch_interval", "gc_freeze")}
    for name, default in defaults.items():
        listed = eval(ROWS[name], {})
        assert listed == (list(default) if isinstance(default, tuple) else default), name


def test_what_run_takes_is_listed():
    section = OPTIONS.split("## `socketio.run()`")[1].split("\n## ")[0]
    for name in ("host", "port", "debug", "use_reloader", "extra_files", "log_output", "ssl_context", "certfile"):
        assert name in signature(SocketIO.run).parameters
        assert f"`{name}`" in section


def test_what_does_nothing_is_listed():
    section = OPTIONS.split("## Accepted and without effect")[1]
    assert set(re.findall(r"`(\w+)`", section)) == {*OBSOLETE, "DeprecationWarning"}
