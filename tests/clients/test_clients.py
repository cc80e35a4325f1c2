"""The official clients against our server, through every door: the JavaScript ones, and python-socketio's.

Each lives through one scenario (scenario.js, python_client.py) in a process of its own and prints what it saw. The
tests read these reports; `roster.py` says who runs. `COLUMNS` of table.py names the tests that stand in the table of
docs/reference/clients.md.
"""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.proxy import Proxies
from tests.clients.roster import MESSAGE, RUNS, Door, Row, Serializer
from tests.support.servers import ROOT, Server, running, running_asgi, running_wsgi

APP = "tests.apps.clients_app"
PATIENCE = 90
AT_ONCE = 3 * (os.cpu_count() or 1)  # each waits more than it works
SHOWN = 4_000
WELCOME = "grüß dich, 世界 😀"
NAMESPACES = ["/", "/test_conn"]

pytestmark = pytest.mark.timeout(300)  # the first test of a door waits for all its clients

Reports = dict[Row, dict]
told: dict[tuple[Door, Serializer], Reports] = {}


def serve(door: Door, serializer: Serializer):
    env = {"SERIALIZER": serializer}
    if door == "gunicorn-gthread":
        return running_wsgi(f"{APP}:app", door, threads=8, env=env)
    return running(APP, env=env) if door == "run" else running_asgi(f"{APP}:socketio", server=door, env=env)


def live(row: Row, server: Server, url: str) -> dict:
    """Run one client and return its report, with what the server noted about it."""
    command = [*row.command, json.dumps(row.job(url))]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"it said nothing for {PATIENCE} s"}
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return {"failure": f"{done.stdout}{done.stderr}"}
    if "failure" not in report:
        report["history"] = history(server, row)
    return report


def history(server: Server, row: Row) -> dict[str, list[tuple[str, str]]]:
    """What the server noted about the connections of a client that is gone: sid -> (namespace, what), in order.

    The last line may come a moment later.
    """
    deadline = time.monotonic() + 5
    while True:
        with urllib.request.urlopen(f"{server.url}/history/{row}") as answer:
            lines = json.load(answer)["history"]
        if sum(what.startswith("disconnect") for _, _, what in lines) >= ends(row) or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    found: dict[str, list[tuple[str, str]]] = {}
    for sid, namespace, what in lines:
        found.setdefault(sid, []).append((namespace, what))
    return found


def starts(row: Row) -> int:
    """How often its sockets connected: two namespaces, at first, after the cut, and after the server's close."""
    return 4 if row.close_is_final else 6


def ends(row: Row) -> int:
    """How many the server has seen go, at least.

    A session on polling whose line was cut lives on until its ping time-out, unless the client still says good-bye.
    """
    cut_unseen = row.transports in {"polling", "jsonp"}
    return starts(row) - 2 * cut_unseen


def gather(door: Door, serializer: Serializer, rows: Iterable[Row]) -> Reports:
    """All these clients on one server, some at a time."""
    rows = list(rows)
    with serve(door, serializer) as server, Proxies(server.port) as proxies:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            reports = dict(zip(rows, pool.map(lambda row: live(row, server, proxies.open()), rows), strict=True))
        for report in reports.values():
            report["server"] = server.output[-SHOWN:]
    return reports


@pytest.fixture(params=RUNS, ids=str)
def run(request):
    return request.param


@pytest.fixture
def row(run):
    return run.row


@pytest.fixture
def report(run, row, request):
    """The report of one client; a client that gave up shows how far it came."""
    place = (run.door, row.serializer)
    if place not in told:
        asked = {item.callspec.params["run"] for item in request.session.items if "run" in fixtures(item)}
        rows = dict.fromkeys(each.row for each in RUNS if each in asked and (each.door, each.row.serializer) == place)
        try:
            told[place] = gather(*place, rows)
        except BaseException as error:  # once, and not again for every test
            failure = "\n".join([repr(error), *getattr(error, "__notes__", [])])
            told[place] = {each: {"failure": failure} for each in rows}
    found = told[place][row]
    if "failure" in found:
        until = {key: value for key, value in found.items() if key not in {"failure", "server", "counted", "numbers"}}
        said = found.get("server", "")
        pytest.fail(f"{run}: {found['failure']}\nuntil then: {until}\nthe server: {said}", pytrace=False)
    return found


def fixtures(item: pytest.Item) -> Iterable[str]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else ()


def test_client_is_the_one_that_the_table_names(report, row):
    assert row.is_python or report["client"] == row.version


def test_client_connects_and_knows_its_sid(report, row):
    """In a namespace, 1.x knows it without the namespace that the reference server puts in front."""
    assert report["welcome"]["sid"] == report["id"]
    before = "/test_conn#" if row.version.startswith("1.") else ""
    assert report["namespace_welcome"]["sid"] == before + report["namespace_id"]
    assert report["welcome"]["text"] == report["namespace_welcome"]["text"] == WELCOME


def test_namespaces_share_one_connection(report):
    assert report["same_connection"]
    assert report["namespace_ack"] == ["in the room"]


def test_auth_payload_arrives(report, row):
    """Revision 3 of Engine.IO knows no auth payload."""
    assert report["welcome"]["auth"] == (None if row.revision == 3 else {"user": "ann"})


def test_transport_is_the_promised_one(report, row):
    """On default transports every client ends on a WebSocket; client and server agree."""
    final = "polling" if row.transports in {"polling", "jsonp"} else "websocket"
    assert report["transport"] == final
    assert report["server_transport"] == final
    assert report["first_transport"] == ("websocket" if row.transports == "websocket" else "polling")
    assert report["jsonp"] == (row.transports == "jsonp")


def test_event_brings_its_values_there_and_back(report):
    assert report["echoed"] == report["values"]


def test_server_acks(report):
    assert report["ack"] == report["values"]
    assert report["ack_of_nothing"] == []


def test_client_acks(report):
    assert report["answered"] == ["why?", [7]]


def test_a_thousand_events_keep_their_order(report, row):
    assert report["counted"] == list(range(1000))
    numbers = sorted(report["numbers"]) if row.mixes_up else report["numbers"]
    assert numbers == list(range(1000))


def test_text_beyond_ascii_goes_both_ways(report):
    """On polling, 1.x encodes text as UTF-8 twice, and nothing in the protocol says so."""
    text = report["text"]
    assert report["spelling"] == [[ord(char) for char in text], text]
    assert report["spelled"] == [text]
    assert report["binary_text"] == [[ord(char) for char in "grün"], "grün"]


def test_binary_goes_both_ways(report):
    assert report["binary_types"]
    assert report["binary_ack"] == [[0, 1, 2, 255], [9, 8]]
    assert report["binary_event"] == [[255, 2, 1, 0], [9, 8], 4]


def test_as_large_as_may_be(report, row):
    """A megabyte, less its frame, arrives and comes back."""
    job = row.job("")
    assert report["big"] == [[job["text_size"], True, True], [job["binary_size"], True, True]]
    assert row.transports != "websocket" or job["text_size"] == job["binary_size"] == MESSAGE


def test_refusal_says_why(report, row):
    """Clients of revision 3 get the data, or the message where there is none, as the reference server does it.

    With msgpack they always get the message.
    """
    detail = {"code": 42}
    if row.revision == 3:
        whole, without_data = "not you" if row.hears_text_alone else detail, "not today"
    else:
        whole, without_data = {"message": "not you", "data": detail}, {"message": "not today"}
    assert report["refused"] == {"secret": whole, "closed": without_data, "root": whole}


def test_background_thread_pushes(report):
    """Each push goes out when the client has answered the one before, while no handler runs."""
    assert report["pushed"] == [0, 1, 2]


def test_push_to_everybody_in_the_namespace(report, row):
    assert report["news"] == str(row)


def test_server_ends_one_namespace_and_the_other_lives_on(report, row):
    assert report["disconnect"] == ("server disconnect" if row.is_python else "io server disconnect")
    assert report["namespace_afterwards"] == ["still here"]
    assert report["namespace_disconnect"] == ("client disconnect" if row.is_python else "io client disconnect")


def test_client_comes_back_by_itself(report, row):
    """After the line was cut, and after the server closed the connection; in both namespaces, as a new client."""
    assert len(report["returns"]) == starts(row) // 2 - 1
    for back in report["returns"]:
        assert back["reason"] in {"transport close", "transport error"}
        assert back["new_ids"]
        assert back["answers"] == [["back"], ["back"]]
    assert not row.close_is_final or report["close"] == "server disconnect"


def test_server_saw_each_connection_come_and_go_once(report, row):
    """With a reason; how the last one goes depends on which byte of the good-bye comes first."""
    seen = list(report["history"].values())
    assert len(seen) == starts(row)
    assert sorted(namespace for lines in seen for namespace, what in map(tuple, lines) if what == "connect") == sorted(
        NAMESPACES * (starts(row) // 2)
    )
    assert all(len({namespace for namespace, _ in lines}) == 1 for lines in seen)
    assert all(lines[0][1] == "connect" for lines in seen)
    reasons = [what for lines in seen for _, what in lines[1:]]
    assert ends(row) <= len(reasons) <= starts(row)
    by_server = 1 if row.close_is_final else 3  # thrown out of one namespace; the connection of two closed
    assert reasons.count("disconnect: server disconnect") == by_server
    rest = set(reasons) - {"disconnect: server disconnect"}
    assert rest <= {"disconnect: client disconnect", "disconnect: transport close", "disconnect: transport error"}
