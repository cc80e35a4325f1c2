"""Who is on the demo page, without Flask and sockets."""

import pytest

from truesocket.demo.people import LISTED, People, clean

NAMES = 12 * 16


def test_somebody_enters_and_leaves():
    people = People()
    person = people.enter("a", None, "websocket")
    assert person["transport"] == "websocket"
    assert person["en"]
    assert person["zh"]
    assert people.get("a") == person
    assert people.listing() == {"count": 1, "list": [person]}
    people.leave("a")
    people.leave("a")
    assert people.get("a") is None
    assert people.listing()["count"] == 0


def test_a_name_that_is_free_again_can_be_kept():
    people = People()
    key = people.enter("a", None, "polling")["key"]
    assert people.enter("b", key, "polling")["key"] != key
    people.leave("a")
    assert people.enter("c", key, "polling")["key"] == key


@pytest.mark.parametrize("wanted", ["x", -1, NAMES, 1.5, None, [1]])
def test_whatever_the_browser_wants_gets_some_name(wanted):
    assert 0 <= People().enter("a", wanted, "polling")["key"] < NAMES


def test_names_are_different_while_there_are_any():
    people = People()
    keys = [people.enter(str(number), None, "websocket")["key"] for number in range(NAMES)]
    assert len(set(keys)) == NAMES
    assert people.enter("one more", None, "websocket")["key"] in range(NAMES)
    assert people.listing()["count"] == NAMES + 1
    assert len(people.listing()["list"]) == LISTED


def test_a_change_of_transport_is_noted_once():
    people = People()
    people.enter("a", None, "polling")
    assert people.moved("a", "websocket")
    assert not people.moved("a", "websocket")
    assert not people.moved("nobody", "websocket")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (" a\n b\t c ", "a b c"),
        ("x" * 99, "x" * 10),
        ("\x00\x1b[1m", "[1m"),
        (5, ""),
        (None, ""),
        ("你好 👨‍👩‍👧", "你好 👨‍👩‍👧"),
    ],
)
def test_what_is_typed_becomes_one_clean_line(typed, shown):
    assert clean(typed, 10) == shown
