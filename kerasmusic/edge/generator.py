"""Generator: notes without end, one model step each."""

from __future__ import annotations

import itertools
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, PITCH, PITCHES, STEP, TICKS_PER_SECOND
from kerasmusic.edge.controls import bias_of
from kerasmusic.edge.step import Step, TFLiteStep
from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.notes import Note, Notes

DRAWN = -1
# Random numbers are made for this many notes at a time.
BLOCK = 1024
# Philox makes eight float32 of each count of its counter.
COUNTS_PER_BLOCK = BLOCK * len(FIELDS) // 8
# Rules out the pitches that the model itself thinks wild, which it is bound to draw sometimes in a long piece. Not the
# times: a long duration has its probability spread over many narrow bins, each of them small, and a piece without long
# durations soon stops being music.
MIN_P = {"pitch": 0.02}
# Who hears only himself hurries, a model too: dense passages are many notes to learn from and lead on to dense ones. At
# 0, 5,000 notes of the bundled model end at twice the notes per second of performances, at -0.2 at as many; see
# docs/training.md.
DENSITY = -0.2
# The log of about the least probability that is a float32; what is less counts as that.
LEAST_LOG_PROB = np.float32(-87.0)
# What the step's inputs can hold.
LARGEST_NUMBER = float(np.finfo(np.float32).max)
# Notes per second that no piece sustains: MAESTRO's busiest seconds have fewer.
DENSEST = 100


class Place(NamedTuple):
    """Where a generator is in its piece: everything that decides what comes next, settings aside."""

    state: NDArray[np.float32]
    previous: NDArray[np.int32]
    tick: int
    drawn: int


class Generator:
    """Plays a model: an iterator of `Note`, without end.

    One seed names one piece of music on every runtime and processor: the random numbers come from a counter-based
    generator (NumPy's Philox), four for each drawn note, and everything else is in the model's step.

    Args:
        model: a `.tflite` file made by `kerasmusic export`, or a `Step`.
        seed: names the piece, from 0 to 2**64 - 1; by default one is chosen, to be found in `seed`.
        temperature: one number for all fields, or by field, such as `{"pitch": 1.1, "step": 0.9}`; 0 takes the
            likeliest value, 1 draws from the model's own probabilities.
        min_p: likewise; a value less likely than this share of the likeliest is never drawn. Best for pitch alone;
            see `MIN_P`, the default.
        key: a key to stay in, such as "C major".
        pitch_range: pitches to stay in, such as "C2-C6".
        density: more or fewer notes per second; 0 leaves the model's own, see `controls.bias_of`.
        threads: threads the interpreter may use.

    Raises:
        ModelFileError: the file is not a kerasmusic model, or plays what its codec does not have.
        ArgumentError: an argument out of its range.

    Example, with a model that was exported before::

        for note in itertools.islice(Generator("model.tflite", seed=7), 100):
            print(note.start, note.pitch, note.duration, note.velocity)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Step,
        *,
        seed: int | None = None,
        temperature: float | Mapping[str, float] = 1.0,
        min_p: float | Mapping[str, float] = MIN_P,
        key: str | None = None,
        pitch_range: str | None = None,
        density: float = DENSITY,
        threads: int = 1,
    ) -> None:
        self.seed = secrets.randbits(32) if seed is None else seed
        if not 0 <= self.seed < 2**64:
            raise ArgumentError(f"{seed}: a seed is a whole number from 0 to 2**64 - 1")
        # What can be wrong is found before the model is read.
        by_field("temperature", temperature, default=1.0, highest=math.inf)
        min_ps = by_field("min_p", min_p, default=0.0, highest=1.0)
        self._step = TFLiteStep(model, threads=threads) if isinstance(model, str | os.PathLike) else model
        self.codec = self._step.codec
        self._step.min_p[:] = min_ps
        self.change(temperature=temperature, key=key, pitch_range=pitch_range, density=density)
        self._step_ticks = self.codec.step_ticks.tolist()
        self._durations = (self.codec.duration_ticks / TICKS_PER_SECOND).tolist()
        self._velocities = self.codec.velocities.tolist()
        self.reset()

    def reset(self) -> None:
        """Goes back to before the first note: the same notes will come again."""
        self._drawn = 0
        # Whoever resets may have changed the seed.
        self._block = -1
        self.forget()

    def forget(self) -> None:
        """Goes to before a first note, with the random numbers going on: other notes will come than those before."""
        self._step.state[:] = 0
        self._step.previous[:] = self.codec.start_note
        self._tick = 0

    def change(
        self,
        *,
        temperature: float | Mapping[str, float] = 1.0,
        key: str | None = None,
        pitch_range: str | None = None,
        density: float = DENSITY,
    ) -> None:
        """Sets what it plays by, all of it anew, from the next note on; the arguments are those of the class."""
        temperatures = by_field("temperature", temperature, default=1.0, highest=math.inf)
        self._step.bias[:] = bias_of(self.codec, key=key, pitch_range=pitch_range, density=density)
        self._step.temperature[:] = temperatures

    @property
    def seconds(self) -> float:
        """When the last note that it played or heard began, in seconds of the piece."""
        return self._tick / TICKS_PER_SECOND

    def place(self) -> Place:
        """Where it is, to go back to."""
        return Place(self._step.state.copy(), self._step.previous.copy(), self._tick, self._drawn)

    def go_to(self, place: Place) -> None:
        """Goes back to where it was: the same notes come again, if the settings are the same."""
        self._step.state[:], self._step.previous[:], self._tick, self._drawn = place

    def __iter__(self) -> Generator:
        return self

    def __next__(self) -> Note:
        return self.complete()

    def complete(self, *, step: float | None = None, pitch: int | None = None) -> Note:
        """The next note, of which a player gives the step [s] or the pitch or both, and the model draws the rest.

        A given step is rounded as the codec does it, to 10 ms or more.
        """
        inputs = self._step
        inputs.given[:] = DRAWN
        if step is not None:
            inputs.given[0, STEP] = self.codec.step_from_ticks(np.rint(step * TICKS_PER_SECOND))
        if pitch is not None:
            inputs.given[0, PITCH] = pitch
        inputs.uniform[:] = self._uniform(self._drawn)
        inputs.run()
        self._drawn += 1
        inputs.previous[:] = inputs.note
        gap, pitch, duration, velocity = inputs.note[0].tolist()
        try:
            if gap < 0 or duration < 0 or velocity < 0 or not 0 <= pitch < PITCHES:
                raise IndexError
            tick = self._tick + self._step_ticks[gap]
            note = Note(tick / TICKS_PER_SECOND, pitch, self._durations[duration], self._velocities[velocity])
        except IndexError:
            raise ModelFileError(
                f"the model played the fields {[gap, pitch, duration, velocity]}, which its codec does not have; its "
                "file is damaged, or was not made by kerasmusic"
            ) from None
        self._tick = tick
        return note

    def _uniform(self, number: int) -> NDArray[np.float32]:
        """float32 `[4]`: the random numbers of a note, by how many were drawn before it."""
        block, row = divmod(number, BLOCK)
        if block != self._block:
            philox = np.random.Philox(key=self.seed, counter=block * COUNTS_PER_BLOCK)
            self._uniforms = np.random.Generator(philox).random((BLOCK, len(FIELDS)), dtype=np.float32)
            self._block = block
        return self._uniforms[row]

    def take(self, notes: int | None = None, *, seconds: float | None = None) -> Notes:
        """The next notes: a number of them, or as many as begin within so many seconds, or what ends first.

        A model whose time stands still, all notes at once, is stopped after `DENSEST` notes for each second.

        Raises:
            ArgumentError: neither is given, or one is negative or without end.
        """
        if notes is None and seconds is None:
            raise ArgumentError("say how many notes, or how many seconds")
        if min(notes or 0, seconds or 0) < 0:
            raise ArgumentError(f"{notes if seconds is None else seconds}: cannot make less than nothing")
        if seconds is not None and not math.isfinite(seconds):
            raise ArgumentError(f"{seconds}: that many seconds have no end; iterate over the generator instead")
        if seconds is None:
            return Notes.from_iterable(itertools.islice(self, notes))
        most = math.ceil(DENSEST * seconds)
        until = self.seconds + seconds
        coming = itertools.islice(self, most if notes is None else min(notes, most))
        return Notes.from_iterable(itertools.takewhile(lambda note: note.start < until, coming))

    def prime(self, notes: Notes) -> None:
        """Lets the model hear notes, as if it had played them; the next note carries on from there.

        The first note's onset counts from the last note the model played or heard, or from the beginning; the times of
        the notes that follow go on from the last note heard.
        """
        self.hear(self.codec.encode(notes))

    def hear(self, fields: NDArray[np.integer]) -> None:
        """The same for notes as fields, int `[n, 4]`."""
        for note in fields:
            self._hear(note)
            self._tick += self._step_ticks[note[0]]

    def score(self, notes: Notes) -> NDArray[np.float32]:
        """How likely the model finds a piece, played from its beginning; what was played so far is left as it was.

        Returns:
            float32 `[n, 4]`: for each note, sorted as `codec.encode` sorts them, the natural log of the model's own
            probability (temperature 1, no bias) of its step, pitch, duration and velocity; NaN where the model has no
            distribution.
        """
        return next(self.score_fields([self.codec.encode(notes)]))

    def score_fields(self, pieces: Iterable[NDArray[np.integer]]) -> Iterator[NDArray[np.float32]]:
        """The same for the fields, int `[n, 4]`, of several pieces: yields the float32 `[n, 4]` of each."""
        step = self._step
        for fields in map(self.codec.checked, pieces):
            kept = step.state.copy(), step.previous.copy()
            step.state[:] = 0
            step.previous[:] = self.codec.start_note
            log_probs = np.empty((len(fields), len(FIELDS)), np.float32)
            for row, note in zip(log_probs, fields, strict=True):
                self._hear(note)
                np.maximum(step.log_prob[0], LEAST_LOG_PROB, out=row)
            step.state[:], step.previous[:] = kept
            yield log_probs

    def _hear(self, fields: NDArray[np.integer]) -> None:
        self._step.given[:] = fields
        self._step.run()
        self._step.previous[:] = fields


def by_field(name: str, value: float | Mapping[str, float], *, default: float, highest: float) -> list[float]:
    """One number a field, from one number for all or a mapping by field, each from 0 to `highest`.

    >>> by_field("temperature", {"pitch": 1.1}, default=1.0, highest=math.inf)
    [1.0, 1.1, 1.0, 1.0]
    """
    values = value if isinstance(value, Mapping) else dict.fromkeys(FIELDS, value)
    for field, number in values.items():
        if field not in FIELDS:
            raise ArgumentError(f"{field}: no such field for {name}; there are {', '.join(FIELDS)}")
        if not 0 <= number <= min(highest, LARGEST_NUMBER):
            limit = f"0 or more, up to {LARGEST_NUMBER:.2g}" if math.isinf(highest) else f"from 0 to {highest:g}"
            raise ArgumentError(f"{number:g}: a {name} is {limit}")
    return [float(values.get(field, default)) for field in FIELDS]
