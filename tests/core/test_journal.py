from truesocket.codec.parcel import Parcel
from truesocket.codec.serializers import Written
from truesocket.core.journal import Journal, Kept, Limits

LIMITS = Limits(seconds=10, events=1000, bytes=1_000_000)


def put(journal, rooms=None, at=0.0, text="2[1]", excepted=frozenset()):
    rooms = rooms if rooms is None else tuple(rooms)
    kept = Kept(journal.seq + 1, at, rooms, excepted, Written(text[1:]), Parcel(text))
    journal.keep(kept)
    return kept


def test_events_behind_a_number():
    journal = Journal("/", "e", LIMITS)
    kept = [put(journal) for _ in range(5)]
    assert journal.since(0) == kept
    assert journal.since(3) == kept[3:]
    assert journal.since(5) == []


def test_an_offset_is_read_back_and_no_other_text_is():
    journal = Journal("/", "epoch", LIMITS)
    put(journal)
    put(journal)
    assert journal.offset() == "epoch.2"
    assert journal.seq_of(journal.offset(1)) == 1
    assert journal.seq_of("epoch.0") == 0
    for wrong in ("epoch.3", "other.1", "epoch.-1", "epoch.", "epoch.x", "epoch.²", "hello", "", None, 2, ["epoch.1"]):
        assert journal.seq_of(wrong) is None, wrong
    assert journal.seq_of("epoch." + "9" * 5000) is None


def test_too_many_events_push_out_the_oldest():
    journal = Journal("/", "e", Limits(10, 3, 1_000_000))
    kept = [put(journal) for _ in range(5)]
    assert journal.since(0) == kept[2:]
    assert not journal.knows(1)
    assert journal.knows(2)
    assert journal.since(3) == kept[3:]


def test_too_many_bytes_push_out_the_oldest():
    journal = Journal("/", "e", Limits(10, 1000, 1000))
    for _ in range(100):
        put(journal, text="2" + "x" * 99)
    assert journal.bytes <= 1000
    assert len(journal) == 3


def test_one_event_over_the_limit_leaves_nothing_and_says_so():
    journal = Journal("/", "e", Limits(10, 1000, 10))
    put(journal, ["a"], text="2" + "x" * 99)
    assert len(journal) == 0
    assert journal.bytes == 0
    assert not journal.knows(0)
    assert journal.knows(1)
    assert journal.in_room("a") == []


def test_old_events_expire():
    journal = Journal("/", "e", LIMITS)
    put(journal, at=0.0)
    put(journal, at=5.0)
    journal.expire(10.0)
    assert journal.knows(0)
    journal.expire(10.5)
    assert not journal.knows(0)
    assert [kept.seq for kept in journal.since(0)] == [2]
    journal.expire(100.0)
    assert journal.since(0) == []
    assert journal.knows(2)


def test_the_index_of_rooms_follows():
    journal = Journal("/", "e", Limits(10, 3, 1_000_000))
    first = put(journal, ["a", "b", "a"])
    second = put(journal, ["b"])
    put(journal)
    assert journal.in_room("a") == [first]
    assert journal.in_room("b") == [first, second]
    assert journal.in_room("c") == []
    put(journal)
    assert journal.in_room("a") == []
    assert journal.in_room("b") == [second]
