"""The table of what is tried names every case and nothing else, and the page can be written from it."""

import re
from pathlib import Path

from scripts import robustness as page
from tests.support import robustness
from tests.support.robustness import CASES, Outcome

ABOUT_THE_CODE = {"test_no_clock_on_the_wall_decides_anything"}


def test_every_case_is_listed():
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        if path != Path(__file__):
            found |= set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE))
    assert found - ABOUT_THE_CODE == CASES.keys()


def test_the_page_is_written_from_outcomes(monkeypatch, tmp_path):
    monkeypatch.setattr(robustness, "RESULTS", tmp_path)
    monkeypatch.setattr(robustness, "FAULTS", tmp_path / "faults.json")
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    robustness.write_outcomes({"test_ping_flood": Outcome(True, 7, 1.0, {"longest_gap": 0.1})})
    robustness.write_outcomes({"test_oversized_request[a head]": Outcome(False, 1, 1.0, {})})
    text = "\n".join(page.faults())
    assert "| 7 WebSocket pings" in text
    assert "| passed | longest gap 0.10 s |" in text
    assert "larger than allowed: a head |" in text
    assert "| **failed** |" in text
    assert list(page.fuzzing()) == list(page.soaking()) == []
