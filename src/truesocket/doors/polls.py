"""A polling request from admission to its answer: what every door that is given whole HTTP requests does alike.

``doors/asgi.py`` and ``doors/wsgi.py`` cut the request, read its body and send the answer; what stands between is here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from truesocket.core.admission import Denied
from truesocket.core.ports import Handshake
from truesocket.doors.entrance import Entrance
from truesocket.session.engine import Reason
from truesocket.session.peer import Peer
from truesocket.transports import polling
from truesocket.transports.polling import HttpReply, HttpRequest, Watch

__all__ = ["Poll", "admit"]


@dataclass(slots=True)
class Poll:
    """One GET or POST of a session that exists; ``extra`` are headers that go with its answer."""

    entrance: Entrance
    handshake: Handshake
    method: str
    peer: Peer[Handshake]
    extra: tuple[tuple[str, str], ...]

    async def get(self, watch: Watch | None = None) -> HttpReply:
        """Waits until there is something to tell.  Raises :class:`Left` where ``watch`` says so."""
        return self.finished(await polling.turn(self.peer.engine, self._request(), watch))

    async def post(self, body: bytes) -> HttpReply:
        """Takes the packets of a body that has come whole."""
        return self.finished(await polling.turn(self.peer.engine, self._request(body)))

    def begins(self) -> HttpReply | None:
        """A POST's head has come, so that a second one beside it is seen; the refusal of that one, else ``None``."""
        if self.peer.engine.post_begins():
            return None
        error = "two POSTs of one session at the same time; the session has been closed"
        return self.finished(polling.error_reply(3, error))

    def too_large(self) -> HttpReply:
        """The body is larger than ``max_payload``: the session ends."""
        self.peer.close(Reason.TRANSPORT_ERROR)
        return self.finished(HttpReply(413, b"the payload is larger than max_payload; the session has been closed"))

    def finished(self, reply: HttpReply) -> HttpReply:
        """A reply as it goes out: compressed, with the headers for pages of other origins and the cookie."""
        reply = self.entrance.compressed(reply, self.handshake)
        return replace(reply, headers=(*reply.headers, *self.extra))

    def _request(self, body: bytes = b"") -> HttpRequest:
        return HttpRequest(self.method, self.handshake.header("content-type"), body, self.handshake.args().get("j"))


async def admit(entrance: Entrance, handshake: Handshake, method: str, *, upgrades: bool = True) -> Poll | HttpReply:
    """Whether this request may go on; if not, or if nothing is left to do, the whole answer.

    The request that opens a session has it opened; ``upgrades=False``: without the offer of a WebSocket.
    """
    found = entrance.prepared(handshake, method)
    seen = found if isinstance(found, Handshake) else await found
    extra = entrance.cors_headers(seen)
    if method == "OPTIONS":
        return HttpReply(204, b"", headers=extra)
    opening = entrance.read(seen, method, is_websocket=False)
    if isinstance(opening, Denied):
        reply = entrance.refusal(opening)
    elif method not in ("GET", "POST"):
        reply = polling.error_reply(2, "a session speaks GET and POST", status=400)
    elif opening.sid is None:
        peer = entrance.server.new_peer(seen, opening)
        peer.open(None, upgrades=upgrades)
        return Poll(entrance, seen, method, peer, (*entrance.cookies(peer.sid), *extra))
    else:
        return Poll(entrance, seen, method, entrance.server.peers[opening.sid], extra)
    reply = entrance.compressed(reply, seen)
    return replace(reply, headers=(*reply.headers, *extra))
