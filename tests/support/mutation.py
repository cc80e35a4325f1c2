"""Golden transcripts, and ways to spoil them: for tests/fuzz.

Every choice comes from a `random.Random` that the test seeds, so a failure comes again with the same seed.
"""

import os
import random
from collections.abc import Iterator, Sequence

FULL = os.environ.get("TRUESOCKET_TEST_FULL") == "1"

#: Engine.IO messages as they stand on a WebSocket, by revision.
MESSAGES: dict[int, list[bytes]] = {
    4: [
        b"2probe",
        b"3",
        b"40",
        b'40{"token":"x"}',
        b"40/admin,",
        b'42["say",1]',
        b'42/admin,["say",{"a":[1.5,null,true]}]',
        '4212["echo","ü€😀"]'.encode(),
        b'430["yes",{"x":1}]',
        b'452-["say",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]}]',
        b'451-/admin,5["echo",{"_placeholder":true,"num":0}]',
        b"41/admin,",
        b"41",
        b"bAQIDBA==",
        b"\x01\x02\x03",
        b"1",
        b"6",
        b"5",
    ],
    3: [
        b"2",
        b"2probe",
        b"40/admin?token=x,",
        b'42["say",1]',
        b'42/admin,["say",{"a":[1.5,null,true]}]',
        '4212["echo","ü€😀"]'.encode(),
        b'451-["say",{"_placeholder":true,"num":0}]',
        b"\x04\x01\x02\x03",
        b"b4AQIDBA==",
        b"41/admin",
        b"1",
        b"5",
    ],
}
#: Polling payloads, by revision.
PAYLOADS: dict[int, list[bytes]] = {
    4: [
        b"\x1e".join(MESSAGES[4][:9]),
        b"40",
        b'42["say",1]\x1e42["say",2]',
        b'451-["say",{"_placeholder":true,"num":0}]\x1ebCQ==',
    ],
    3: [
        b'12:42["say",1]',
        '15:42["say","€😀"]'.encode(),
        '23:42["say","grüß dich"]'.encode().decode("latin-1").encode(),
        b'41:451-["say",{"_placeholder":true,"num":0}]6:b4CQ==',
        b'\x00\x04\x01\xff451-["say",{"_placeholder":true,"num":0}]\x01\x02\xff\x04\x09',
        b"1:22:40",
        b"d=12%3A42%5B%22say%22%2C1%5D",
    ],
}
_SPICE = [
    b"",
    b"\x00",
    b"\xff",
    b"\x1e",
    b"\x80\x80",
    b"[" * 400,
    b'{"a":' * 300,
    b"9" * 25,
    b"-1",
    b"1e999",
    b"\xed\xa0\x80",
    b"\\ud800",
    b'"__proto__"',
    b"NaN",
    b'{"_placeholder":true,"num":7}',
    b":",
    b",",
    b"/",
    b"?",
    b"51-",
]


def spoil(rng: random.Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """`data` with a few things done to it; now and then with none."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(spoilt) + 1)
        to = min(len(spoilt), at + rng.choice((1, 1, 2, 4, 16)))
        match rng.randrange(7):
            case 0 if at < len(spoilt):
                spoilt[at] ^= 1 << rng.randrange(8)
            case 1:
                spoilt[at:at] = rng.choice(_SPICE)
            case 2:
                del spoilt[at:to]
            case 3:
                spoilt[at:at] = spoilt[at:to] * rng.randrange(1, 5)
            case 4 if others:
                spoilt[at:] = rng.choice(others)[rng.randrange(8) :]
            case 5:
                spoilt[at:to] = rng.randbytes(to - at)
            case _:
                del spoilt[at:]
    return bytes(spoilt)


def frame(rng: random.Random, payload: bytes, *, strange: bool = True) -> bytes:
    """A WebSocket frame of a client, mostly a right one; `strange` ones are fragments, pings, or of no known kind."""
    first = 0x81 if rng.random() < 0.8 else 0x82
    if strange and rng.random() < 0.1:
        first = rng.choice((0x01, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x83, 0x00, 0x91))
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    key = rng.randbytes(4)
    pattern = (key * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")
    return bytes([first]) + length + key + masked


def conversation(rng: random.Random, revision: int) -> list[bytes]:
    """The messages of one client that begins well and goes wrong."""
    messages = [b"40"] if revision == 4 and rng.random() < 0.9 else []
    for _ in range(rng.randrange(1, 8)):
        message = rng.choice(MESSAGES[revision])
        messages.append(spoil(rng, message, MESSAGES[revision]) if rng.random() < 0.6 else message)
    return messages


def chopped(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """The same bytes in pieces."""
    at = 0
    while at < len(data):
        size = rng.choice((1, 2, 7, 100, 5000))
        yield data[at : at + size]
        at += size
