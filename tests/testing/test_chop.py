"""Bytes in pieces: every cut is there, and the pieces together are the whole."""

from hypothesis import given
from hypothesis import strategies as st

from truesocket.testing import chopped, splits


def test_every_way_to_cut_once():
    assert list(splits(b"abc")) == [(b"abc",), (b"a", b"bc"), (b"ab", b"c"), (b"a", b"b", b"c")]
    assert list(splits(b"")) == [(b"",), ()]


def test_cut_at_places():
    assert chopped(b"abcde", [3, 1, 3, 0, 5, -1, 99]) == [b"a", b"bc", b"de"]
    assert chopped(b"abc", []) == [b"abc"]
    assert chopped(b"", [0, 1]) == []


@given(st.binary(max_size=50), st.lists(st.integers(-5, 60)))
def test_the_pieces_are_the_whole(data, places):
    pieces = chopped(data, places)
    assert b"".join(pieces) == data
    assert all(pieces)
