"""Time that a test moves by hand."""

from truesocket.testing import FakeClock


class Due:
    def __init__(self, clock, *again):
        self.clock = clock
        self.again = list(again)
        self.asked = []

    def tick(self):
        self.asked.append(self.clock.now)
        return self.again.pop(0) if self.again else None


def test_it_stands_still_by_itself():
    clock = FakeClock(5.0)
    assert (clock.now, clock.lag) == (5.0, 0.0)
    clock.advance(2)
    assert clock.now == 7.0


def test_everybody_is_asked_in_order_and_at_the_own_time():
    clock, order = FakeClock(), []
    for name, at in [("late", 3.0), ("early", 1.0), ("with early", 1.0)]:
        due = Due(clock)
        due.tick = lambda name=name: order.append((name, clock.now))
        clock.wake(due, at)
    clock.advance(2)
    assert order == [("early", 1.0), ("with early", 1.0)]
    clock.advance(2)
    assert order[2:] == [("late", 3.0)]


def test_who_wants_to_be_asked_again_is():
    clock = FakeClock()
    due = Due(clock, 2.0, 4.0)
    clock.wake(due, 1.0)
    clock.advance(3)
    assert due.asked == [1.0, 2.0]
    clock.advance(3)
    assert due.asked == [1.0, 2.0, 4.0]


def test_the_past_comes_soon_and_not_for_ever():
    clock = FakeClock(10.0)
    due = Due(clock, 5.0, 5.0)
    clock.wake(due, 1.0)
    clock.advance(1)
    assert len(due.asked) == 3
    assert due.asked[0] == 10.0


def test_a_stall_is_not_time():
    clock = FakeClock()
    due = Due(clock)
    clock.wake(due, 1.0)
    clock.stall(60)
    assert (clock.now, clock.lag, due.asked) == (0.0, 60.0, [])
