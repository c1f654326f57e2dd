"""How soon the system lets a thread run that has waited, where others want the processor too."""

from __future__ import annotations

import os
from contextlib import suppress

# Above all ordinary threads, and below those that hand sound to a device.
REAL_TIME_PRIORITY = 10
NICENESS = -10


def run_at_once() -> None:
    """Lets this thread run the moment it has something to do, where the system allows that to this user.

    For a thread that does little and then waits: on Linux it goes before everything ordinary. A busy machine otherwise
    lets it wait for its turn, four milliseconds or a multiple of them.
    """
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REAL_TIME_PRIORITY))


def run_soon() -> None:
    """Gives this thread more of the processor than others get, where the system allows that; it may be busy long."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        # On Linux alone, 0 is this thread; elsewhere it is the whole process.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
