"""Generator: notes without end, one model step each."""

from __future__ import annotations

import itertools
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, PITCH, PITCHES, STEP, TICKS_PER_SECOND
from kerasmusic.edge.controls import bias_of
from kerasmusic.edge.runtime import Runtime, TFLiteRuntime
from kerasmusic.edge.sampling import Sampling, SamplingChanges
from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.notes import Note, Notes

DRAWN = -1
# Random numbers are made for this many notes at a time.
BLOCK = 1024
# Philox makes eight float32 of each count of its counter.
COUNTS_PER_BLOCK = BLOCK * len(FIELDS) // 8
# The log of about the smallest float32 probability; smaller ones are raised to it.
LEAST_LOG_PROB = np.float32(-87.0)
# Notes per second that no piece sustains: MAESTRO's busiest seconds have fewer.
DENSEST = 100


class Snapshot(NamedTuple):
    """A generator's position in its piece: all that determines the next notes, except for the sampling."""

    state: NDArray[np.float32]
    previous: NDArray[np.int32]
    tick: int
    drawn: int


class Generator:
    """Plays a model: an iterator of `Note`, without end.

    One seed names one piece of music on every runtime and processor: the random numbers come from a counter-based
    generator (NumPy's Philox), four for each drawn note, and everything else is in the model's step.

    Args:
        model: a `.tflite` file made by `kerasmusic export`, or a `Runtime`.
        seed: names the piece, from 0 to 2**64 - 1; by default one is chosen, to be found in `seed`.
        sampling: how notes are drawn; `Sampling()` by default.
        threads: threads the interpreter may use.
        **changes: fields of `Sampling` that differ from `sampling`, such as `temperature=0.9` or `key="C major"`.

    Raises:
        ModelFileError: the file is not a kerasmusic model, or plays values that its codec does not have.
        ArgumentError: an argument out of its range.

    Example, with a model that was exported before::

        for note in itertools.islice(Generator("model.tflite", seed=7, temperature=0.9), 100):
            print(note.start, note.pitch, note.duration, note.velocity)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Runtime,
        *,
        seed: int | None = None,
        sampling: Sampling | None = None,
        threads: int = 1,
        **changes: Unpack[SamplingChanges],
    ) -> None:
        self.seed = secrets.randbits(32) if seed is None else seed
        if not 0 <= self.seed < 2**64:
            raise ArgumentError(f"{seed}: a seed is a whole number from 0 to 2**64 - 1")
        # Wrong settings are found before the model is read.
        sampling = replace(sampling or Sampling(), **changes)
        self._runtime = TFLiteRuntime(model, threads=threads) if isinstance(model, str | os.PathLike) else model
        self.codec = self._runtime.codec
        self.sampling = sampling
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
        self._runtime.state[:] = 0
        self._runtime.previous[:] = self.codec.start_note
        self._tick = 0

    @property
    def sampling(self) -> Sampling:
        """The settings by which notes are drawn; assign another `Sampling` to change them from the next note on."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: Sampling) -> None:
        bias = bias_of(self.codec, key=sampling.key, pitch_range=sampling.pitch_range, density=sampling.density)
        self._runtime.bias[:], self._runtime.temperature[:], self._runtime.min_p[:] = (
            bias,
            sampling.temperatures(),
            sampling.min_ps(),
        )
        self._sampling = sampling

    def change(self, **changes: Unpack[SamplingChanges]) -> None:
        """Changes some fields of `sampling` from the next note on, and keeps the others."""
        self.sampling = replace(self.sampling, **changes)

    @property
    def seconds(self) -> float:
        """Onset of the last note that it played or was given, in seconds of the piece."""
        return self._tick / TICKS_PER_SECOND

    def snapshot(self) -> Snapshot:
        """The current position, for `restore`."""
        return Snapshot(self._runtime.state.copy(), self._runtime.previous.copy(), self._tick, self._drawn)

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to where it was: with the same sampling, the same notes come again."""
        self._runtime.state[:], self._runtime.previous[:], self._tick, self._drawn = snapshot

    def __iter__(self) -> Generator:
        return self

    def __next__(self) -> Note:
        return self.complete()

    def complete(self, *, step: float | None = None, pitch: int | None = None) -> Note:
        """The next note, of which the caller may give the step [s] and the pitch, and the model draws the rest.

        A given step is rounded to the codec's grid, 10 ms or more.
        """
        inputs = self._runtime
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
        """float32 `[4]`: the random numbers of a note, by its number among the drawn ones."""
        block, row = divmod(number, BLOCK)
        if block != self._block:
            philox = np.random.Philox(key=self.seed, counter=block * COUNTS_PER_BLOCK)
            self._uniforms = np.random.Generator(philox).random((BLOCK, len(FIELDS)), dtype=np.float32)
            self._block = block
        return self._uniforms[row]

    def take(self, notes: int | None = None, *, seconds: float | None = None) -> Notes:
        """The next notes: a number of them, or all that begin within so many seconds, whichever ends first.

        A model whose time stands still, with all notes at once, is stopped after `DENSEST` notes for each second.

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
        """Feeds notes to the model as if it had played them; the next note carries on from there.

        The first note's onset counts from the last note that was played or given, or from the piece's beginning; the
        onsets of the notes that follow count from the last note given.
        """
        self.prime_fields(self.codec.encode(notes))

    def prime_fields(self, fields: NDArray[np.integer]) -> None:
        """The same for notes as fields, int `[n, 4]`."""
        for note in fields:
            self._feed(note)
            self._tick += self._step_ticks[note[0]]

    def score(self, notes: Notes) -> NDArray[np.float32]:
        """The log probabilities of a piece from its beginning; the generator stays where it is.

        Returns:
            float32 `[n, 4]`: for each note, sorted as `codec.encode` sorts them, the natural log of the model's own
            probability (temperature 1, no bias) of its step, pitch, duration and velocity; NaN where the model has no
            distribution.
        """
        return next(self.score_fields([self.codec.encode(notes)]))

    def score_fields(self, pieces: Iterable[NDArray[np.integer]]) -> Iterator[NDArray[np.float32]]:
        """The same for the fields, int `[n, 4]`, of several pieces: yields the float32 `[n, 4]` of each."""
        runtime = self._runtime
        for fields in map(self.codec.checked, pieces):
            kept = runtime.state.copy(), runtime.previous.copy()
            runtime.state[:] = 0
            runtime.previous[:] = self.codec.start_note
            log_probs = np.empty((len(fields), len(FIELDS)), np.float32)
            for row, note in zip(log_probs, fields, strict=True):
                self._feed(note)
                np.maximum(runtime.log_prob[0], LEAST_LOG_PROB, out=row)
            runtime.state[:], runtime.previous[:] = kept
            yield log_probs

    def _feed(self, fields: NDArray[np.integer]) -> None:
        self._runtime.given[:] = fields
        self._runtime.run()
        self._runtime.previous[:] = fields
