"""Clocks for playing; passed in everywhere, so that a test can simulate an hour in a second."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """A source of time that can be waited for."""

    def now(self) -> float:
        """Seconds since an arbitrary moment."""

    def wait(self, woken: threading.Event, until: float) -> None:
        """Waits until the time `until`, which may be infinite, or until `woken` is set."""


class SystemClock:
    """The system's monotonic clock."""

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.perf_counter()

    def wait(self, woken: threading.Event, until: float) -> None:
        """Waits until the time `until`, which may be infinite, or until `woken` is set."""
        if until == float("inf"):
            woken.wait()
        elif (seconds := until - self.now()) > 0:
            woken.wait(min(seconds, threading.TIMEOUT_MAX))
