"""One Engine.IO session: every row of the module's table, heartbeats, polling turns, the upgrade, on a fake clock."""

import gc
import json
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import Polls, RecordingLink, RecordingReceiver
from truesocket.codec.parcel import Parcel
from truesocket.errors import PacketError, ProtocolError
from truesocket.session.engine import Engine, EngineOptions, Reason, State
from truesocket.session.outbox import Overflow
from truesocket.testing import FakeClock

OPTIONS = EngineOptions(ping_interval=25, ping_timeout=20, upgrade_timeout=10)


class Session:
    """An engine with everything around it: a clock, a listener, and a link or polls."""

    def __init__(self, revision=4, *, link=True, now=0.0, is_base64=False, **options):
        self.clock = FakeClock(now)
        self.listener = RecordingReceiver()
        self.options = EngineOptions(**{"ping_interval": 25, "ping_timeout": 20, "upgrade_timeout": 10} | options)
        self.engine = Engine("SID", revision, self.listener, self.clock, self.options, base64=is_base64)
        self.link = RecordingLink(revision) if link else None
        self.polls = Polls(self.engine)
        self.engine.open(self.link)
        if link:
            self.hello = self.link.take()
        else:
            self.polls.get()
            (self.hello,) = self.polls.take()

    def say(self, message):
        self.engine.received_on(self.link, message)

    def post(self, body, *, binary=False):
        return self.engine.post(body.encode() if isinstance(body, str) else body, binary=binary)

    @property
    def ended(self):
        """Why it ended, ``None`` while it lives."""
        reasons = self.listener.named("closed")
        assert len(reasons) <= 1
        return reasons[0] if reasons else None

    @property
    def is_gone(self):
        assert len(self.listener.named("gone")) <= 1
        return ("gone",) in self.listener.heard

    @property
    def received(self):
        return self.listener.named("received")

    def probe(self, message="2probe"):
        """A second WebSocket has come and says something."""
        link = RecordingLink(self.engine.revision)
        assert self.engine.probe(link)
        if message:
            self.engine.received_on(link, message)
        return link


def parcel(content, attachments=()):
    return Parcel(f'2["{content}"]', attachments)


revisions = pytest.mark.parametrize("revision", [3, 4])


# --- opening ----------------------------------------------------------------------------------------------------------


@revisions
@pytest.mark.parametrize(
    ("has_link", "may_upgrade", "upgrades"),
    [(True, True, []), (False, True, ["websocket"]), (False, False, [])],
)
def test_hello(revision, has_link, may_upgrade, upgrades):
    session = Session(revision, link=has_link, upgrades=may_upgrade)
    (packet,) = session.hello
    assert packet[0] == "0"
    assert json.loads(packet[1:]) == {
        "sid": "SID",
        "upgrades": upgrades,
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }
    assert session.engine.transport == ("websocket" if has_link else "polling")
    assert session.engine.max_payload == 1_000_000


# --- messages ---------------------------------------------------------------------------------------------------------


@revisions
def test_messages_on_the_link(revision):
    session = Session(revision)
    session.say("4hello")
    session.say(b"\x04\x00\xff" if revision == 3 else b"\x00\xff")
    session.say("b4AP8=" if revision == 3 else "bAP8=")
    assert session.received == ["hello", b"\x00\xff", b"\x00\xff"]


@pytest.mark.parametrize(
    ("revision", "body", "binary"),
    [
        (4, "4hello\x1ebAQIDBA==\x1e6", False),
        (3, "6:4hello10:b4AQIDBA==1:6", False),
        (3, bytes([0, 6, 255]) + b"4hello" + bytes([1, 5, 255, 4, 1, 2, 3, 4]), True),
    ],
)
def test_messages_in_a_post(revision, body, binary):
    session = Session(revision, link=False)
    assert session.post(body, binary=binary)
    assert session.received == ["hello", b"\x01\x02\x03\x04"]
    assert session.ended is None


def test_text_that_1x_encodes_twice_in_text_payloads_and_once_in_binary_ones():
    """Seen in Chromium: a batch with bytes in it goes out as a binary payload, and its text as everybody writes it."""
    session = Session(3, link=False)
    assert session.post(b"\x00\x06\xff" + "4grün".encode(), binary=True)
    twice = "4grün".encode().decode("latin-1")
    assert session.post(f"{len(twice)}:{twice}")
    assert session.post(b"\x00\x06\xff" + "4grün".encode(), binary=True)
    assert session.received == ["grün"] * 3


@revisions
@pytest.mark.parametrize("message", ["x", "", "0", "5", "5probe"])
def test_garbage_on_the_link_ends_the_session(revision, message):
    session = Session(revision)
    session.say(message)
    assert session.ended == Reason.PARSE_ERROR
    assert session.is_gone
    assert session.link.closed[0] == 1008
    assert session.engine.error == session.link.closed[1]
    session.say("4late")
    assert session.received == []


@revisions
@pytest.mark.parametrize("body", [b"", b"abc", b"\xff\xfe", "4ok\x1ex", "99:4"])
def test_garbage_in_a_post_ends_the_session(revision, body):
    session = Session(revision, link=False)
    session.polls.get()
    assert not session.post(body)
    assert session.polls.take() == [["6"]]
    assert session.ended == Reason.PARSE_ERROR
    assert session.is_gone
    assert not session.polls.get()
    assert not session.post(body)


def test_a_post_whose_content_nobody_could_read_is_told_so():
    """What the listener refuses is as bad as what the engine refuses."""
    session = Session(link=False)
    session.listener.received = lambda data: session.engine.fail(PacketError("no"))
    assert not session.post("4a\x1e4b")
    assert session.ended == Reason.PARSE_ERROR
    assert session.engine.error == "no"


def test_binary_payload_in_revision_4_is_garbage():
    session = Session(link=False)
    assert not session.post(b"\x00\x01\xff4", binary=True)


@pytest.mark.parametrize(("code", "given"), [(1009, 1009), (1008, 1002)])
def test_the_close_code_of_a_broken_rule(code, given):
    session = Session()
    session.engine.fail(ProtocolError("too much", close_code=given))
    assert session.link.closed == (code, "too much")


@revisions
def test_sending(revision):
    session = Session(revision)
    session.engine.send(parcel("a", (b"\x09",)))
    session.engine.send_message("raw")
    assert session.link.take() == ['42["a"]', b"\x04\x09" if revision == 3 else b"\x09", "4raw"]


# --- heartbeats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_link", [True, False])
def test_revision_4_is_pinged_and_answers(has_link):
    session = Session(link=has_link)
    for _ in range(3):
        if not has_link:
            session.polls.get()
        session.clock.advance(24.5)
        assert not (session.link.messages if has_link else session.polls.answers)
        session.clock.advance(0.5)
        assert (session.link.take() if has_link else session.polls.take()[0]) == ["2"]
        session.clock.advance(19.5)
        session.say("3") if has_link else session.post("3")
    assert session.ended is None


@pytest.mark.parametrize("has_link", [True, False])
def test_revision_4_that_does_not_answer_is_given_up(has_link):
    session = Session(link=has_link)
    session.clock.advance(44.9)
    assert session.ended is None
    session.clock.advance(0.1)
    assert session.ended == Reason.PING_TIMEOUT
    assert session.is_gone
    if has_link:
        assert session.link.closed == (1000, "ping timeout")


def test_only_a_pong_is_a_sign_of_life_and_an_early_one_changes_nothing():
    session = Session()
    session.say("3")
    session.clock.advance(25)
    assert session.link.take() == ["2"]
    session.say("4hello")
    session.clock.advance(20)
    assert session.ended == Reason.PING_TIMEOUT


def test_a_parked_get_is_told_of_the_end():
    session = Session(3, link=False)
    session.clock.advance(44)
    session.polls.get()
    session.clock.advance(1)
    assert session.polls.take() == [["1"]]
    assert session.ended == Reason.PING_TIMEOUT


def test_pings_keep_their_interval_where_the_timeout_is_longer():
    session = Session(ping_interval=5, ping_timeout=20)
    for _ in range(4):
        session.clock.advance(5)
        assert session.link.take() == ["2"]
        session.say("3")


def test_revision_3_pings_us():
    session = Session(3)
    for _ in range(3):
        session.clock.advance(44)
        session.say("2")
        assert session.link.take() == ["3"]
    session.say("2probe")
    assert session.link.take() == ["3probe"]
    session.clock.advance(44.9)
    session.say("4anything is a sign of life")
    session.clock.advance(44.9)
    assert session.ended is None
    session.clock.advance(0.1)
    assert session.ended == Reason.PING_TIMEOUT


def test_golden_ping_of_revision_3_by_post():
    session = Session(3, link=False)
    assert session.post("1:2")
    session.polls.get()
    assert session.polls.take() == [["3"]]


@pytest.mark.parametrize(("revision", "message"), [(4, "2"), (3, "3")])
def test_a_heartbeat_in_the_wrong_direction(revision, message):
    session = Session(revision)
    session.say(message)
    assert session.ended == Reason.PARSE_ERROR
    assert "direction" in session.link.closed[1]


def test_our_own_standing_still_expires_nobody_but_pings_go_out():
    session = Session()
    session.clock.advance(25)
    session.link.take()
    session.clock.stall(60)
    session.clock.advance(19)
    assert session.ended is None
    session.say("3")
    session.clock.advance(10)
    session.clock.stall(16)  # the client has waited 26 s for its ping
    session.clock.advance(16)
    assert session.link.take() == ["2"]


def test_pongs_to_a_client_that_does_not_read_are_bounded():
    session = Session(3, outbox_bytes=100)
    session.link.writable = False
    for _ in range(50):
        session.say("2")
    assert session.ended == Reason.SLOW
    assert session.link.messages == []


# --- polling turns ----------------------------------------------------------------------------------------------------


@revisions
def test_a_parked_get_is_answered_when_there_is_something_to_tell(revision):
    session = Session(revision, link=False)
    session.polls.get()
    assert session.polls.answers == []
    session.engine.send(parcel("a", (b"\x01",)))
    session.engine.send(parcel("b"))
    assert session.polls.take() == [['42["a"]', b"\x04\x01" if revision == 3 else b"\x01"]]
    session.polls.get()
    assert session.polls.take() == [['42["b"]']]


@revisions
def test_sixteen_packets_per_reply(revision):
    session = Session(revision, link=False)
    for number in range(40):
        session.engine.send(parcel(number))
    for _ in range(3):
        session.polls.get()
    answers = session.polls.take()
    assert [len(answer) for answer in answers] == [16, 16, 8]
    assert [packet for answer in answers for packet in answer] == [f'42["{number}"]' for number in range(40)]


@revisions
def test_two_gets_at_once(revision):
    session = Session(revision, link=False)
    assert session.polls.get()
    assert not session.polls.get()
    assert session.polls.take() == [["1"]]
    assert session.ended == Reason.TRANSPORT_ERROR
    assert session.is_gone
    assert not session.polls.get()


def test_a_lost_get_loses_nothing_that_comes_later():
    session = Session(link=False)
    lost = []
    answer = lost.append
    session.engine.poll(answer)
    session.engine.poll_lost(answer)
    session.engine.send(parcel("a"))
    assert lost == []
    session.polls.get()
    session.engine.poll_lost(answer)  # too late: that GET has been forgotten long ago
    assert session.polls.take() == [['42["a"]']]


def test_close_from_the_client_over_post():
    session = Session(link=False)
    session.polls.get()
    assert session.post("1")
    assert session.polls.take() == [["6"]]
    assert session.ended == Reason.TRANSPORT_CLOSE
    assert session.is_gone
    assert not session.polls.get()


def test_close_from_the_client_on_the_link():
    session = Session()
    session.say("1")
    assert session.ended == Reason.TRANSPORT_CLOSE
    assert session.link.closed == (1000, "transport close")


def test_packets_behind_a_close_are_dropped():
    session = Session(link=False)
    assert session.post("1\x1e4late")
    assert session.received == []


@revisions
def test_server_close_tells_the_parked_get(revision):
    session = Session(revision, link=False)
    session.polls.get()
    session.engine.close("why")
    assert session.polls.take() == [["1"]]
    assert session.ended == "why"
    assert session.is_gone
    assert session.engine.state is State.CLOSED
    session.engine.close("again")
    assert session.ended == "why"


def test_server_close_on_polling_waits_for_the_get_that_fetches_what_waits():
    session = Session(link=False)
    for number in range(20):
        session.engine.send(parcel(number))
    session.engine.close()
    assert session.ended == Reason.FORCED_CLOSE
    assert session.engine.state is State.CLOSING
    assert not session.is_gone
    session.engine.send(parcel("dropped"))
    session.engine.close("again")
    session.engine.pause()
    assert session.post("4dropped")
    assert session.received == []
    session.polls.get()
    assert not session.is_gone
    session.polls.get()
    first, second = session.polls.take()
    assert len(first) == 16
    assert second == ['42["16"]', '42["17"]', '42["18"]', '42["19"]', "1"]
    assert session.is_gone
    session.clock.advance(100)
    assert session.ended == Reason.FORCED_CLOSE


def test_the_goodbye_reaches_a_client_whose_outbox_is_full():
    session = Session(link=False, outbox_bytes=40)
    session.engine.send(parcel("x" * 28))
    session.engine.close()
    session.polls.get()
    assert session.polls.take() == [['42["' + "x" * 28 + '"]', "1"]]
    assert session.ended == Reason.FORCED_CLOSE


def test_a_closed_client_that_never_comes_back_is_forgotten():
    session = Session(link=False)
    session.clock.advance(10)
    session.engine.close()
    session.clock.advance(29.9)
    assert not session.is_gone
    session.clock.advance(0.1)
    assert session.is_gone
    assert session.ended == Reason.FORCED_CLOSE


def test_garbage_while_closing_ends_it_at_once():
    session = Session(link=False)
    session.engine.close("mine")
    assert not session.post("x")
    assert session.is_gone
    assert session.ended == "mine"


def test_server_close_on_the_link():
    session = Session()
    session.engine.close()
    assert session.link.closed == (1000, "forced close")
    assert session.listener.heard == [("closed", "forced close"), ("gone",)]
    session.clock.advance(1000)
    session.engine.lost(session.link, "late")
    assert session.listener.heard == [("closed", "forced close"), ("gone",)]


def closing_on_a_slow_link(reason="forced close"):
    """A session that we have closed while something waited for its reader."""
    session = Session()
    session.link.writable = False
    session.engine.send(parcel(1))
    session.engine.send(parcel(2))
    session.engine.close(reason)
    assert session.ended == reason
    assert session.link.closed is None
    assert session.link.take() == []
    return session


def test_server_close_on_a_slow_link_lets_out_what_waits():
    session = closing_on_a_slow_link("going down")
    assert not session.is_gone
    session.link.writable = True
    session.engine.writable(session.link)
    assert session.link.take() == ['42["1"]', '42["2"]']
    assert session.link.closed == (1000, "going down")
    assert session.listener.heard == [("closed", "going down"), ("gone",)]


def test_nothing_more_is_heard_from_a_slow_link_that_we_close():
    session = closing_on_a_slow_link()
    session.say("4late")
    session.engine.send(parcel(3))
    session.link.writable = True
    session.engine.writable(session.link)
    assert session.link.take() == ['42["1"]', '42["2"]']
    assert session.received == []


def test_a_slow_link_that_we_close_has_thirty_seconds():
    session = closing_on_a_slow_link("mine")
    session.clock.advance(29)
    assert session.link.closed is None
    session.clock.advance(1.5)
    assert session.link.closed == (1000, "mine")
    assert session.is_gone
    assert session.link.take() == []


def test_a_slow_link_that_is_lost_while_we_close_it():
    session = closing_on_a_slow_link("mine")
    session.engine.lost(session.link, "transport error")
    assert session.listener.heard == [("closed", "mine"), ("gone",)]


def test_a_paused_slow_link_is_read_again_while_we_close_it():
    session = Session()
    session.engine.pause()
    session.link.writable = False
    session.engine.send(parcel(1))
    session.engine.close()
    assert session.link.reading


def test_a_lost_link_ends_the_session():
    session = Session()
    session.engine.lost(RecordingLink(), "not ours")
    assert session.ended is None
    session.engine.lost(session.link, Reason.TRANSPORT_ERROR)
    assert session.ended == Reason.TRANSPORT_ERROR
    assert session.link.closed is None  # it is gone already
    assert session.engine.transport == "websocket"


# --- the upgrade ------------------------------------------------------------------------------------------------------


@revisions
@pytest.mark.parametrize("now", [0.0, 1234.5])
def test_the_whole_dance(revision, now):
    session = Session(revision, link=False, now=now)
    session.polls.get()
    link = session.probe()
    assert link.take() == ["3probe"]
    assert session.polls.take() == [["6"]]
    session.polls.get()
    session.clock.advance(0.05)
    assert session.polls.take() == []
    session.clock.advance(0.05)
    assert session.polls.take() == [["6"]]
    session.clock.advance(0.5)
    assert session.polls.take() == []  # nobody is parked
    for number in range(3):
        session.engine.send(parcel(number))
    assert session.engine.transport == "polling"
    session.engine.received_on(link, "5")
    session.engine.send(parcel(3))
    assert link.take() == [f'42["{number}"]' for number in range(4)]
    assert session.engine.transport == "websocket"
    assert not session.polls.get()  # HTTP with an upgraded sid is refused
    assert session.ended is None
    session.engine.received_on(link, "4hi")
    assert session.received == ["hi"]
    session.clock.advance(20)
    assert link.closed is None


def test_noops_keep_their_distance_beside_other_deadlines():
    session = Session(link=False, ping_interval=0.25)
    session.probe()
    session.polls.get()
    session.clock.advance(0.25)  # a ping is due between two noops
    session.polls.get()
    session.clock.advance(0.02)
    session.polls.get()
    assert session.polls.take() == [["6"], ["2"]]


def test_a_get_that_is_parked_at_the_change_is_sent_home():
    session = Session(link=False)
    link = session.probe()
    session.polls.get()
    session.engine.received_on(link, "5")
    assert session.polls.take() == [["6"]]


def test_what_waited_for_a_poll_is_fetched_by_it_while_probing():
    session = Session(link=False)
    session.engine.send(parcel("a"))
    session.probe()
    session.polls.get()
    assert session.polls.take() == [['42["a"]']]


def test_the_rest_of_a_torn_parcel_goes_over_the_new_link_in_order():
    session = Session(link=False)
    for number in range(15):
        session.engine.send(parcel(number))
    session.engine.send(parcel("file", (b"1", b"2")))
    session.polls.get()
    assert session.polls.take()[0][-1] == '42["file"]'
    link = session.probe()
    session.engine.received_on(link, "5")
    assert link.take() == ["3probe", b"1", b"2"]


def test_a_second_probe_is_refused():
    session = Session(link=False)
    link = session.probe()
    assert not session.engine.probe(RecordingLink())
    session.engine.received_on(link, "5")
    assert not session.engine.probe(RecordingLink())


@pytest.mark.parametrize("end", ["close", "closing"])
def test_no_probe_for_a_session_that_ends(end):
    session = Session(link=False)
    if end == "close":
        session.polls.get()
    session.engine.close()
    assert not session.engine.probe(RecordingLink())


def test_no_probe_where_the_server_allows_no_upgrade():
    assert not Session(link=False, upgrades=False).engine.probe(RecordingLink())


@pytest.mark.parametrize("messages", [["5"], ["4hello"], [b"2probe"], ["2probe", "2probe"], ["2probe", "4early"]])
def test_anything_else_from_the_probing_link_closes_that_link_only(messages):
    session = Session(link=False)
    link = session.probe("")
    for message in messages:
        session.engine.received_on(link, message)
    assert link.closed == (1000, "upgrade failed")
    session.engine.received_on(link, "4late")
    session.engine.lost(link, "late")
    assert session.received == []
    assert session.ended is None
    session.polls.get()
    session.engine.send(parcel("on polling"))
    assert session.polls.take() == [['42["on polling"]']]
    assert session.engine.probe(RecordingLink())  # it may try again


@pytest.mark.parametrize("message", ["", "2probe"])
def test_a_probe_has_ten_seconds_in_all(message):
    session = Session(link=False)
    link = session.probe("")
    session.clock.advance(5)
    if message:
        session.engine.received_on(link, message)
    session.clock.advance(4.9)
    assert link.closed is None
    session.clock.advance(0.2)
    assert link.closed == (1000, "upgrade failed")
    assert session.ended is None


def test_a_probing_link_that_is_lost_is_forgotten():
    session = Session(link=False)
    link = session.probe()
    session.engine.lost(link, "gone")
    assert session.ended is None
    session.polls.get()
    session.clock.advance(1)
    assert session.polls.take() == []


def test_the_end_of_the_session_closes_the_probing_link():
    session = Session(link=False)
    link = session.probe()
    session.post("1")
    assert link.closed == (1000, "upgrade failed")


def test_the_new_link_may_be_slow():
    session = Session(link=False)
    for number in range(3):
        session.engine.send(parcel(number))
    link = session.probe()
    link.take()
    link.writable = False
    session.engine.received_on(link, "5")
    assert link.take() == []
    link.writable = True
    session.engine.writable(RecordingLink())
    assert link.take() == []
    session.engine.writable(link)
    assert link.take() == ['42["0"]', '42["1"]', '42["2"]']


# --- back-pressure ----------------------------------------------------------------------------------------------------


def test_pause_and_resume_reach_the_link():
    session = Session()
    session.engine.pause()
    session.engine.pause()
    assert session.engine.paused
    assert not session.link.reading
    session.engine.resume()
    session.engine.resume()
    assert not session.engine.paused
    assert session.link.reading


def test_a_paused_client_of_revision_4_is_pinged_but_not_held_to_its_pong():
    session = Session()
    session.clock.advance(26)
    assert session.link.take() == ["2"]
    session.engine.pause()
    session.clock.advance(100)
    assert session.link.take() == ["2"] * 4
    assert session.ended is None
    session.engine.resume()
    session.clock.advance(24)
    assert session.link.take() == ["2"]
    session.clock.advance(20)
    assert session.ended == Reason.PING_TIMEOUT


def test_a_pause_before_the_ping_is_due():
    session = Session()
    session.engine.pause()
    session.clock.advance(25)
    assert session.link.take() == ["2"]
    session.clock.advance(24)
    session.engine.resume()
    session.clock.advance(1)
    assert session.link.take() == ["2"]
    session.say("3")
    session.clock.advance(24)
    assert session.ended is None


@pytest.mark.parametrize("has_link", [True, False])
def test_a_paused_client_of_revision_3_is_closed_half_way_to_its_own_timeout(has_link):
    session = Session(3, link=has_link)
    session.clock.advance(5)
    session.engine.pause()
    session.clock.advance(9.9)
    assert session.ended is None
    session.clock.advance(0.1)
    assert session.ended == Reason.TOO_MANY_PENDING


def test_the_time_of_a_pause_does_not_count_for_revision_3():
    session = Session(3)
    session.clock.advance(40)
    session.engine.pause()
    session.clock.advance(9)
    session.engine.resume()
    session.clock.advance(44)
    assert session.ended is None
    session.clock.advance(1)
    assert session.ended == Reason.PING_TIMEOUT


def test_pause_while_polling_holds_for_the_new_link():
    session = Session(link=False)
    session.engine.pause()
    link = session.probe()
    session.engine.received_on(link, "5")
    assert not link.reading
    session.engine.resume()
    assert link.reading


def test_resume_while_polling():
    session = Session(link=False)
    session.engine.pause()
    session.engine.resume()
    assert not session.engine.paused


# --- slow consumers ---------------------------------------------------------------------------------------------------


def test_a_slow_link_gets_everything_in_order_later():
    session = Session()
    session.engine.send(parcel(0))
    session.link.writable = False
    session.engine.send(parcel(1))
    session.engine.send_message("2")
    assert session.link.take() == ['42["0"]']
    session.link.writable = True
    session.engine.writable(session.link)
    assert session.link.take() == ['42["1"]', "42"]
    session.engine.writable(session.link)
    assert session.link.take() == []


def test_our_pings_do_not_wait():
    session = Session()
    session.link.writable = False
    session.engine.send(parcel(0))
    session.clock.advance(25)
    assert session.link.take() == ["2"]


@pytest.mark.parametrize("has_link", [True, False])
def test_overflow_closes(has_link):
    session = Session(link=has_link, outbox_bytes=100)
    if has_link:
        session.link.writable = False
    for number in range(10):
        session.engine.send(parcel(number))
    assert session.ended == Reason.SLOW
    assert session.is_gone
    if has_link:
        assert session.link.closed == (1000, "slow consumer")


@pytest.mark.parametrize("has_link", [True, False])
def test_overflow_drops_the_oldest(has_link):
    session = Session(link=has_link, outbox_bytes=50, overflow=Overflow.DROP_OLDEST)
    if has_link:
        session.link.writable = False
    for number in range(10):
        session.engine.send(parcel(number))
    assert session.ended is None
    if has_link:
        session.link.writable = True
        session.engine.writable(session.link)
        got = session.link.take()
    else:
        session.polls.get()
        (got,) = session.polls.take()
    assert got == ['42["7"]', '42["8"]', '42["9"]']


@pytest.mark.parametrize("has_link", [True, False])
def test_overflow_drops_volatile_ones_only(has_link):
    session = Session(link=has_link, outbox_bytes=50, overflow=Overflow.DROP_VOLATILE)
    if has_link:
        session.link.writable = False
    for number in range(10):
        session.engine.send(parcel(number), volatile=number != 4)
    assert session.ended is None
    assert len(session.listener.named("dropped")) == 7
    if has_link:
        session.link.writable = True
        session.engine.writable(session.link)
        got = session.link.take()
    else:
        session.polls.get()
        (got,) = session.polls.take()
    assert got == ['42["4"]', '42["8"]', '42["9"]']


def test_overflow_with_no_volatile_ones_closes():
    session = Session(link=False, outbox_bytes=50, overflow=Overflow.DROP_VOLATILE)
    for number in range(3):
        session.engine.send(parcel(number))
    session.engine.send(parcel("volatile"), volatile=True)
    assert session.ended is None
    assert session.engine.waiting > 0
    session.engine.send(parcel(4))
    assert session.ended == Reason.SLOW


@pytest.mark.parametrize("overflow", [Overflow.CLOSE, Overflow.DROP_OLDEST])
def test_volatile_ones_do_not_wait_otherwise(overflow):
    session = Session(link=False, outbox_bytes=50, overflow=overflow)
    session.engine.send(parcel(1), volatile=True)
    assert session.engine.waiting == 0


def test_overflow_with_nothing_to_drop_closes():
    session = Session(link=False, outbox_bytes=20, overflow=Overflow.DROP_OLDEST)
    session.engine.send_message("x" * 20)
    session.engine.send_message("x" * 20)
    assert session.ended == Reason.SLOW


def test_a_ping_that_does_not_fit_ends_the_session():
    session = Session(link=False, outbox_bytes=20)
    session.engine.send(parcel("x" * 100))
    session.clock.advance(25)
    assert session.ended == Reason.SLOW


def test_volatile_never_waits():
    session = Session()
    session.engine.send(parcel("a"), volatile=True)
    session.link.writable = False
    session.engine.send(parcel("b"), volatile=True)
    session.link.writable = True
    session.engine.writable(session.link)
    assert session.link.take() == ['42["a"]']

    session = Session(link=False)
    session.engine.send(parcel("a"), volatile=True)
    session.polls.get()
    assert session.polls.take() == []
    session.engine.send(parcel("b"), volatile=True)
    assert session.polls.take() == [['42["b"]']]


# --- anything, in any order -------------------------------------------------------------------------------------------


actions = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(["2", "3", "4x", "1", "6", "x", b"\x04y", "2probe"])),
        st.tuples(st.just("post"), st.sampled_from(["2", "3", "4x", "1:2", "1", "1:3", "2:4x", "x", ""])),
        st.tuples(st.just("get"), st.none()),
        st.tuples(st.just("send"), st.booleans()),
        st.tuples(st.just("probe"), st.sampled_from(["2probe", "5", "", "4x"])),
        st.tuples(st.just("five"), st.none()),
        st.tuples(st.just("lost"), st.booleans()),
        st.tuples(st.just("writable"), st.booleans()),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("pause"), st.none()),
        st.tuples(st.just("resume"), st.none()),
        st.tuples(st.just("advance"), st.sampled_from([0.05, 0.1, 5.0, 20.0, 45.0])),
        st.tuples(st.just("stall"), st.sampled_from([0.25, 64.0])),
    ),
    max_size=25,
)


@given(actions, st.sampled_from([3, 4]), st.booleans(), st.sampled_from(list(Overflow)))
def test_nothing_that_happens_in_any_order_breaks_it(steps, revision, has_link, overflow):
    """It never raises, reports its end exactly once and in order, and every engine ends when its client is silent."""
    session = Session(revision, link=has_link, outbox_bytes=60, overflow=overflow)
    engine, candidate = session.engine, None
    link = engine.link
    for action, value in steps:
        link = engine.link if engine.state is not State.CLOSED else link  # it knows its link no more, the link does
        if action == "say" and link is not None:
            engine.received_on(link, value)
        elif action == "post" and link is None:
            session.post(value)
        elif action == "get":
            session.polls.get()
        elif action == "send":
            engine.send(parcel("x", (b"1",)), volatile=value)
        elif action == "probe":
            new = RecordingLink(revision)
            if engine.probe(new):
                candidate = new
                if value:
                    engine.received_on(new, value)
        elif action == "five" and candidate is not None and candidate.closed is None:
            engine.received_on(candidate, "5")
        elif action == "lost":
            gone = candidate if value else link
            if gone is not None:
                gone.writable = False
                engine.lost(gone, "lost")
        elif action == "writable" and link is not None and link.closed is None and engine.state is State.OPEN:
            link.writable = value
            if value:
                engine.writable(link)
        elif action in ("close", "pause", "resume"):
            getattr(engine, action)()
        elif action in ("advance", "stall"):
            getattr(session.clock, action)(value)
    engine.resume()
    session.clock.advance(200)
    assert engine.state is State.CLOSED
    assert session.ended is not None
    assert session.listener.heard[-1] == ("gone",)
    assert session.listener.heard.index(("closed", session.ended)) < session.listener.heard.index(("gone",))
    assert not session.polls.get()
    assert engine.tick() is None


def test_who_has_ended_holds_neither_listener_nor_link():
    """The clock holds it until the deadline that was planned; nothing else may be held with it."""
    session = Session()
    engine = session.engine
    listener, link = weakref.ref(session.listener), weakref.ref(session.link)
    engine.lost(session.link, "lost")
    assert engine.transport == "websocket"
    del session
    gc.collect()
    assert listener() is link() is None
    engine.close()
    engine.pause()
    engine.resume()
    engine.send(parcel("x"))
    engine.send_message("x")
    assert engine.tick() is None


# --- POSTs side by side -----------------------------------------------------------------------------------------------


def test_a_post_beside_another_ends_the_session():
    session = Session(link=False)
    assert session.engine.post_begins()
    assert not session.engine.post_begins()
    assert session.listener.named("closed") == [Reason.TRANSPORT_ERROR]


def test_posts_one_behind_the_other():
    session = Session(link=False)
    for _ in range(2):
        assert session.engine.post_begins()
        session.engine.post_ends()
    assert session.listener.named("closed") == []


def test_an_error_that_quotes_what_came_is_short():
    session = Session(link=False)
    session.engine.fail(PacketError("x" * 10_000))
    assert len(session.engine.error) == 200
