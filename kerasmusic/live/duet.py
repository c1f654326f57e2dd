"""Duet: a person's keys give each note's pitch or its time, and the model the rest of it."""

from __future__ import annotations

import math
from collections import deque

from kerasmusic.edge.generator import Generator
from kerasmusic.errors import ArgumentError
from kerasmusic.live.inputs import Event, Strike
from kerasmusic.notes import Note

GIVEN = ("pitch", "time")
# Keys that wait for the model's time; of more, the oldest are dropped.
MOST_WAITING = 16
# A key that was struck sounds within this, however long the model would wait.
LONGEST_WAIT_SECONDS = 1.0


class Duet:
    """A person and a model who make each note together, as a player's source.

    Where the keys give the time, any key will do: each strike sounds at once, at the pitch, the length and the loudness
    that the model chooses. Where they give the pitch, each sounds when the model's rhythm has come to it, as long and
    as loud as the model chooses.

    Args:
        generator: makes the notes.
        given: "pitch" or "time".
    """

    asks_again = math.inf

    def __init__(self, generator: Generator, given: str) -> None:
        if given not in GIVEN:
            raise ArgumentError(f"{given}: in a duet the keys give one of {', '.join(GIVEN)}")
        self._generator = generator
        self._given = given
        self._waiting: deque[Strike] = deque(maxlen=MOST_WAITING)
        # The clock's time of the last note.
        self._last: float | None = None

    def hear(self, event: Event) -> bool:
        """Takes what a person plays: only the strikes count."""
        if isinstance(event, Strike):
            self._waiting.append(event)
        return False

    def make(self, now: float) -> Note | None:
        """The next note, where a key was struck for it."""
        if not self._waiting:
            return None
        strike = self._waiting.popleft()
        since = 0.0 if self._last is None else max(strike.time - self._last, 0.0)
        if self._given == "time":
            note, start = self._generator.complete(step=since), strike.time
        else:
            note, start = self._in_models_time(strike, since, now)
        self._last = start
        return note._replace(start=start)

    def _in_models_time(self, strike: Strike, since: float, now: float) -> tuple[Note, float]:
        if self._last is None:
            return self._generator.complete(step=since, pitch=strike.pitch), strike.time
        place, before = self._generator.snapshot(), self._generator.seconds
        note = self._generator.complete(pitch=strike.pitch)
        start = self._last + note.start - before
        within = min(max(start, strike.time), max(strike.time, self._last) + LONGEST_WAIT_SECONDS)
        if within != start:
            # The model's time is over, or too far off; what it then hears is what is played.
            self._generator.restore(place)
            note = self._generator.complete(step=within - self._last, pitch=strike.pitch)
        return note, within

    def place(self) -> None:
        """What a person has struck is not made anew."""

    def go_to(self, place: None) -> None:
        """There is no place to go to."""
