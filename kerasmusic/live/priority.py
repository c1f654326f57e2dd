"""Thread priorities, so that playing stays on time on a busy machine."""

from __future__ import annotations

import os
from contextlib import suppress

# Above all ordinary threads, and below those that feed audio devices.
REAL_TIME_PRIORITY = 10
NICENESS = -10


def request_real_time_priority() -> None:
    """Gives this thread real-time priority if the system allows it; for threads that do little work and then wait.

    On a busy Linux machine, an ordinary thread may wait four milliseconds, or a multiple of that, for its turn.
    """
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REAL_TIME_PRIORITY))


def raise_priority() -> None:
    """Raises this thread's share of the processor if the system allows it; for threads that work for long."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        # On Linux 0 means this thread; elsewhere it means the whole process.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
