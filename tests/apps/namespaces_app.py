"""A game board in each namespace, as docs/how-to/use-with-fastapi.md shows it."""

# begin: pattern
import re

from truesocket import ASGIApp, Server, Socket

server = Server()


@server.on("paint", namespace=re.compile(r"/board-\d+"))
async def paint(socket: Socket, x: int, y: int) -> None:
    await server.of(socket.namespace).emit("painted", x, y)


# end: pattern
app = ASGIApp(server)
