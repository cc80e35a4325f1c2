"""What SECURITY.md promises of the source as a whole."""

import ast
import re
from pathlib import Path

import pytest

import truesocket
from truesocket.core.returning import new_sid
from truesocket.core.server import Server

SOURCE = Path(truesocket.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
SECURITY = (Path(__file__).parents[1] / "SECURITY.md").read_text(encoding="utf-8")

#: Read what they are given as a program, or as objects.
NEVER = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "yaml", "xmlrpc"}
#: Random, and guessed by who has seen a few.
GUESSED = {"random"}
CALLS = {"eval", "exec", "compile", "__import__"}


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            found.add(ast.unparse(node.args[0]).strip("'\"").partition(".")[0])
    return found


def calls(tree: ast.AST) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_nothing_is_pickled_guessed_or_evaluated(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not imports(tree) & NEVER
    assert not calls(tree) & CALLS
    if not path.is_relative_to(SOURCE / "demo"):
        assert not imports(tree) & GUESSED
        assert not re.search(r"\buuid[1-8]\(", path.read_text(encoding="utf-8"))


def test_the_look_at_imports_sees_them():
    tree = ast.parse("import os.path, pickle\nfrom marshal import loads\nimportlib.import_module('dill.x')\neval('1')")
    assert imports(tree) == {"os", "pickle", "marshal", "dill"}
    assert "eval" in calls(tree)


def test_ids_are_long_and_from_secrets():
    assert len({new_sid() for _ in range(1000)}) == 1000
    assert len(new_sid()) >= 20  # base64: 6 bits each
    source = (SOURCE / "core/server.py").read_text() + (SOURCE / "core/returning.py").read_text()
    assert "sid = secrets.token_urlsafe(15)" in source
    assert len(Server().tag) == 5


def test_what_stands_against_it_is_tested_by_files_that_exist():
    named = re.findall(r"`(tests/[\w/.]+)`", SECURITY)
    assert len(named) > 8
    for name in named:
        assert (SOURCE.parents[1] / name).exists(), name


def test_its_options_exist():
    from truesocket.core.config import Config

    for name in ("trusted_proxies", "max_connections", "events_per_second", "header_timeout", "cors_allowed_origins"):
        assert f"`{name}" in SECURITY
        assert name in Config.__dataclass_fields__
