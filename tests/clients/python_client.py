"""The scenario of run_client.cjs, lived through by python-socketio's client.

python python_client.py <url> <default|websocket|polling> <token>
"""

import importlib.metadata
import json
import os
import queue
import sys
import time
import traceback

import socketio

PATIENCE = 10


class Told:
    """What a handler was called with, for the thread that waits for it."""

    def __init__(self, client, event, namespace="/", answer=None):
        self.calls = queue.SimpleQueue()
        self.answer = answer
        client.on(event, self._hear, namespace=namespace)

    def _hear(self, *args):
        self.calls.put((time.monotonic(), args))
        return self.answer(*args) if self.answer else None

    def wait(self):
        """Return (when, arguments) of the next call."""
        return self.calls.get(timeout=PATIENCE)


def scenario(url, transports, token, report):
    report["client"] = importlib.metadata.version("python-socketio")
    client = socketio.Client(reconnection=False)
    welcome, gone = Told(client, "welcome"), Told(client, "disconnect")
    refused = Told(client, "connect_error", "/secret")
    room_gone, news = Told(client, "disconnect", "/test_conn"), Told(client, "news", "/test_conn")
    echoed, answered, back, pushed = (Told(client, event) for event in ("echoed", "answered", "binary_back", "pushed"))
    Told(client, "question", answer=lambda question: (question + "?", [7]))

    def acked(event, *args, namespace="/"):
        answers = queue.SimpleQueue()
        client.emit(event, args, namespace=namespace, callback=lambda *answer: answers.put(list(answer)))
        return answers.get(timeout=PATIENCE)

    # connect, and the message that the connect handler sent
    client.connect(
        f"{url}?token={token}",
        auth={"user": "ann"},
        transports=None if transports == "default" else [transports],
        namespaces=["/", "/test_conn", "/secret"],
        wait=False,
    )
    deadline = time.monotonic() + PATIENCE
    while not {"/", "/test_conn"} <= client.namespaces.keys():
        assert time.monotonic() < deadline, f"joined only {client.namespaces}"
        time.sleep(0.01)
    report["id"] = client.get_sid("/")
    report["namespace_id"] = client.get_sid("/test_conn")
    report["same_connection"] = True  # this client has one connection for all namespaces
    report["welcome"] = welcome.wait()[1][0]
    (refusal,) = refused.wait()[1]
    report["refused"] = refusal

    # which way the bytes go; this client upgrades before connect() returns
    report["first_transport"] = "polling" if transports == "default" else transports
    report["transport"] = client.transport()
    (report["server_transport"],) = acked("transport")

    # event and ack
    values = ["text", 42, 2.5, True, None, {"list": [1, [2, {"three": 3}]], "empty": {}}]
    report["values"] = values
    report["ack"] = acked("echo", *values)
    report["echoed"] = list(echoed.wait()[1])
    report["ack_of_nothing"] = acked("echo")
    (report["text"],) = acked("echo", "naïve 世界 😀")

    # the server asks, the client acks
    client.emit("ask_me", "why")
    report["answered"] = list(answered.wait()[1])

    # binary both ways, nested
    blob, again = acked("binary", bytes([0, 1, 2, 255]), {"inside": [b"inner"]})
    (event,) = back.wait()[1]
    report["binary_ack"] = [blob.hex(), again["again"].hex()]
    report["binary_event"] = [event["reversed"].hex(), event["list"][0].hex(), event["list"][1]["size"]]

    # a second namespace on the same connection
    report["namespace_ack"] = acked("echo", "in the room", namespace="/test_conn")

    # pushes from a background thread: to this client, to everybody in the namespace
    client.emit("push_me")
    arrivals = [pushed.wait() for _ in range(3)]
    report["pushed"] = [args[0]["number"] for _, args in arrivals]
    report["push_gaps"] = [round((arrivals[n + 1][0] - arrivals[n][0]) * 1000) for n in range(2)]
    client.emit("push_all", token, namespace="/test_conn")
    while (tag := news.wait()[1][0]["tag"]) != token:
        pass
    report["news"] = tag

    # the server throws us out of one namespace; the other lives on, until we leave it ourselves
    client.emit("throw_me_out")
    (report["disconnect"],) = gone.wait()[1]
    report["namespace_afterwards"] = acked("echo", "still here", namespace="/test_conn")
    client.disconnect()
    (report["namespace_disconnect"],) = room_gone.wait()[1]


def main():
    report = {}
    try:
        scenario(*sys.argv[1:], report)
    except Exception:
        report["failure"] = traceback.format_exc()
    print(json.dumps(report), flush=True)
    os._exit("failure" in report)  # after a failure the client's threads may still wait for something


if __name__ == "__main__":
    main()
