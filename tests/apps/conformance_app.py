"""The server behind tests/conformance and tests/fuzz: Socket.IO alone, on bare ASGI, with a handler for each question.

OPTIONS in the environment is a JSON object of the server's options; FORBID=1 gives it an `allow_request` that says no
to whoever comes with `?forbid=...`.
"""

import asyncio
import json
import os
from urllib.parse import parse_qs

import truesocket
from truesocket.core.socket import Socket, current

options = json.loads(os.environ.get("OPTIONS", "{}"))
if os.environ.get("FORBID"):
    options["allow_request"] = lambda handshake: "forbid" not in handshake.args()
server = truesocket.Server(**options)

history: dict[str, list[str]] = {}


def me() -> Socket:
    """Whose handler this is."""
    socket = current.get()
    assert socket is not None
    return socket


def note(what: str) -> None:
    """Remember it for the client with this ?token=."""
    socket = me()
    token = socket.handshake.args().get("token", "")
    history.setdefault(token, []).append(f"{socket.namespace} {what}")
    print(f"{token} {socket.namespace} {what}", flush=True)


async def connected(auth=None):
    socket = me()
    note("connect")
    args = {**socket.handshake.args(), **(auth if isinstance(auth, dict) else {})}
    if "refuse" in args:
        raise truesocket.Refused(args["refuse"], *json.loads(args.get("data", "[]")))
    if "slow" in args:
        await asyncio.sleep(0.3)
    if "welcome" in args:
        socket.enter("guests")
        socket.emit("welcome", {"sid": socket.sid, "auth": auth, "query": socket.query})
        server.emit("arrived", socket.sid, to="guests", namespace=socket.namespace)


async def disconnected(reason):
    note(reason)


async def echo(*args):
    return args


async def say(*args):
    me().emit("said", *args)


async def many(count):
    for number in range(count):
        me().emit("number", number)


async def ask(*args):
    answer = await server.call("question", *args, to=me().sid, namespace=me().namespace)
    me().emit("answered", answer)


async def leave():
    me().disconnect()


async def parting():
    """A last word, then out."""
    me().emit("bye", "ü", b"\x01")
    me().disconnect()


seen: dict[str, list[object]] = {}


async def remember(token, value):
    seen.setdefault(token, []).append(value)


async def recall(token):
    return seen.get(token, [])


for namespace in ("/", "/admin", "/grüße"):
    for handler in (echo, say, many, ask, leave, parting, remember, recall):
        server.on(handler.__name__, handler, namespace=namespace)
    server.on("connect", connected, namespace=namespace)
    server.on("disconnect", disconnected, namespace=namespace)


async def pages(scope, receive, send):
    """`/history/TOKEN?count=N` waits until so much has happened."""
    if scope["type"] != "http":
        raise RuntimeError("only pages here")
    token = scope["path"].rpartition("/")[2]
    count = int(parse_qs(scope["query_string"].decode()).get("count", ["0"])[0])
    for _ in range(400):
        if len(history.get(token, [])) >= count:
            break
        await asyncio.sleep(0.02)
    body = json.dumps(history.get(token, [])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


app = truesocket.ASGIApp(server, other=pages)
