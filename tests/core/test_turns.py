"""How the event loop and threads that compute share Python's lock; the process's own settings, so each in a process."""

import os
import subprocess
import sys
import textwrap

import pytest

_LOOK = """
import ctypes, os, platform, struct, sys, threading
from truesocket.core.turns import share, undisturbed

def slice_of_this_thread():
    number = {"x86_64": 315, "aarch64": 275}[platform.machine()]
    told = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(number, 0, told, 48, 0) == 0
    return struct.unpack("=IIQiIQQQ", told.raw)

def interval():
    return round(sys.getswitchinterval(), 6)
"""

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine not in ("x86_64", "aarch64"),
    reason="asks the kernel what it was told; Linux on a 64-bit machine",
)


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK + textwrap.dedent(code)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_interval_is_set():
    run("""
        share(0.0001)
        assert interval() == 0.0001
    """)


@on_linux
def test_on_one_core_a_broadcast_is_undisturbed_again_and_again():
    run("""
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        with undisturbed:
            assert interval() == 0.005, "nobody has asked yet: Python's own"
        share(0.0001)
        for _ in range(3):
            with undisturbed:
                assert interval() == 0.005
            assert interval() == 0.0001
        try:
            with undisturbed:
                raise KeyError
        except KeyError:
            pass
        assert interval() == 0.0001
    """)


@on_linux
def test_an_interval_that_the_application_sets_afterwards_stays():
    run("""
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        share(0.0001)
        sys.setswitchinterval(0.001)
        with undisturbed:
            assert interval() == 0.001
        assert interval() == 0.001
    """)


@on_linux
def test_on_one_core_this_thread_and_those_it_starts_have_short_turns():
    run("""
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.setpriority(os.PRIO_PROCESS, 0, 3)
        before = slice_of_this_thread()
        share(0.0001)
        after = slice_of_this_thread()
        assert after[1:5] == before[1:5], "policy, flags, nice and priority stay"
        if before[5]:  # Linux tells of slices since 6.12
            assert after[5] == 100_000
            seen = []
            thread = threading.Thread(target=lambda: seen.append(slice_of_this_thread()[5]))
            thread.start()
            thread.join()
            assert seen == [100_000]
    """)


@on_linux
def test_another_policy_is_left_alone():
    run("""
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        before = slice_of_this_thread()
        share(0.0001)
        assert slice_of_this_thread() == before
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    """)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs a second core"
)
def test_on_more_cores_only_the_interval_is_set():
    run("""
        share(0.0001)
        with undisturbed:
            assert interval() == 0.0001
        if sys.platform.startswith("linux"):
            assert slice_of_this_thread()[5] != 100_000
    """)
