"""The table of docs/reference/clients.md: what stands in it, how it is written, and how it is read again.

`make clients-table` runs every client through every door and writes it (conftest.py); test_table.py reads it.
"""

import importlib.metadata
import re
from collections.abc import Collection, Mapping

from tests.clients.roster import ROWS, Row
from tests.support.servers import ROOT

PAGE = ROOT / "docs" / "reference" / "clients.md"
BEGIN, END = "<!-- written by `make clients-table` -->", "<!-- end of the table -->"
YES, NO = "yes", "**no**"

# heading -> the tests that must pass
COLUMNS = {
    "connect": {
        "test_client_is_the_one_that_the_table_names",
        "test_client_connects_and_knows_its_sid",
        "test_namespaces_share_one_connection",
        "test_auth_payload_arrives",
        "test_transport_is_the_promised_one",
        "test_server_saw_each_connection_come_and_go_once",
    },
    "events, acks": {
        "test_event_brings_its_values_there_and_back",
        "test_server_acks",
        "test_client_acks",
        "test_background_thread_pushes",
        "test_push_to_everybody_in_the_namespace",
    },
    "order": {"test_a_thousand_events_keep_their_order"},
    "text": {"test_text_beyond_ascii_goes_both_ways"},
    "binary": {"test_binary_goes_both_ways"},
    "1 MB": {"test_as_large_as_may_be"},
    "refusal": {"test_refusal_says_why"},
    "thrown out": {"test_server_ends_one_namespace_and_the_other_lives_on"},
    "comes back": {"test_client_comes_back_by_itself"},
}

# what the client does otherwise than one would wish, whatever the server: (heading, text)
FACTS = {
    1: (
        "refusal",
        "Before 3.0 the protocol has room for one value: the client gets the data of the refusal, or its message where"
        " there is no data.",
    ),
    2: (
        "refusal",
        "The message, never the data: version 2 of `socket.io-msgpack-parser` takes nothing but a text in a refusal,"
        " and throws `invalid payload` at anything else, which would end a Node.js process.",
    ),
    3: (
        "1 MB",
        "From the server, text up to 100,000 characters in one payload: the client gives each to a JavaScript function"
        " as an argument, and Chromium takes about 120,000 of them. Beyond that it says `xhr poll error` and connects"
        " anew. The megabyte to the server, and binary, work.",
    ),
    4: (
        "1 MB",
        "Text, yes; of binary 100,000 bytes, for the same reason: beyond about 120,000 the page has an error, `Maximum"
        " call stack size exceeded`, and nothing is sent.",
    ),
    5: (
        "comes back",
        "When its connection breaks, yes. When the server closes it on long-polling, python-socketio takes that for the"
        " end and stays away.",
    ),
    6: (
        "order",
        "From the client to the handler. In the other direction the events arrive in order, but python-socketio's"
        " client of threads starts a thread for each of them, and its handlers may overtake each other.",
    ),
}
HEAD = ("client", "runs in", "packets", "transports")
TRANSPORTS = {"default": "default", "websocket": "WebSocket", "polling": "polling", "jsonp": "JSONP"}
PLACES = {"Node.js": "Node.js", "Chromium": "Chromium", "sync": "threads", "async": "asyncio"}


def facts_of(row: Row) -> dict[str, int]:
    """Heading -> footnote, where there is something to say."""
    found = {}
    if row.revision == 3:
        found["refusal"] = 2 if row.hears_text_alone else 1
    if row.place == "Chromium" and row.revision == 3 and row.transports == "jsonp":
        found["1 MB"] = 4
    elif row.text_back < row.job("")["text_size"]:
        found["1 MB"] = 3
    if row.mixes_up:
        found["order"] = 6
    if row.close_is_final:
        found["comes back"] = 5
    return found


def key(row: Row) -> tuple[str, ...]:
    """The first cells of its line; the Python client's version is whichever is installed."""
    name = "python-socketio" if row.is_python else f"socket.io-client {row.version}"
    form = "msgpack" if row.serializer == "msgpack" else "JSON"
    return name, PLACES[row.place], form, TRANSPORTS[row.transports]


def render(passed: Mapping[Row, Collection[str]]) -> str:
    """The table, and the facts below; `passed` has the names of the tests that passed on every door."""
    lines = [line([*HEAD, *COLUMNS]), line(["---"] * (len(HEAD) + len(COLUMNS)))]
    for row in ROWS:
        facts = facts_of(row)
        cells = [YES if tests <= set(passed.get(row, ())) else NO for tests in COLUMNS.values()]
        marked = [
            cell + (f" [{facts[heading]}]" if heading in facts else "")
            for heading, cell in zip(COLUMNS, cells, strict=True)
        ]
        lines.append(line([*key(row), *marked]))
    notes = [f"{number}. **{heading}**: {text}" for number, (heading, text) in FACTS.items()]
    version = importlib.metadata.version("python-socketio")
    return "\n".join([BEGIN, "", *lines, "", f"python-socketio was {version}.", "", *notes, "", END])


def line(cells: Collection[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(passed: Mapping[Row, Collection[str]]) -> None:
    """Put the table into its page, in place of the one before."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + render(passed) + after, encoding="utf-8")


def without_version(text: str) -> str:
    """The part of a page that does not depend on which Python client is installed."""
    return re.sub(r"^python-socketio was .*$", "", text, flags=re.MULTILINE)
