import pytest

from truesocket.codec.parcel import Parcel
from truesocket.core.once import Once, Verdict

KEY = "0123456789abcdef0123456789abcdef"
YES = Parcel('31["yes"]')


def make(seconds=60.0, clients=10):
    return Once(seconds, clients)


def test_an_event_that_comes_twice_is_handled_once():
    answers = make().of("/", KEY, 0.0)
    assert answers.look(1) == (Verdict.RUN, None)
    assert answers.look(1) == (Verdict.WAIT, None)
    answers.answered(1, YES)
    assert answers.look(1) == (Verdict.REPEAT, YES)
    assert answers.look(1) == (Verdict.REPEAT, YES)
    assert answers.look(2) == (Verdict.RUN, None)


def test_a_handler_that_failed_runs_again():
    answers = make().of("/", KEY, 0.0)
    answers.look(1)
    answers.failed(1)
    assert answers.look(1) == (Verdict.RUN, None)


def test_the_next_connection_of_the_same_client_knows_what_was_said():
    once = make()
    first = once.of("/", KEY, 0.0)
    first.look(1)
    second = once.of("/", KEY, 1.0)
    assert second.look(1) == (Verdict.WAIT, None)
    first.answered(1, YES)
    assert second.look(1) == (Verdict.REPEAT, YES)


def test_other_clients_and_other_namespaces_do_not():
    once = make()
    once.of("/", KEY, 0.0).look(1)
    assert once.of("/chat", KEY, 0.0).look(1) == (Verdict.RUN, None)
    assert once.of("/", KEY[::-1], 0.0).look(1) == (Verdict.RUN, None)


@pytest.mark.parametrize("key", [None, 7, "", "short", "x" * 129, ["x" * 32], b"x" * 32])
def test_what_is_no_key(key):
    assert make().of("/", key, 0.0) is None


def test_old_answers_make_room():
    answers = make().of("/", KEY, 0.0)
    for id in range(33):
        answers.look(id)
        answers.answered(id, YES)
    assert answers.look(1) == (Verdict.REPEAT, YES)
    assert answers.look(0) == (Verdict.RUN, None)


def test_a_client_that_is_away_for_too_long_is_forgotten():
    once = make(seconds=60)
    once.of("/", KEY, 0.0).look(1)
    assert once.of("/", KEY, 60.0).look(1) == (Verdict.WAIT, None)
    assert once.of("/", KEY, 121.0).look(1) == (Verdict.RUN, None)


def test_a_client_that_was_here_for_long_is_away_from_when_it_left():
    once = make(seconds=60)
    answers = once.of("/", KEY, 0.0)
    answers.look(1)
    once.expire(500.0)
    assert len(once) == 0
    once.seen(answers, 1000.0)
    assert once.of("/", KEY, 1050.0).look(1) == (Verdict.WAIT, None)


def test_too_many_clients():
    once = make(clients=3)
    for number in range(5):
        once.of("/", KEY + str(number), 0.0).look(1)
    assert len(once) == 3
    assert once.of("/", KEY + "4", 0.0).look(1) == (Verdict.WAIT, None)
    assert once.of("/", KEY + "0", 0.0).look(1) == (Verdict.RUN, None)
