"""One client's bounded queue: order, bounds, and what a polling payload takes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec.engineio import MESSAGE, PING, EnginePacket
from truesocket.codec.parcel import Parcel
from truesocket.session.outbox import Outbox

PING_PACKET = EnginePacket(PING)


def parcel(number, size=0, attachments=()):
    return Parcel(f'2["{number}","{"x" * size}"]', attachments)


def units(outbox):
    return [outbox.take() for _ in range(len(outbox))]


def test_first_in_first_out():
    outbox = Outbox(10_000)
    first, second = parcel(1), parcel(2)
    assert outbox.put(first)
    assert outbox.put(PING_PACKET)
    assert outbox.put(second)
    assert len(outbox) == 3
    assert units(outbox) == [first, PING_PACKET, second]
    assert len(outbox) == 0
    assert outbox.size == 0


def test_an_empty_outbox_gives_nothing():
    outbox = Outbox(10)
    assert units(outbox) == []
    assert outbox.packets(4, 16, 100) == []
    with pytest.raises(IndexError):
        outbox.take()


def test_one_unit_always_fits():
    outbox = Outbox(1)
    assert outbox.put(parcel(1, size=1000))
    assert not outbox.put(PING_PACKET)
    assert len(outbox) == 1


def test_what_does_not_fit_is_refused_until_there_is_room():
    outbox = Outbox(100)
    assert outbox.put(parcel(1, size=60))
    assert not outbox.put(parcel(2, size=60))
    outbox.take()
    assert outbox.put(parcel(2, size=60))


def test_the_last_word_fits_always():
    outbox = Outbox(1)
    outbox.put(parcel(1))
    outbox.append(PING_PACKET)
    assert units(outbox)[-1] is PING_PACKET
    assert outbox.size == 0


def test_drop_oldest_takes_events_and_leaves_control_packets():
    outbox = Outbox(10_000)
    for unit in (PING_PACKET, parcel(1), parcel(2)):
        outbox.put(unit)
    full = outbox.size
    assert outbox.drop_oldest()
    assert outbox.size == full - parcel(1).size - 8
    assert outbox.drop_oldest()
    assert not outbox.drop_oldest()
    assert units(outbox) == [PING_PACKET]


def test_attachments_count():
    outbox = Outbox(10_000)
    outbox.put(parcel(1, attachments=(b"x" * 500,)))
    assert outbox.size > 500


def test_a_payload_has_at_most_so_many_packets():
    outbox = Outbox(10_000)
    for number in range(20):
        outbox.put(parcel(number))
    packets = outbox.packets(4, 16, 10_000)
    assert [packet.data for packet in packets] == [parcel(number).text for number in range(16)]
    assert len(outbox.packets(4, 16, 10_000)) == 4
    assert outbox.size == 0


def test_a_payload_has_about_so_many_bytes_and_at_least_one_packet():
    outbox = Outbox(10_000)
    for number in range(3):
        outbox.put(parcel(number, size=100))
    assert len(outbox.packets(4, 16, 1)) == 1
    assert len(outbox.packets(4, 16, 1000)) == 2


def test_a_parcel_that_does_not_fit_whole_goes_on_in_the_next_payload():
    outbox = Outbox(10_000)
    outbox.put(parcel(1))
    outbox.put(parcel(2, attachments=(b"a", b"b", b"c")))
    outbox.put(parcel(3))
    assert [packet.data for packet in outbox.packets(4, 3, 10_000)] == [parcel(1).text, parcel(2).text, b"a"]
    assert outbox.drop_oldest()  # parcel 3: what has begun is finished
    assert outbox.packets(4, 3, 10_000) == [EnginePacket(MESSAGE, b"b"), EnginePacket(MESSAGE, b"c")]
    assert outbox.size == 0


def test_revision_3_gets_its_own_form():
    outbox = Outbox(10_000)
    outbox.put(Parcel('2["ä"]'))
    assert outbox.packets(3, 16, 10_000) == [EnginePacket(MESSAGE, '2["\\u00e4"]')]


def test_clear():
    outbox = Outbox(10)
    outbox.put(parcel(1))
    outbox.clear()
    assert (len(outbox), outbox.size) == (0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3)), max_size=30), st.integers(1, 16), st.integers(1, 500)
)
def test_payloads_hold_every_packet_once_and_in_order(shapes, most, limit):
    """However payloads are cut, together they are the queue; and the size comes back to nothing."""
    outbox = Outbox(1_000_000)
    expected = []
    for number, (size, attachments) in enumerate(shapes):
        unit = parcel(number, size, tuple(bytes([number, at]) for at in range(attachments)))
        outbox.put(unit)
        expected += unit.packets(4)
    taken = []
    while outbox:
        packets = outbox.packets(4, most, limit)
        assert 1 <= len(packets) <= most
        taken += packets
    assert taken == expected
    assert outbox.size == 0


def test_volatile_events_make_room_the_oldest_first():
    outbox = Outbox(10_000)
    kept, first, second = parcel("kept"), parcel(1), parcel(2)
    assert outbox.put(kept)
    assert outbox.put(first, volatile=True)
    assert outbox.put(PING_PACKET)
    assert outbox.put(second, volatile=True)
    full = outbox.size
    assert outbox.drop_volatile()
    assert outbox.size == full - first.size - 8
    assert len(outbox) == 3
    assert units(outbox) == [kept, PING_PACKET, second]
    assert not outbox.drop_volatile()
    assert outbox.size == 0


def test_places_of_those_that_are_gone_are_not_kept():
    """A client that does not read, and a stream of volatile events: the queue does not grow by their places."""
    outbox = Outbox(1_000)
    kept = parcel("kept")
    outbox.put(kept)
    for number in range(10_000):
        while not outbox.put(parcel(number), volatile=True):
            assert outbox.drop_volatile()
    assert len(outbox._units) < 200
    assert units(outbox)[0] is kept


@given(st.lists(st.sampled_from(["put", "volatile", "drop", "take", "packets", "ping"])))
def test_size_and_length_stay_true(steps):
    outbox, expected = Outbox(400), []
    for number, step in enumerate(steps):
        if step in ("put", "volatile", "ping"):
            unit = PING_PACKET if step == "ping" else parcel(number, size=20)
            if outbox.put(unit, volatile=step == "volatile"):
                expected.append((unit, step == "volatile"))
        elif step == "drop":
            volatile = [index for index, (_, is_volatile) in enumerate(expected) if is_volatile]
            assert outbox.drop_volatile() is bool(volatile)
            if volatile:
                del expected[volatile[0]]
        elif step == "take" and expected:
            assert outbox.take() == expected.pop(0)[0]
        elif step == "packets":
            assert len(outbox.packets(4, 2, 10_000)) == len(expected[:2])
            del expected[:2]
        assert len(outbox) == len(expected)
        assert bool(outbox) is bool(expected)
    assert units(outbox) == [unit for unit, _ in expected]
    assert outbox.size == 0
