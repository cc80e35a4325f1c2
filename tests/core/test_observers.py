"""Who watches a server: hears of every client, and can do no harm."""

from tests.support.loopback import Client, on_loop, serving, until
from truesocket.core.server import Server


class Diary:
    def __init__(self, *, fails: bool = False) -> None:
        self.lines: list[tuple[str, ...]] = []
        self.fails = fails

    def connected(self, socket):
        self.lines.append(("connected", socket.sid))
        assert not self.fails

    def disconnected(self, socket, reason):
        self.lines.append(("disconnected", socket.sid, reason))
        assert not self.fails


@on_loop
async def test_connected_and_disconnected_and_one_that_fails_hinders_nobody(caplog):
    server = Server()
    bad, good = Diary(fails=True), Diary()
    server.observers += [bad, good]
    gone = []
    server.on("disconnect", gone.append)
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        client.vanish()
        await until(lambda: gone)
    assert good.lines == bad.lines == [("connected", sid), ("disconnected", sid, "transport close")]
    assert caplog.text.count("the observer") == 2
