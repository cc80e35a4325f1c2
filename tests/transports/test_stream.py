"""A WebSocket on a raw socket: over a real socket pair on a real loop, the client's side by hand."""

import asyncio
import contextlib
import select
import socket

import pytest

from tests.support.recording import RecordingReceiver
from truesocket.codec import frames
from truesocket.codec.engineio import MESSAGE, PING, EnginePacket
from truesocket.codec.frames import Opcode
from truesocket.codec.parcel import Parcel
from truesocket.session.engine import Reason
from truesocket.testing import splits
from truesocket.transports import stream as stream_module
from truesocket.transports.stream import Stream

GRACE = 20  # seconds
KEY = b"\x01\x02\x03\x04"
HELLO = frames.build(Opcode.TEXT, "grüß".encode(), key=KEY)
BYE = frames.build(Opcode.CLOSE, frames.build_close(1000), key=KEY)


class Client:
    """The other end of the socket: reads frames, writes whatever it likes."""

    def __init__(self, sock):
        self._sock = sock
        self._data = b""

    async def write(self, data):
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def frame(self):
        """The next frame as (opcode, payload), ``None`` at the end."""
        while True:
            frame = frames.parse(self._data, limit=1 << 24, masked=False)
            if not isinstance(frame, int):
                self._data = self._data[frame.end :]
                return Opcode(frame.opcode), frame.payload
            try:
                chunk = await asyncio.get_running_loop().sock_recv(self._sock, 65536)
            except ConnectionError:
                return None
            if not chunk:
                return None
            self._data += chunk

    def leave(self):
        self._sock.close()


class Scene:
    def __init__(self, stream, client, receiver, transport):
        self.stream, self.client, self.receiver, self.transport = stream, client, receiver, transport

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.005)

    async def heard(self, name):
        await self.until(lambda: self.receiver.named(name))
        return self.receiver.named(name)


@contextlib.asynccontextmanager
async def connected(revision=4, limit=10_000):
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    receiver = RecordingReceiver()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    stream = Stream(transport, receiver, revision, limit)
    transport.set_protocol(stream)
    client = Client(theirs)
    try:
        yield Scene(stream, client, receiver, transport)
    finally:
        client.leave()
        transport.abort()
        await asyncio.sleep(0)


def run(scene):
    return asyncio.run(asyncio.wait_for(scene, GRACE))


def test_messages_arrive_however_they_are_cut():
    async def scene():
        async with connected() as at:
            for chunks in splits(HELLO):
                for chunk in chunks:
                    at.stream.data_received(chunk)
            return list(at.receiver.heard), len(list(splits(HELLO)))

    heard, times = run(scene())
    assert heard == [("received", "grüß")] * times


@pytest.mark.parametrize("revision", [3, 4])
def test_sending(revision):
    async def scene():
        async with connected(revision) as at:
            at.stream.send(Parcel('2["ä"]', (b"\x09",)))
            at.stream.send_packet(EnginePacket(PING))
            at.stream.send_packet(EnginePacket(MESSAGE, b"\x01"))
            return [await at.client.frame() for _ in range(4)]

    mark = b"\x04" if revision == 3 else b""
    assert run(scene()) == [
        (Opcode.TEXT, '42["ä"]'.encode()),
        (Opcode.BINARY, mark + b"\x09"),
        (Opcode.TEXT, b"2"),
        (Opcode.BINARY, mark + b"\x01"),
    ]


def test_over_the_socket_and_back():
    async def scene():
        async with connected() as at:
            await at.client.write(HELLO + frames.build(Opcode.PING, b"?", key=KEY))
            return await at.client.frame(), list(at.receiver.heard)

    pong, heard = run(scene())
    assert pong == (Opcode.PONG, b"?")
    assert heard == [("received", "grüß")]


def test_the_client_says_goodbye():
    async def scene():
        async with connected() as at:
            await at.client.write(BYE)
            answer = await at.client.frame()
            assert await at.client.frame() is None
            return answer, await at.heard("lost"), at.stream.writable

    answer, lost, writable = run(scene())
    assert answer == (Opcode.CLOSE, b"\x03\xe8")
    assert lost == [Reason.TRANSPORT_CLOSE]
    assert not writable


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (b"\xff\xff", 1002, Reason.TRANSPORT_ERROR),
        (frames.build(Opcode.TEXT, b"\xff", key=KEY), 1007, Reason.TRANSPORT_ERROR),
        (frames.build(Opcode.TEXT, b"x" * 10_001, key=KEY), 1009, Reason.TRANSPORT_ERROR),
        (frames.build(Opcode.CLOSE, frames.build_close(1001), key=KEY), 1001, Reason.TRANSPORT_CLOSE),
        (frames.build(Opcode.CLOSE, b"", key=KEY), None, Reason.TRANSPORT_CLOSE),
        (frames.build(Opcode.CLOSE, frames.build_close(4000), key=KEY), 4000, Reason.TRANSPORT_ERROR),
    ],
)
def test_how_it_ends_is_told(data, code, reason):
    async def scene():
        async with connected() as at:
            await at.client.write(data)
            opcode, payload = await at.client.frame()
            assert await at.client.frame() is None
            return opcode, payload, await at.heard("lost")

    opcode, payload, lost = run(scene())
    assert opcode == Opcode.CLOSE
    assert (int.from_bytes(payload[:2], "big") or None) == code
    assert lost == [reason]


def test_the_connection_breaks():
    async def scene():
        async with connected() as at:
            at.client.leave()
            lost = await at.heard("lost")
            at.stream.connection_lost(None)  # told once only
            at.stream.received("late")
            at.stream.resume_writing()
            at.stream.close(1000, "late")
            at.stream.pause()
            at.stream.resume()
            at.stream.write(b"late")
            return lost, list(at.receiver.heard)

    lost, heard = run(scene())
    assert lost == [Reason.TRANSPORT_CLOSE]
    assert heard == [("lost", Reason.TRANSPORT_CLOSE), ("writable",)] or heard == [("lost", Reason.TRANSPORT_CLOSE)]


def test_an_error_of_the_connection_is_told_as_such():
    async def scene():
        async with connected() as at:
            at.stream.connection_lost(ConnectionResetError())
            return list(at.receiver.heard)

    assert run(scene()) == [("lost", Reason.TRANSPORT_ERROR)]


def test_we_say_goodbye():
    async def scene():
        async with connected() as at:
            at.stream.close(1000, "going")
            at.stream.close(1001, "twice")
            writable = at.stream.writable
            frame = await at.client.frame()
            await at.client.write(HELLO + BYE)
            assert await at.client.frame() is None
            return writable, frame, await at.heard("lost"), at.receiver.named("received")

    writable, frame, lost, received = run(scene())
    assert not writable
    assert frame == (Opcode.CLOSE, b"\x03\xe8going")
    assert lost == [Reason.TRANSPORT_CLOSE]
    assert received == []


@pytest.fixture
def impatient():
    """Whoever does not answer our goodbye is cut off soon, for the tests of just that."""
    before = stream_module._CLOSE_TIMEOUT
    stream_module._CLOSE_TIMEOUT = 0.05
    yield
    stream_module._CLOSE_TIMEOUT = before


@pytest.mark.usefixtures("impatient")
def test_who_does_not_answer_our_goodbye_is_cut_off():
    async def scene():
        async with connected() as at:
            at.stream.close(1000, "going")
            await at.client.frame()
            assert await at.client.frame() is None
            return await at.heard("lost")

    assert run(scene()) == [Reason.TRANSPORT_CLOSE]


@pytest.mark.usefixtures("impatient")
def test_who_breaks_a_rule_and_does_not_read_is_cut_off():
    async def scene():
        async with connected() as at:
            while at.stream.writable:
                at.stream.send(Parcel("2" + "x" * 60_000))
            await at.client.write(b"\xff\xff")
            return await at.heard("lost")

    assert run(scene()) == [Reason.TRANSPORT_ERROR]


def test_writable_follows_the_transport():
    async def scene():
        async with connected() as at:
            count = 0
            while at.stream.writable:
                at.stream.send(Parcel("2" + "x" * 60_000))
                count += 1
            assert at.receiver.heard == []
            for _ in range(count):
                assert len((await at.client.frame())[1]) == 60_002
            await at.heard("writable")
            return at.stream.writable

    assert run(scene())


def test_a_stream_that_is_closing_does_not_become_writable_again():
    async def scene():
        async with connected() as at:
            at.stream.pause_writing()
            at.stream.close(1000, "going")
            at.stream.resume_writing()
            return at.stream.writable, list(at.receiver.heard)

    assert run(scene()) == (False, [])


def test_pause_and_resume_reading():
    async def scene():
        async with connected() as at:
            at.stream.pause()
            await at.client.write(HELLO)
            await asyncio.sleep(0.1)
            before = list(at.receiver.heard)
            at.stream.resume()
            return before, await at.heard("received")

    assert run(scene()) == ([], ["grüß"])


def test_behind_much_that_came_at_once_others_have_their_turn():
    """uvloop would read on and on; and who is paused by the engine meanwhile stays so."""

    async def scene():
        async with connected() as at:
            much = HELLO * (65536 // len(HELLO) + 1)
            at.stream.data_received(HELLO)
            seen = [at.transport.is_reading()]
            at.stream.data_received(much)
            seen.append(at.transport.is_reading())
            await asyncio.sleep(0)
            seen.append(at.transport.is_reading())
            at.stream.data_received(much)
            at.stream.pause()
            await asyncio.sleep(0)
            seen.append(at.transport.is_reading())
            at.stream.resume()
            seen.append(at.transport.is_reading())
            at.stream.pause()
            at.stream.data_received(much)
            await asyncio.sleep(0)
            seen.append(at.transport.is_reading())
            return seen

    assert run(scene()) == [True, False, True, False, True, False]


def test_a_paused_client_can_still_answer_our_goodbye():
    async def scene():
        async with connected() as at:
            at.stream.pause()
            await at.client.write(HELLO)
            at.stream.close(1000, "too many pending events")
            await at.client.frame()
            await at.client.write(BYE)
            return await at.heard("lost"), at.receiver.named("received")

    assert run(scene()) == ([Reason.TRANSPORT_CLOSE], [])


leaving_is_told = pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="this system does not tell")


@leaving_is_told
@pytest.mark.parametrize("said", [b"", HELLO])
def test_a_paused_client_that_leaves_is_noticed_and_what_it_said_before_is_heard(monkeypatch, said):
    monkeypatch.setattr(stream_module, "_LOOK_INTERVAL", 0.01)

    async def scene():
        async with connected() as at:
            at.stream.pause()
            await at.client.write(said)
            await asyncio.sleep(0.05)
            assert at.receiver.heard == []
            at.client.leave()
            return await at.heard("lost"), at.receiver.named("received")

    assert run(scene()) == ([Reason.TRANSPORT_CLOSE], ["grüß"] if said else [])


@leaving_is_told
def test_a_client_that_has_left_is_not_paused(monkeypatch):
    async def scene():
        async with connected() as at:
            at.stream.pause()
            for _ in range(20):
                await at.client.write(HELLO)
            at.client.leave()
            received, at.receiver.received_on = [], lambda link, message: (received.append(message), link.pause())
            at.stream.resume()
            await at.heard("lost")
            return len(received)

    assert run(scene()) == 20


def test_looking_after_a_paused_client_ends_with_the_pause(monkeypatch):
    looks = []
    monkeypatch.setattr(stream_module, "_LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(stream_module, "has_left", looks.append)

    async def scene():
        async with connected() as at:
            at.stream.pause()
            at.stream.pause()
            await at.until(lambda: len(looks) > 5)
            at.stream.resume()
            before = len(looks)
            await asyncio.sleep(0.05)
            return len(looks) - before

    assert run(scene()) == 0


def test_a_stream_without_a_receiver():
    async def scene():
        async with connected() as at:
            stream = Stream(at.transport, None, 4, 100)
            stream.data_received(HELLO)
            stream.pause_writing()
            stream.resume_writing()
            stream.connection_lost(None)
            return list(at.receiver.heard), stream.writable

    assert run(scene()) == ([], False)
