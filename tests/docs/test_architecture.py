"""docs/explanation/architecture.md and CONTRIBUTING.md describe the house that stands."""

import re
import tomllib

import pytest

from tests.docs.examples import DOCS, ROOT, SOURCE, blocks_of

PAGE = DOCS / "explanation/architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")


def layers() -> list[set[str]]:
    """The staircase as import-linter keeps it, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (staircase,) = [each for each in settings["contracts"] if each["id"] == "staircase"]
    return [set(re.findall(r"\w+", step)) for step in staircase["layers"]]


@pytest.mark.parametrize("page", [PAGE, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_the_picture_of_the_staircase(page):
    (picture,) = [block.text for block in blocks_of(page) if re.search(r"^(\d  )?cli$", block.text, re.MULTILINE)]
    drawn = [re.match(r"(?:\d  )?([a-z_]+(?: \| [a-z_]+)*)", line) for line in picture.splitlines()]
    assert [set(line[1].split(" | ")) for line in drawn if line] == layers()


def test_the_tree_names_every_room():
    (tree,) = [block.text for block in blocks_of(PAGE) if block.text.startswith("src/truesocket/")]
    drawn = set(re.findall(r"^    (\w[\w.]*/?)", tree, re.MULTILINE))
    folders = {f"{each.name}/" for each in SOURCE.iterdir() if (each / "__init__.py").exists()}
    files = {each.name for each in SOURCE.glob("[a-z]*.py")}
    assert drawn == folders | files


def test_the_files_it_names_exist():
    named = set(re.findall(r"`((?:codec|session|transports|core|doors|flask|testing)/\w+\.py|bridge\.py)`", TEXT))
    assert len(named) > 10
    for name in named:
        assert (SOURCE / name).exists(), f"there is no {name}"
