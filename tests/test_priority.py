import os
import sys
import threading

import pytest

from kerasmusic.live import priority


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")
def test_one_thread_goes_before_others_where_that_is_allowed():
    try:
        os.sched_setscheduler(0, os.sched_getscheduler(0), os.sched_getparam(0))
        before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    except OSError:
        pytest.skip("this system does not let a process look at its own priority")
    found = {}

    def look(name, hurry):
        hurry()
        found[name] = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)

    for name, hurry in (("at once", priority.request_real_time_priority), ("soon", priority.raise_priority)):
        thread = threading.Thread(target=look, args=(name, hurry))
        thread.start()
        thread.join()
    assert found["at once"][0] in (os.SCHED_RR, before[0])
    assert found["soon"][1] in (priority.NICENESS, before[1])
    # The priority of the parent thread is unchanged.
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_where_it_is_not_allowed_nothing_happens(monkeypatch):
    def refuse(*_):
        raise PermissionError("not for you")

    for name in ("sched_setscheduler", "setpriority"):
        monkeypatch.setattr(os, name, refuse, raising=False)
    priority.request_real_time_priority()
    priority.raise_priority()


def test_where_there_is_no_such_thing_nothing_happens(monkeypatch):
    for name in ("sched_setscheduler", "setpriority"):
        monkeypatch.delattr(os, name, raising=False)
    priority.request_real_time_priority()
    priority.raise_priority()
