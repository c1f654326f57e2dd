"""Answers: listens to a phrase and answers in its vein.

A phrase ends when its player has paused. While that pause lasts, the model hears the phrase and makes the beginning of
its answer, which is struck the moment the pause is over. A key that is struck before then carries the phrase on, one
that is struck later ends the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kerasmusic.edge.generator import Generator, Snapshot
from kerasmusic.errors import ArgumentError
from kerasmusic.live.inputs import Event, Strike
from kerasmusic.live.phrase import Phrase
from kerasmusic.notes import Note, Notes

PAUSE_SECONDS = 0.8
# A key that is held so long with nothing else played ends the phrase too: it may be one whose release was lost.
HELD_SECONDS = 5.0
# How long before its time an answer is begun to be made.
LEAD_SECONDS = 1.0
# An answer is as long as its phrase, within these.
SHORTEST_SECONDS = 2.0
LONGEST_SECONDS = 30.0


@dataclass
class _Answer:
    """When an answer begins, and once its phrase was heard, when on the clock the phrase's piece began and it ends."""

    begins: float
    origin: float | None = None
    ends: float = math.inf
    is_over: bool = False


class Answers:
    """A model that answers a person's phrases, as a player's source.

    The phrase primes the model from a fresh state, so its tempo, its loudness and its harmony carry over; the pause is
    heard as the step to the answer's first note.

    Args:
        generator: makes the notes.
        pause: seconds without a key down after which a phrase has ended.
    """

    def __init__(self, generator: Generator, pause: float = PAUSE_SECONDS) -> None:
        if not 0.1 <= pause <= 10:
            raise ArgumentError(f"{pause:g}: a pause is from 0.1 to 10 seconds")
        self._generator = generator
        self._pause = pause
        self._phrase = Phrase()
        self._answer: _Answer | None = None
        # What the model heard last, and where it was then: a phrase that goes on is not heard from its beginning again.
        self._heard = np.empty((0, 4), np.int32)
        self._heard_place: Snapshot | None = None
        self.asks_again = math.inf

    def hear(self, event: Event) -> bool:
        """Takes what a person plays; returns whether an answer is void by it."""
        answer = self._answer
        if answer is not None and event.time >= answer.begins:
            if not isinstance(event, Strike):
                # It may be the last release of the phrase that is being answered.
                self._phrase.hear(event)
                return False
            self._phrase.clear()
        self._phrase.hear(event)
        pause = HELD_SECONDS if self._phrase.is_held else self._pause
        self._answer = _Answer(event.time + pause) if len(self._phrase) else None
        return answer is not None

    def make(self, now: float) -> Note | None:
        """The next note of the answer."""
        answer = self._answer
        self.asks_again = math.inf
        if answer is None or answer.is_over:
            return None
        if answer.begins - LEAD_SECONDS > now:
            self.asks_again = answer.begins - LEAD_SECONDS
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
        fields = self._generator.codec.encode(phrase)
        heard = len(self._heard)
        if self._heard_place is not None and heard and np.array_equal(fields[:heard], self._heard):
            self._generator.restore(self._heard_place)
            self._generator.prime_fields(fields[heard:])
        else:
            self._generator.forget()
            self._generator.prime_fields(fields)
        self._heard, self._heard_place = fields, self._generator.snapshot()

    def place(self) -> tuple[Snapshot, _Answer, float | None] | None:
        """Where it is, to go back to."""
        answer = self._answer
        return (self._generator.snapshot(), answer, answer.origin) if answer is not None else None

    def go_to(self, place: tuple[Snapshot, _Answer, float | None]) -> None:
        """Goes back to a place."""
        where, answer, origin = place
        answer.origin, answer.is_over = origin, False
        self._generator.restore(where)
