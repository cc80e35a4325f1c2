"""One server beside each ASGI framework that is not an example of its own: as applications of these are written."""

import quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from truesocket import ASGIApp, Server, Socket


def make_server() -> Server:
    server = Server()

    @server.event
    async def echo(socket: Socket, text):
        return [text, socket.handshake.path, socket.transport]

    return server


# -- Starlette around us: lifespan events do not reach what is mounted


async def page(request):
    await mounted.emit("seen", "starlette")
    return PlainTextResponse("a page of Starlette")


mounted = make_server()
starlette = Starlette(routes=[Route("/", page), Mount("/live", ASGIApp(mounted))])


# -- we around Quart

pages = quart.Quart("pages")
around = make_server()


@pages.get("/")
async def index():
    await around.emit("seen", "quart")
    return "a page of Quart"


wrapped = ASGIApp(around, other=pages)


# -- nobody but us

alone = ASGIApp(make_server())
