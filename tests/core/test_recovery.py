import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.test_journal import put
from truesocket.core.journal import Limits
from truesocket.core.recovery import DELIBERATE, Recovery


def make(seconds=60.0, clients=100, events=1000):
    return Recovery(Limits(seconds + 45, events, 1_000_000), seconds, clients)


def join(recovery, sid, namespace):
    state = recovery.begin(sid, namespace)
    recovery.accept(state)
    return state


def come_back(recovery, state, offset=None, now=1.0):
    claim = recovery.claim(state.pid, offset, state.namespace, now)
    return None if claim is None else [kept.seq for kept in recovery.resume(claim)]


def test_a_client_gets_what_it_missed_and_nothing_twice():
    recovery = make()
    journal = recovery.journal("/")
    put(journal)
    state = join(recovery, "sid", "/")
    for _ in range(4):
        put(journal)
    recovery.drop(state, "transport close", 0.0)
    put(journal)
    assert come_back(recovery, state, journal.offset(3)) == [4, 5, 6]


def test_without_an_offset_it_is_everything_since_its_connect():
    recovery = make()
    journal = recovery.journal("/")
    put(journal)
    state = join(recovery, "sid", "/")
    recovery.drop(state, "ping timeout", 0.0)
    put(journal)
    assert come_back(recovery, state, None) == [2]


def test_an_offset_from_before_its_connect_tells_nothing_of_before():
    recovery = make()
    journal = recovery.journal("/")
    put(journal)
    put(journal)
    state = join(recovery, "sid", "/")
    put(journal)
    recovery.drop(state, "transport close", 0.0)
    assert come_back(recovery, state, journal.offset(0)) == [3]


def test_rooms_as_they_were_at_each_event():
    recovery = make()
    journal = recovery.journal("/")
    state = join(recovery, "me", "/")
    put(journal, ["a"])  # 1: not in yet
    state.enter("a")
    put(journal, ["a"])  # 2
    put(journal, ["b"])  # 3: never in
    put(journal, ["me"])  # 4: its own room
    put(journal, ["a", "b"], excepted=frozenset(["me"]))  # 5: all but me
    state.leave("a")
    put(journal, ["a"])  # 6: out again
    state.enter("a")
    put(journal, ["a"])  # 7
    put(journal, None, excepted=frozenset(["a"]))  # 8: everybody but room a
    put(journal, ())  # 9: nobody
    recovery.drop(state, "transport error", 0.0)
    put(journal, ["a"])  # 10: away, and still in
    recovery.close_room("/", "a")
    put(journal, ["a"])  # 11
    put(journal, None)  # 12
    assert come_back(recovery, state) == [2, 4, 7, 10, 12]


@pytest.mark.parametrize("reason", sorted(DELIBERATE))
def test_who_left_on_purpose_is_forgotten(reason):
    recovery = make()
    state = join(recovery, "sid", "/")
    recovery.drop(state, reason, 0.0)
    assert come_back(recovery, state) is None
    assert recovery.away == 0


def test_between_asking_and_being_let_in_it_can_be_named_but_is_not_one_of_everybody():
    recovery = make()
    journal = recovery.journal("/")
    put(journal, ["me"])  # 1: before it asked
    state = recovery.begin("me", "/")
    put(journal, ["me"])  # 2: held, and sent when it was let in
    put(journal)  # 3: to those who were in
    recovery.accept(state)
    put(journal)  # 4
    recovery.drop(state, "transport close", 0.0)
    assert come_back(recovery, state) == [2, 4]


def test_a_claim_that_is_refused_is_forgotten():
    recovery = make()
    state = join(recovery, "sid", "/")
    recovery.drop(state, "transport close", 0.0)
    claim = recovery.claim(state.pid, None, "/", 1.0)
    recovery.discard(claim.state)
    assert recovery.away == 0
    assert recovery.claim(state.pid, None, "/", 1.0) is None


def test_a_room_that_is_closed_while_its_client_comes_back():
    recovery = make()
    journal = recovery.journal("/")
    state = join(recovery, "sid", "/")
    state.enter("a")
    recovery.drop(state, "transport close", 0.0)
    claim = recovery.claim(state.pid, None, "/", 1.0)
    put(journal, ["a"])
    recovery.close_room("/", "a")
    put(journal, ["a"])
    assert [kept.seq for kept in recovery.resume(claim)] == [1]
    assert not state.stays


def test_a_state_is_claimed_once():
    recovery = make()
    state = join(recovery, "sid", "/")
    recovery.drop(state, "transport close", 0.0)
    assert recovery.claim(state.pid, None, "/", 1.0) is not None
    assert recovery.claim(state.pid, None, "/", 1.0) is None


def test_it_can_break_again_and_again():
    recovery = make()
    journal = recovery.journal("/")
    state = join(recovery, "sid", "/")
    seen = []
    offset = None
    for turn in range(50):
        put(journal)
        recovery.drop(state, "transport close", float(turn))
        put(journal)
        missed = come_back(recovery, state, offset, float(turn))
        seen += missed
        offset = journal.offset(seen[-1])
    assert seen == list(range(1, 101))


@pytest.mark.parametrize(
    ("pid", "offset", "namespace"),
    [("x", None, "/"), (None, None, "/"), (7, None, "/"), ("right", "other.0", "/"), ("right", "text", "/"),
     ("right", "", "/"), ("right", 3, "/"), ("right", None, "/other")],
)  # fmt: skip
def test_wrong_claims(pid, offset, namespace):
    recovery = make()
    state = join(recovery, "sid", "/")
    recovery.drop(state, "transport close", 0.0)
    assert recovery.claim(state.pid if pid == "right" else pid, offset, namespace, 1.0) is None


def test_too_late():
    recovery = make(seconds=60)
    state = join(recovery, "sid", "/")
    recovery.drop(state, "transport close", 100.0)
    assert recovery.present(state.pid, "/") is None
    assert come_back(recovery, state, None, 160.0) == []
    recovery.drop(state, "transport close", 200.0)
    assert come_back(recovery, state, None, 260.5) is None
    assert recovery.away == 0


def test_too_much_was_sent():
    recovery = make(events=10)
    journal = recovery.journal("/")
    state = join(recovery, "sid", "/")
    recovery.drop(state, "transport close", 0.0)
    for _ in range(11):
        put(journal)
    assert come_back(recovery, state) is None


def test_too_many_are_away():
    recovery = make(clients=3)
    states = [join(recovery, str(number), "/") for number in range(5)]
    for state in states:
        recovery.drop(state, "transport close", 0.0)
    assert recovery.away == 3
    assert [come_back(recovery, state) for state in states] == [None, None, [], [], []]


def test_who_is_still_here_under_a_pid():
    recovery = make()
    state = join(recovery, "sid", "/chat")
    assert recovery.present(state.pid, "/chat") == "sid"
    assert recovery.present(state.pid, "/") is None
    assert recovery.present("x", "/chat") is None
    assert recovery.present(["x"], "/chat") is None
    recovery.drop(state, "transport close", 0.0)
    assert recovery.present(state.pid, "/chat") is None


def test_pids_are_secrets_of_128_bits():
    recovery = make()
    pids = {join(recovery, "sid", "/").pid for _ in range(100)}
    assert len(pids) == 100
    assert all(len(pid) == 22 for pid in pids)  # base64 of 16 bytes


def test_past_stays_are_bounded():
    recovery = make()
    journal = recovery.journal("/")
    state = join(recovery, "sid", "/")
    for number in range(5000):
        state.enter(number)
        put(journal)
        state.leave(number)
    assert len(state.past) == 1000
    assert not state.stays


rooms = st.sampled_from("abc")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), rooms),
        st.tuples(st.just("leave"), rooms),
        st.tuples(st.just("emit"), st.one_of(st.none(), st.lists(rooms, max_size=2)), st.frozensets(rooms, max_size=1)),
        st.tuples(st.just("receive")),
        st.tuples(st.just("break")),
    ),
    max_size=60,
)


@given(steps)
def test_like_a_client_whose_connection_never_breaks(steps):
    """Whatever happens in whatever order: what came through, with what is made up for, is what was meant, in order."""
    recovery = make()
    journal = recovery.journal("/")
    state = join(recovery, "me", "/")
    now_in: set[str] = set()
    meant, wire, seen = [], [], []

    def back():
        nonlocal wire
        wire = []  # what was on its way is lost
        recovery.drop(state, "transport close", 0.0)
        seen.extend(come_back(recovery, state, journal.offset(seen[-1]) if seen else None))

    for step in steps:
        match step:
            case ("enter", room):
                now_in.add(room)
                state.enter(room)
            case ("leave", room):
                now_in.discard(room)
                state.leave(room)
            case ("emit", target, excepted):
                kept = put(journal, target, excepted=excepted)
                if (target is None or now_in & set(target)) and not now_in & excepted:
                    meant.append(kept.seq)
                    wire.append(kept.seq)
            case ("receive",):
                seen += wire
                wire = []
            case _:
                back()
    back()
    assert seen == meant
