"""What tests/faults tries, in one table: the tests take their counts from it, and `make robustness` writes its page.

Outcomes are kept in `test-results/faults.json` by every full run of tests/faults; `make fuzz` and `make soak`
leave theirs beside it.
"""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.servers import ROOT

FULL = os.environ.get("TRUESOCKET_TEST_FULL") == "1"
RESULTS = ROOT / "test-results"
FAULTS = RESULTS / "faults.json"


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong.  `count` is how often, in the quick and in the full run; `{n}` in `tried` is that."""

    tried: str
    expected: str
    reduced: int = 1
    full: int = 1

    @property
    def count(self) -> int:
        """How often in this run."""
        return self.full if FULL else self.reduced


@dataclass
class Outcome:
    """What came of it."""

    passed: bool
    count: int
    seconds: float
    figures: dict[str, float | str]
    skipped: str = ""


#: By the name of the test.
CASES: dict[str, Case] = {
    # --- connections that break ---
    "test_reset_in_mid_frame": Case(
        "{n} clients reset their connection (RST) in the middle of a frame",
        "`disconnect` once each; sockets and files freed",
        40,
        2_000,
    ),
    "test_reset_in_mid_request": Case(
        "{n} connections are reset in the middle of a request's head or body", "files freed", 60, 2_000
    ),
    "test_peer_that_stops_answering": Case(
        "{n} clients keep their connection and answer no ping",
        "`ping timeout` after interval and time-out, once each",
        6,
        200,
    ),
    "test_packets_dropped_on_the_way": Case(
        "the network between {n} clients and the server drops every packet (network namespace)",
        "`ping timeout` after interval and time-out, once each; files freed",
        4,
        50,
    ),
    "test_reader_who_never_reads": Case(
        "{n} clients never read what is sent to them, 8 MB each",
        "closed with `slow consumer`; memory bounded",
        3,
        50,
    ),
    "test_poller_who_never_asks": Case(
        "{n} long-polling clients never ask again for what is sent to them",
        "closed with `slow consumer`; memory bounded",
        3,
        50,
    ),
    "test_frame_of_one_byte_at_a_time": Case(
        "{n} clients send a frame byte by byte, and never its end",
        "`ping timeout`: a frame that does not end holds up their pongs",
        4,
        100,
    ),
    "test_head_of_one_byte_at_a_time": Case(
        "{n} connections send the head of a request byte by byte, and never its end",
        "bystanders missed nothing",
        20,
        500,
    ),
    "test_body_of_one_byte_at_a_time": Case(
        "{n} clients send the body of a POST byte by byte, and never its end",
        "`ping timeout`, or freed when they go",
        4,
        100,
    ),
    "test_leaving_while_not_read": Case(
        "{n} clients send more events than may wait, and leave while we do not read them",
        "`disconnect` in a moment, not after a heartbeat",
        2,
        20,
    ),
    "test_connects_and_leaves": Case(
        "{n} clients connect and leave, by every way in, politely or not",
        "memory, files and tables back to where they were",
        240,
        10_000,
    ),
    "test_reconnect_storm": Case(
        "{n} clients lose their connection and come back at the same moment", "everybody is let in", 200, 5_000
    ),
    "test_drops_and_comes_back": Case(
        "{what}: the connection breaks {n} times under a stream of numbered events, recovery is on",
        "recovered every time; no event missing, none twice",
        40,
        1_000,
    ),
    # --- too much of everything ---
    "test_oversized_on_a_websocket": Case("larger than allowed: {what}", "closed with 1009, 1008 or 1002"),
    "test_oversized_request": Case("larger than allowed: {what}", "400, 414, 431, or simply closed"),
    "test_oversized_post": Case("a POST that is too large ({what})", "413, or simply closed"),
    "test_as_many_namespaces_as_there_are": Case(
        "{n} CONNECTs to namespaces that do not exist", "refused one by one; nothing kept", 2_000, 50_000
    ),
    "test_endless_fragments": Case(
        "a message in {n} fragments of no bytes, without an end", "memory bounded", 20_000, 1_000_000
    ),
    "test_a_thread_that_emits_faster_than_its_client_reads": Case(
        "one thread emits {n} events of 20 KB to a client that does not read; the oldest are dropped",
        "the thread waits; memory bounded; the client reads on with the newest",
        10_000,
        10_000,
    ),
    "test_clients_above_their_rate": Case(
        "{n} events in a row from a client that may send 50 a second",
        "the rest is dropped; bystanders missed nothing",
        5_000,
        200_000,
    ),
    "test_heads_that_never_end": Case(
        "{n} connections send a head that never ends", "each closed after `header_timeout`; files freed", 50, 1_000
    ),
    "test_ping_flood": Case(
        "{n} WebSocket pings in a row from a client that does not read", "memory bounded", 20_000, 1_000_000
    ),
    "test_deflate_bomb": Case("{n} messages that inflate to 64 MB each", "closed with 1009; memory bounded", 5, 200),
    "test_gzip_bomb_in_a_post": Case(
        "{n} POSTs with a gzip bomb in their body", "refused with 400: bodies are not decompressed", 5, 200
    ),
    "test_invalid_utf8": Case("{n} messages and payloads that are not UTF-8", "closed with 1007, or 400", 20, 500),
    "test_a_thousand_packets_in_one_post": Case("{n} POSTs of 1,000 packets each", "every one is answered", 2, 20),
    # --- handlers ---
    "test_handlers_that_raise": Case("{n} handlers raise an exception", "one log record each", 100, 5_000),
    "test_handler_that_blocks_the_loop": Case(
        "an `async def` handler blocks the loop for longer than ping interval and time-out, {n} times in a row",
        "nobody expires; pushes go on",
        2,
        10,
    ),
    "test_handlers_that_burn_the_cpu": Case("{n} handlers compute without a pause", "pushes go on", 8, 8),
    "test_handlers_that_never_end": Case(
        "{n} handlers never end, nor do those of clients that left", "others connect and are answered", 40, 1_000
    ),
    "test_leaving_during_their_own_ack": Case(
        "{n} clients leave, or are sent away, before the ack of their event", "`disconnect` once each", 30, 2_000
    ),
    "test_handlers_whose_clients_have_just_left": Case(
        "{n} clients leave while five handlers each are about to join, to emit and to leave a room",
        "no error, no traceback; `disconnect` once each",
        50,
        2_000,
    ),
    "test_emitting_faster_than_the_loop_sends": Case(
        "a thread emits {n} events of 10 KB to 20 clients who do not read, as fast as it can",
        "it waits for the loop; memory bounded by 20 outboxes",
        8_000,
        100_000,
    ),
    # --- the process ---
    "test_sigterm_in_the_middle_of_a_broadcast": Case(
        "SIGTERM while a broadcast to {n} clients goes out",
        "no gap in what each one got; the engine closed, no DISCONNECT; the process ends",
        30,
        500,
    ),
    "test_sigterm_and_a_slow_reader": Case(
        "SIGTERM while 8 MB wait for a slow reader", "it gets all of it, then the close"
    ),
    "test_out_of_file_descriptors": Case(
        "{n} connections to a server that may open 100 files",
        "no busy loop; whoever is in stays in; new clients come in again",
        200,
        1_000,
    ),
    "test_clock_on_the_wall_jumps": Case("the clock jumps by an hour or a day, {n} times", "nobody expires", 2, 20),
    "test_stopped_and_continued": Case(
        "the process is stopped (SIGSTOP) for longer than ping interval and time-out, {n} times", "nobody expires", 1, 5
    ),
}


def read_outcomes() -> dict[str, Outcome]:
    """What the runs so far have found."""
    if not FAULTS.exists():
        return {}
    return {name: Outcome(**values) for name, values in json.loads(FAULTS.read_text()).items()}


def write_outcomes(found: dict[str, Outcome]) -> None:
    """Adds to what is known; tests that run side by side do so one behind the other."""
    import fcntl  # not on Windows, where the faults do not run

    RESULTS.mkdir(exist_ok=True)
    with FAULTS.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, Any] = {name: asdict(outcome) for name, outcome in (read_outcomes() | found).items()}
        FAULTS.write_text(json.dumps(known, indent=1, sort_keys=True))
