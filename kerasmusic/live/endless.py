"""Endless: plays a model's own piece without end."""

from __future__ import annotations

import math
from collections import deque

from kerasmusic.edge.generator import DENSEST, Generator, Snapshot
from kerasmusic.live.inputs import Event
from kerasmusic.live.player import Effect
from kerasmusic.notes import Note

# The delay of the first note, in which the threads start.
BEGINS_SECONDS = 0.2
# If the piece is late by more than this, it is shifted instead of catching up.
BEHIND_SECONDS = 0.25


class Endless:
    """A player's source that plays the notes of a generator from now on.

    Silence before the first note is skipped. At most `DENSEST` notes are played per second, in case the model's time
    does not advance. If the machine has slept or is too slow, the piece continues later.

    Args:
        generator: the generator of the notes.
    """

    retry_at = math.inf

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        # The time on the clock at which the piece began.
        self._origin: float | None = None
        self._starts: deque[float] = deque(maxlen=DENSEST)

    def make(self, now: float) -> Note:
        """The next note."""
        note = next(self._generator)
        if self._origin is None:
            self._origin = now + BEGINS_SECONDS - note.start
        start = self._origin + note.start
        if start < now - BEHIND_SECONDS:
            start = now
        if len(self._starts) == DENSEST:
            start = max(start, self._starts[0] + 1.0)
        self._origin = start - note.start
        self._starts.append(start)
        return note._replace(start=start)

    def handle(self, event: Event) -> Effect:
        """Ignores the event."""
        return Effect.NONE

    def snapshot(self) -> tuple[Snapshot, float | None, tuple[float, ...]]:
        """The current state."""
        return self._generator.snapshot(), self._origin, tuple(self._starts)

    def restore(self, snapshot: tuple[Snapshot, float | None, tuple[float, ...]]) -> None:
        """Restores a state."""
        generator, self._origin, starts = snapshot
        self._starts = deque(starts, maxlen=DENSEST)
        self._generator.restore(generator)
