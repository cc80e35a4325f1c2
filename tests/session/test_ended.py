"""What a session that has ended knows instead of its listener and its link: nothing happens, whatever it is told."""

from truesocket.codec.engineio import PING, EnginePacket
from truesocket.codec.parcel import Parcel
from truesocket.session.ended import NOBODY, NOWHERE


def test_nobody_hears_anything():
    NOBODY.received("x")
    NOBODY.closed("lost")
    NOBODY.dropped()
    NOBODY.gone()


def test_nothing_goes_nowhere():
    assert not NOWHERE.writable
    NOWHERE.send(Parcel('2["x"]'))
    NOWHERE.send_packet(EnginePacket(PING))
    NOWHERE.pause()
    NOWHERE.resume()
    NOWHERE.close(1000, "twice")
    assert not NOWHERE.writable
