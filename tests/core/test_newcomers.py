"""A second look at every new connection, without a timer for each."""

from truesocket.core.newcomers import Newcomers


def test_everybody_is_looked_at_once_per_question_and_in_time():
    early, late = [], []
    newcomers = Newcomers((5.0, early.append), (45.0, late.append))
    newcomers.add("ann", 100.0)
    newcomers.add("bob", 103.0)
    newcomers.look(104.9)
    assert (early, late) == ([], [])
    newcomers.look(105.0)
    assert early == ["ann"]
    newcomers.look(150.0)
    assert early == ["ann", "bob"]
    assert late == ["ann", "bob"]
    newcomers.look(1000.0)
    assert (early, late) == (["ann", "bob"], ["ann", "bob"])


def test_clear():
    seen = []
    newcomers = Newcomers((5.0, seen.append))
    newcomers.add("ann", 0.0)
    newcomers.clear()
    newcomers.look(100.0)
    assert seen == []
    newcomers.add("bob", 100.0)
    newcomers.look(105.0)
    assert seen == ["bob"]


def test_a_check_may_add_somebody():
    newcomers = Newcomers((0.0, lambda name: newcomers.add("eve", 1.0) if name == "ann" else seen.append(name)))
    seen = []
    newcomers.add("ann", 0.0)
    newcomers.look(1.0)
    assert seen == ["eve"]
