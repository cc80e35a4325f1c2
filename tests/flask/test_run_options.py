"""The arguments of run() that were meant for another server."""

import pytest

from truesocket.errors import UnknownOption, UsageError
from truesocket.flask.run_options import IMPOSSIBLE, NEEDLESS, for_reloader, for_server

KNOWN = dict.fromkeys(["backlog", "timeout_keep_alive", "log_level", *IMPOSSIBLE])


@pytest.mark.parametrize("name", NEEDLESS)
def test_needless_ones_say_why(name):
    with pytest.warns(DeprecationWarning, match=rf"run\({name}=\.\.\.\) does nothing: \w+") as warned:
        assert for_server({name: True, "backlog": 5}, KNOWN, stacklevel=1) == {"backlog": 5}
    assert warned[0].filename == __file__


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_ones_say_what_to_do_instead(name):
    with pytest.raises(UsageError, match=rf"run\(\) cannot do {name}=4: \w+"):
        for_server({name: 4}, KNOWN, stacklevel=1)
    with pytest.raises(UsageError):
        for_server({name: True}, KNOWN, stacklevel=1)
    assert for_server({name: None}, KNOWN, stacklevel=1) == {}


def test_one_process_may_be_asked_for():
    assert for_server({"processes": 1, "workers": 1, "reload": False}, KNOWN, stacklevel=1) == {}


def test_unknown_ones_name_the_nearest():
    with pytest.raises(UnknownOption, match=r"run\(\) has no option 'backlogg'; did you mean 'backlog'"):
        for_server({"backlogg": 1}, KNOWN, stacklevel=1)


def test_reloader_options_stand_in_either_place():
    options = {"reloader_interval": 2, "exclude_patterns": ["a"], "backlog": 1}
    assert for_reloader({"exclude_patterns": ["b"]}, options) == {"interval": 2, "exclude_patterns": ["b"]}
    assert options == {"backlog": 1}
    with pytest.raises(UnknownOption, match="reloader_options has no option 'intervall'; did you mean 'interval'"):
        for_reloader({"intervall": 2}, {})
