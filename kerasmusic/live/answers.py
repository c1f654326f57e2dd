"""Answers: listens to a phrase, and answers in the same style.

A phrase ends when the user pauses. During the pause, the model is primed with the phrase and makes the beginning of its
answer, which starts as soon as the pause is over. A key that is struck before that continues the phrase, and a later
one ends the answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from kerasmusic.edge.balance import Targets
from kerasmusic.edge.generator import Generator, Snapshot
from kerasmusic.errors import ArgumentError
from kerasmusic.live.inputs import Event, Strike
from kerasmusic.live.phrase import Phrase
from kerasmusic.live.player import Effect
from kerasmusic.notes import Note, Notes

PAUSE_SECONDS = 0.8
# A phrase also ends after this time if a key stays down, since the key's release may have been lost.
HELD_SECONDS = 5.0
# How long before its start the first notes of an answer are made.
LEAD_SECONDS = 1.0
# The limits of an answer's length, which is otherwise that of its phrase.
SHORTEST_SECONDS = 2.0
LONGEST_SECONDS = 30.0


@dataclass
class _Answer:
    """The times of an answer on the clock: its beginning and, once the model is primed, its origin and its end."""

    begins: float
    origin: float | None = None
    ends: float = math.inf
    is_over: bool = False


class Answers:
    """A player's source that answers the user's phrases.

    The phrase primes the model from a fresh state, so its harmony carries over, and its speed, polyphony and loudness
    are the answer's targets. The pause becomes the step to the answer's first note.

    Args:
        generator: the generator of the notes.
        pause: seconds without a key down that end a phrase.
        keep: which of the generator's `speed`, `polyphony` and `loudness` are kept, whatever the phrase has; those that
            change between phrases are kept from then on.
    """

    def __init__(self, generator: Generator, pause: float = PAUSE_SECONDS, keep: Collection[str] = frozenset()) -> None:
        if not 0.1 <= pause <= 10:
            raise ArgumentError(f"{pause:g}: a pause is from 0.1 to 10 seconds")
        self._generator = generator
        self._pause = pause
        self._keep = set(keep)
        # The settings after the last phrase; one that is another by now was changed by the user.
        self._followed = generator.sampling
        self._phrase = Phrase()
        self._answer: _Answer | None = None
        # The fields that last primed the model, and its state after them: a longer phrase only adds its new notes.
        self._primed = np.empty((0, 4), np.int32)
        self._primed_snapshot: Snapshot | None = None
        self.retry_at = math.inf

    def handle(self, event: Event) -> Effect:
        """Adds an event to the phrase, which ends an answer."""
        answer = self._answer
        if answer is not None and event.time >= answer.begins:
            if not isinstance(event, Strike):
                # It may be the last release of the phrase.
                self._phrase.handle(event)
                return Effect.NONE
            self._phrase.clear()
        self._phrase.handle(event)
        pause = HELD_SECONDS if self._phrase.is_held else self._pause
        self._answer = _Answer(event.time + pause) if len(self._phrase) else None
        return Effect.NONE if answer is None else Effect.CUT

    def make(self, now: float) -> Note | None:
        """The next note of the answer."""
        answer = self._answer
        self.retry_at = math.inf
        if answer is None or answer.is_over:
            return None
        if answer.begins - LEAD_SECONDS > now:
            self.retry_at = answer.begins - LEAD_SECONDS
            return None
        if answer.origin is None:
            phrase = self._phrase.notes(until=answer.begins)
            self._prime(phrase)
            note = self._generator.complete(step=answer.begins - self._phrase.last)
            answer.origin = answer.begins - note.start
            answer.ends = answer.begins + min(max(phrase.seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
        else:
            note = next(self._generator)
        start = answer.origin + note.start
        if start > answer.ends:
            answer.is_over = True
            return None
        return note._replace(start=start)

    def _prime(self, phrase: Notes) -> None:
        sampling = self._generator.sampling
        self._keep |= {name for name in Targets._fields if getattr(sampling, name) != getattr(self._followed, name)}
        self._followed = self._generator.sampling = sampling.like(phrase, keep=self._keep)
        fields = self._generator.codec.encode(phrase)
        known = len(self._primed)
        if self._primed_snapshot is not None and known and np.array_equal(fields[:known], self._primed):
            self._generator.restore(self._primed_snapshot)
            self._generator.prime_fields(fields[known:])
        else:
            self._generator.forget()
            self._generator.prime_fields(fields)
        self._primed, self._primed_snapshot = fields, self._generator.snapshot()

    def snapshot(self) -> tuple[Snapshot, _Answer, float | None] | None:
        """The current state; None without an answer."""
        answer = self._answer
        return (self._generator.snapshot(), answer, answer.origin) if answer is not None else None

    def restore(self, snapshot: tuple[Snapshot, _Answer, float | None]) -> None:
        """Restores a state."""
        generator, answer, origin = snapshot
        answer.origin, answer.is_over = origin, False
        self._generator.restore(generator)
