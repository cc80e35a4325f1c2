"""Spoilt transcripts against every codec and session: whatever comes, the only exception is a ProtocolError."""

import contextlib
import random

import pytest

from tests.support.fuzzing import TARGETS
from tests.support.mutation import FULL, spoil
from truesocket.errors import ProtocolError

COUNT = 200_000 if FULL else 10_000
SLOW = {"session, bytes of a WebSocket": 20, "session, steps": 20}  # how many times fewer


@pytest.mark.parametrize("name", TARGETS)
def test_only_a_protocol_error_comes_out(name):
    target = TARGETS[name]
    samples = target.golden()
    rng = random.Random(name)
    count = COUNT // SLOW.get(name, 1)
    refused = 0
    for _ in range(count):
        data = spoil(rng, rng.choice(samples), samples)
        try:
            target.function(data)
        except ProtocolError as error:
            refused += bool(str(error))
        except Exception as error:
            error.add_note(f"{name}: {data!r}")
            raise
    assert not target.may_refuse or count / 100 < refused < count


@pytest.mark.parametrize("name", TARGETS)
def test_pure_noise(name):
    function = TARGETS[name].function
    rng = random.Random(name)
    for _ in range(COUNT // 10):
        with contextlib.suppress(ProtocolError):
            function(rng.randbytes(rng.randrange(40)))
