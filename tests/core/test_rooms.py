"""Who is in which room."""

from hypothesis import given
from hypothesis import strategies as st

from truesocket.core.rooms import Rooms


def test_entering_and_leaving():
    rooms = Rooms()
    rooms.enter("ann", "lobby")
    rooms.enter("bob", "lobby")
    rooms.enter("ann", 7)
    rooms.enter("ann", "lobby")  # twice is once
    assert list(rooms.members("lobby")) == ["ann", "bob"]
    assert list(rooms.rooms("ann")) == ["lobby", 7]
    rooms.leave("ann", "lobby")
    assert list(rooms.members("lobby")) == ["bob"]
    assert list(rooms.rooms("ann")) == [7]


def test_nobody_and_nowhere():
    rooms = Rooms()
    rooms.leave("ann", "lobby")
    rooms.leave_all("ann")
    rooms.close("lobby")
    rooms.enter("ann", "lobby")
    rooms.leave("ann", "cellar")
    assert list(rooms.members("cellar")) == []
    assert list(rooms.rooms("bob")) == []
    assert list(rooms.rooms("ann")) == ["lobby"]


def test_leaving_all_touches_the_own_rooms_only():
    rooms = Rooms()
    for room in range(3):
        rooms.enter("ann", room)
        rooms.enter("bob", room)
    rooms.leave_all("ann")
    assert list(rooms.rooms("ann")) == []
    assert [list(rooms.members(room)) for room in range(3)] == [["bob"]] * 3


def test_closing_a_room():
    rooms = Rooms()
    for name in ("ann", "bob"):
        rooms.enter(name, "lobby")
        rooms.enter(name, "bar")
    rooms.close("lobby")
    assert list(rooms.members("lobby")) == []
    assert list(rooms.rooms("ann")) == ["bar"]


def test_a_live_view_cannot_make_a_room():
    rooms = Rooms()
    view = rooms.members("lobby")
    rooms.enter("ann", "lobby")
    assert list(view) == []
    live = rooms.members("lobby")
    rooms.enter("bob", "lobby")
    assert list(live) == ["ann", "bob"]


moves = st.tuples(st.sampled_from(["enter", "leave", "leave_all", "close"]), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(moves, max_size=60))
def test_both_directions_agree_with_a_set_of_pairs(steps):
    rooms, pairs = Rooms(), set()
    for move, member, room in steps:
        if move == "enter":
            rooms.enter(member, room)
            pairs.add((member, room))
        elif move == "leave":
            rooms.leave(member, room)
            pairs.discard((member, room))
        elif move == "leave_all":
            rooms.leave_all(member)
            pairs = {pair for pair in pairs if pair[0] != member}
        else:
            rooms.close(room)
            pairs = {pair for pair in pairs if pair[1] != room}
        for at in range(4):
            assert set(rooms.members(at)) == {who for who, where in pairs if where == at}
            assert set(rooms.rooms(at)) == {where for who, where in pairs if who == at}
    for member in range(4):
        rooms.leave_all(member)
    assert not rooms._members  # empty rooms cost nothing
    assert not rooms._rooms
