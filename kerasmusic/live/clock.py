"""The time by which music is played; passed in everywhere, so that a test can let an hour go by in a second."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that go by, and waiting for them."""

    def now(self) -> float:
        """Seconds since some moment."""

    def wait(self, woken: threading.Event, until: float) -> None:
        """Returns when it is `until`, which may be infinite, or as soon as `woken` is set."""


class SystemClock:
    """The machine's own steady clock, which no setting of the time moves."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def wait(self, woken: threading.Event, until: float) -> None:
        """Returns when it is `until`, which may be infinite, or as soon as `woken` is set."""
        if until == float("inf"):
            woken.wait()
        elif (seconds := until - self.now()) > 0:
            woken.wait(min(seconds, threading.TIMEOUT_MAX))
