"""Duet: the user's keys give the pitch or the time of each note, and the model completes it."""

from __future__ import annotations

import math
from collections import deque

from kerasmusic.edge.generator import Generator
from kerasmusic.errors import ArgumentError
from kerasmusic.live.inputs import Event, Strike
from kerasmusic.live.player import Effect
from kerasmusic.notes import Note

GIVEN = ("pitch", "time")
# The number of keys that may wait for the model's time; beyond it, the oldest are dropped.
MAX_WAITING = 16
# The longest time that a struck key waits for the model's rhythm.
LONGEST_WAIT_SECONDS = 1.0


class Duet:
    """A player's source in which the user and the model make each note together.

    If the keys give the time, any key will do: each strike sounds at once, and the model chooses its pitch, duration
    and velocity. If they give the pitch, the model chooses the time, duration and velocity.

    Args:
        generator: the generator that completes the notes.
        given: what the keys give, "pitch" or "time".
    """

    retry_at = math.inf

    def __init__(self, generator: Generator, given: str) -> None:
        if given not in GIVEN:
            raise ArgumentError(f"{given}: in a duet the keys give one of {', '.join(GIVEN)}")
        self._generator = generator
        self._given = given
        self._waiting: deque[Strike] = deque(maxlen=MAX_WAITING)
        # The time on the clock of the last note.
        self._last: float | None = None

    def handle(self, event: Event) -> Effect:
        """Queues strikes; other events are ignored."""
        if isinstance(event, Strike):
            self._waiting.append(event)
        return Effect.NONE

    def make(self, now: float) -> Note | None:
        """The next note, if a key has been struck."""
        if not self._waiting:
            return None
        strike = self._waiting.popleft()
        since = 0.0 if self._last is None else max(strike.time - self._last, 0.0)
        if self._given == "time":
            note, start = self._generator.complete(step=since), strike.time
        else:
            note, start = self._in_model_time(strike, since, now)
        self._last = start
        return note._replace(start=start)

    def _in_model_time(self, strike: Strike, since: float, now: float) -> tuple[Note, float]:
        if self._last is None:
            return self._generator.complete(step=since, pitch=strike.pitch), strike.time
        snapshot, before = self._generator.snapshot(), self._generator.seconds
        note = self._generator.complete(pitch=strike.pitch)
        start = self._last + note.start - before
        within = min(max(start, strike.time), max(strike.time, self._last) + LONGEST_WAIT_SECONDS)
        if within != start:
            # The model's time has passed or is too late: complete the note again at the time at which it is played.
            self._generator.restore(snapshot)
            note = self._generator.complete(step=within - self._last, pitch=strike.pitch)
        return note, within

    def snapshot(self) -> None:
        """None: notes that the user struck are never regenerated."""

    def restore(self, snapshot: None) -> None:
        """Does nothing, since there are no snapshots."""
