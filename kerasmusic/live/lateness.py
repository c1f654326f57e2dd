"""Lateness: a histogram of how late notes were struck, whose size does not depend on their number."""

from __future__ import annotations

import math
from array import array

LATE_SECONDS = 0.010
BIN_SECONDS = 0.0001
BINS = 10_000


class Lateness:
    """Statistics of the lateness of notes.

    >>> lateness = Lateness()
    >>> for milliseconds in (0.2, 0.3, 12.0):
    ...     lateness.add(milliseconds / 1000)
    >>> lateness.notes, lateness.late
    (3, 1)
    >>> print(lateness)
    3 notes, half of them within 0.3 ms of their time, 99 % within 12.0 ms, all within 12.0 ms; 1 late by over 10 ms
    """

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * (BINS + 1)))
        #: The number of notes that were struck.
        self.notes = 0
        #: The number of these that were late by more than `LATE_SECONDS`.
        self.late = 0
        #: The number of notes that were skipped, since they would have been far too late.
        self.skipped = 0
        #: The largest lateness in seconds.
        self.largest = 0.0

    def add(self, seconds: float) -> None:
        """Counts a note that was late by a number of seconds."""
        self._counts[min(math.ceil(max(seconds, 0.0) / BIN_SECONDS), BINS)] += 1
        self.notes += 1
        self.late += seconds > LATE_SECONDS
        self.largest = max(self.largest, seconds)

    def within(self, share: float) -> float:
        """The lateness in seconds that a share of all notes did not exceed, rounded up to 0.1 ms; 0 without notes."""
        cumulative = 0
        for index, count in enumerate(self._counts):
            cumulative += count
            if cumulative >= share * self.notes:
                return min(index * BIN_SECONDS, self.largest)
        return self.largest

    def __str__(self) -> str:
        if not self.notes:
            return "no notes"
        half, most, every = (f"{1000 * seconds:.1f}" for seconds in (self.within(0.5), self.within(0.99), self.largest))
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        return (
            f"{self.notes:,} notes, half of them within {half} ms of their time, 99 % within {most} ms, all within "
            f"{every} ms; {self.late:,} late by over {1000 * LATE_SECONDS:.0f} ms{skipped}"
        )
