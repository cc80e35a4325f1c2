"""The documentation is built as `make docs` builds it: a warning is an error, and no page is left out."""

import re
import subprocess
import sys

import pytest

import truesocket
import truesocket.flask
import truesocket.testing
from tests.docs.examples import DOCS, ROOT

pytest.importorskip("sphinx", reason="the documentation's tools are not installed here: make setup")
pytest.importorskip("myst_parser", reason="the documentation's tools are not installed here: make setup")
pytest.importorskip("furo", reason="the documentation's tools are not installed here: make setup")


OPTIONS = "-m sphinx --builder html --fail-on-warning --keep-going --quiet"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, *OPTIONS.split(), "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_make_docs_does_the_same():
    assert OPTIONS in (ROOT / "Makefile").read_text()


def test_it_asks_no_other_host(built):
    """Scripts, styles, fonts and pictures are files of the build."""
    for page in built.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="([^"]+)"|<link[^>]+href="([^"]+)"', text)
        for address in {one or other for one, other in loaded}:
            assert not address.startswith(("http:", "https:", "//")), f"{page.name} loads {address}"


@pytest.mark.parametrize(
    ("page", "module"),
    [("flask", truesocket.flask), ("server", truesocket), ("testing", truesocket.testing)],
    ids=["truesocket.flask", "truesocket", "truesocket.testing"],
)
def test_everything_public_is_in_the_reference(built, page, module):
    text = (built / f"reference/{page}.html").read_text(encoding="utf-8")
    errors = (built / "reference/errors.html").read_text(encoding="utf-8")
    for name in module.__all__:
        found = f'id="{module.__name__}.{name}"' in text or f'id="truesocket.errors.{name}"' in errors
        assert found or name == "__version__", f"{module.__name__}.{name} is in no page of the reference"


def test_every_page_is_named_on_the_first():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).as_posix()
        assert name == "index.md" or f"({name})" in index, f"docs/index.md does not say that there is {name}"


LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_outside_lead_somewhere(name):
    for target in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
        assert "://" in target or (ROOT / target).exists(), f"{name}: there is no {target}"


def test_paths_in_texts_of_the_program_exist():
    """Hints and log lines name pages of the documentation."""
    for file in (ROOT / "src").rglob("*.py"):
        for path in re.findall(r"docs/[\w/.-]+\.md", file.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{file.relative_to(ROOT)} names {path}"
