"""For tests: clients without sockets, a server on a free port, a clock to move by hand, bytes in pieces."""

from truesocket.testing.chop import chopped, splits
from truesocket.testing.client import AsyncClient, Client, Event
from truesocket.testing.clock import FakeClock
from truesocket.testing.live import LiveServer

__all__ = ["AsyncClient", "Client", "Event", "FakeClock", "LiveServer", "chopped", "splits"]
