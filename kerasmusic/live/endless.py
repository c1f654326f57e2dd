"""Endless: a model's own piece, on and on."""

from __future__ import annotations

import math
from collections import deque

from kerasmusic.edge.generator import DENSEST, Generator, Snapshot
from kerasmusic.live.inputs import Event
from kerasmusic.notes import Note

# Before the first note; the threads are running by then.
BEGINS_SECONDS = 0.2
# Behind by more than this, the piece goes on later instead of making up for it.
BEHIND_SECONDS = 0.25


class Endless:
    """What a generator makes, from now on, as a player's source.

    The piece begins with its first note, whatever silence the model puts before it. A model whose time stands still,
    all notes at once, is held to `DENSEST` notes per second; a machine that slept or is too slow plays on later.

    Args:
        generator: makes the notes.
    """

    asks_again = math.inf

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        # The clock's time at the beginning of the piece.
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

    def hear(self, event: Event) -> bool:
        """Nobody plays along here."""
        return False

    def place(self) -> tuple[Snapshot, float | None, tuple[float, ...]]:
        """Where it is, to go back to."""
        return self._generator.snapshot(), self._origin, tuple(self._starts)

    def go_to(self, place: tuple[Snapshot, float | None, tuple[float, ...]]) -> None:
        """Goes back to a place."""
        where, self._origin, starts = place
        self._starts = deque(starts, maxlen=DENSEST)
        self._generator.restore(where)
