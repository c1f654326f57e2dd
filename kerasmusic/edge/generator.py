"""Generator: an endless stream of notes, each from one step of the model."""

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
from kerasmusic.edge.balance import Balance
from kerasmusic.edge.chords import ChordTrack, chord_bias
from kerasmusic.edge.controls import pitch_bias
from kerasmusic.edge.runtime import Runtime, TFLiteRuntime
from kerasmusic.edge.sampling import Sampling, SamplingChanges
from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.notes import Note, Notes

DRAWN = -1
# Random numbers are generated for this many notes at a time.
BLOCK = 1024
# Philox yields eight float32 values per counter increment.
COUNTS_PER_BLOCK = BLOCK * len(FIELDS) // 8
# About the log of the smallest normal float32; lower log probabilities are clipped to it.
LEAST_LOG_PROB = np.float32(-87.0)
# The state of an exact model is whole numbers below this one, up to which float32 has them all.
LARGEST_WHOLE = 2.0**24
# Of many given notes, the model is fed only the last ones. It finds repeats among this many, and from older notes it
# gains nothing that can be measured: see docs/browser.md.
HEARD_NOTES = 4_096
# More notes per second than any piece sustains: MAESTRO's busiest seconds have fewer.
DENSEST = 100


class Snapshot(NamedTuple):
    """A generator's position in its piece: with its seed and sampling, it determines the next notes."""

    state: NDArray[np.float32]
    previous: NDArray[np.int32]
    tick: int
    drawn: int
    balance: tuple[float, ...]


class Generator:
    """Plays a model: an endless iterator of `Note`.

    A seed identifies the same piece of music on every runtime and processor: the random numbers come from a
    counter-based generator (NumPy's Philox), four for each generated note, and everything else is in the model's step.

    Args:
        model: a `.tflite` file made by `kerasmusic export`, or a `Runtime`.
        seed: the piece, from 0 to 2**64 - 1; random by default. The attribute `seed` holds it.
        sampling: the sampling settings; `Sampling()` by default.
        threads: number of threads the interpreter may use.
        **changes: fields of `Sampling` to override, such as `temperature=0.9` or `key="C major"`.

    Raises:
        ModelFileError: the file is not a kerasmusic model, or its graph returns values outside its codec.
        ArgumentError: an argument is out of range, or the model does not know the style.

    The attribute `styles` holds the styles that the model knows.

    Example, with a model exported earlier::

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
        # Invalid settings are reported before the model is read.
        sampling = replace(sampling or Sampling(), **changes)
        self._runtime = TFLiteRuntime(model, threads=threads) if isinstance(model, str | os.PathLike) else model
        self.codec = self._runtime.codec
        self.styles = self._runtime.styles
        self._pitch_row = self._runtime.bias[0, self.codec.offsets.pitch : self.codec.offsets.duration]
        self._balance = Balance(self.codec, self._runtime.bias)
        self.sampling = sampling
        self._step_ticks = self.codec.step_ticks.tolist()
        self._duration_ticks = self.codec.duration_ticks.tolist()
        self._velocities = self.codec.velocities.tolist()
        self.reset()

    def reset(self) -> None:
        """Restarts the piece: the same notes follow."""
        self._drawn = 0
        # The caller may have changed the seed.
        self._block = -1
        self._balance.aim(self.sampling.targets(self.seed))
        self.forget()

    def forget(self) -> None:
        """Clears the model's state but keeps the position in the random numbers: a new piece follows."""
        self._runtime.state[:] = 0
        self._runtime.previous[:] = self.codec.start_note
        self._tick = 0
        self._balance.reset()

    @property
    def sampling(self) -> Sampling:
        """The sampling settings; assigning a `Sampling` takes effect from the next note."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: Sampling) -> None:
        style = self.styles.vector(sampling.style) if sampling.style is not None and self.styles.vectors else 0.0
        self._runtime.temperature[:], self._runtime.min_p[:] = sampling.temperatures(), sampling.min_ps()
        self._runtime.style[:] = style
        self._pitch_bias = pitch_bias(key=sampling.key, pitch_range=sampling.pitch_range)
        self._pitch_row[:] = self._pitch_bias
        self._balance.aim(sampling.targets(self.seed))
        self._chords = sampling.chord_track()
        self._sampling = sampling

    def change(self, **changes: Unpack[SamplingChanges]) -> None:
        """Changes the given fields of `sampling` from the next note on and keeps the others."""
        self.sampling = replace(self.sampling, **changes)

    @property
    def seconds(self) -> float:
        """The onset of the last note played or given, in seconds from the start of the piece."""
        return self._tick / TICKS_PER_SECOND

    def snapshot(self) -> Snapshot:
        """The current position, for `restore`."""
        runtime = self._runtime
        return Snapshot(runtime.state.copy(), runtime.previous.copy(), self._tick, self._drawn, self._balance.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Returns to a snapshot: with the same sampling, the same notes follow.

        Raises:
            ArgumentError: the snapshot is of another model: its state has another size, or holds numbers that no state
                of this model can.
        """
        state = snapshot.state
        if state.shape != self._runtime.state.shape:
            sizes = f"{state.shape[-1]:,} numbers, and this model has {self._runtime.state.shape[-1]:,}"
            raise ArgumentError(f"a snapshot of another model: its state has {sizes}; take one of this generator")
        impossible = ~np.isfinite(state)
        if self.styles.whole:
            impossible |= (np.rint(state) != state) | (np.abs(state) >= LARGEST_WHOLE)
        if impossible.any():
            kind = "whole numbers below 2**24" if self.styles.whole else "finite numbers"
            raise ArgumentError(
                f"a snapshot of another model: its state holds {state[impossible][0]:g}, and that of this model has "
                f"{kind}; take one of this generator"
            )
        self._runtime.state[:], self._runtime.previous[:], self._tick, self._drawn, self._balance.state = snapshot

    def __iter__(self) -> Generator:
        return self

    def __next__(self) -> Note:
        return self.complete()

    def complete(self, *, step: float | None = None, pitch: int | None = None) -> Note:
        """The next note. The caller may give its step [s] and its pitch; the model draws the other fields.

        A given step is rounded to the codec's grid, which is 10 ms or coarser.
        """
        inputs = self._runtime
        inputs.given[:] = DRAWN
        if step is not None:
            inputs.given[0, STEP] = self.codec.step_from_ticks(np.rint(step * TICKS_PER_SECOND))
        if pitch is not None:
            inputs.given[0, PITCH] = pitch
        inputs.uniform[:] = self._uniform(self._drawn)
        if self._chords is None:
            inputs.run()
        else:
            self._run_in_chord(self._chords)
        self._drawn += 1
        inputs.previous[:] = inputs.note
        gap, pitch, duration, velocity = inputs.note[0].tolist()
        try:
            if gap < 0 or duration < 0 or velocity < 0 or not 0 <= pitch < PITCHES:
                raise IndexError
            step_ticks, duration_ticks = self._step_ticks[gap], self._duration_ticks[duration]
            tick = self._tick + step_ticks
            note = Note(tick / TICKS_PER_SECOND, pitch, duration_ticks / TICKS_PER_SECOND, self._velocities[velocity])
        except IndexError:
            raise ModelFileError(
                f"the model returned the fields {[gap, pitch, duration, velocity]}, which its codec does not have; its "
                "file is damaged or was not exported by kerasmusic; export it again"
            ) from None
        self._tick = tick
        self._balance.measure(step_ticks if step is None else None, duration_ticks, note.velocity)
        return note

    def _run_in_chord(self, chords: ChordTrack) -> None:
        """Runs the step with the bias of the chord at the time of the note, which the step itself draws."""
        inputs = self._runtime
        chord = chords.at(self._tick)
        np.add(self._pitch_bias, chord_bias(chord), out=self._pitch_row)
        before = inputs.state.copy()
        inputs.run()
        gap = int(inputs.note[0, STEP])
        # A model that draws no valid step is reported by the caller.
        if not 0 <= gap < len(self._step_ticks):
            return
        following = chords.at(self._tick + self._step_ticks[gap])
        if following != chord:
            np.add(self._pitch_bias, chord_bias(following), out=self._pitch_row)
            inputs.state[:] = before
            inputs.given[0, STEP] = gap
            inputs.run()

    def _uniform(self, number: int) -> NDArray[np.float32]:
        """The random numbers, float32 `[4]`, of a generated note by its index."""
        block, row = divmod(number, BLOCK)
        if block != self._block:
            philox = np.random.Philox(key=self.seed, counter=block * COUNTS_PER_BLOCK)
            self._uniforms = np.random.Generator(philox).random((BLOCK, len(FIELDS)), dtype=np.float32)
            self._block = block
        return self._uniforms[row]

    def take(self, notes: int | None = None, *, seconds: float | None = None) -> Notes:
        """The next notes, up to a number of notes or a number of seconds, whichever limit is reached first.

        With `seconds`, at most `DENSEST` notes per second are made, so that a model whose clock stands still stops too.

        Raises:
            ArgumentError: neither limit is given, or one is negative or not finite.
        """
        if notes is None and seconds is None:
            raise ArgumentError("give a number of notes or of seconds")
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
        """Feeds notes to the model as if it had played them; generation continues from there.

        The first note's onset is relative to the last note played or given, or to the beginning of the piece. Later
        generated onsets are relative to the last note of `notes`. Of more than `HEARD_NOTES` notes, only the last ones
        are fed, to a model that has forgotten everything before; the others only take their time.
        """
        self.prime_fields(self.codec.encode(notes))

    def prime_fields(self, fields: NDArray[np.integer]) -> None:
        """Like `prime`, for notes as fields, int `[n, 4]`."""
        skipped = max(0, len(fields) - HEARD_NOTES)
        if skipped:
            self._runtime.state[:] = 0
            self._runtime.previous[:] = fields[skipped - 1]
        for note in fields[skipped:]:
            self._feed(note)
        self._tick += int(self.codec.step_ticks[fields[:, STEP]].sum())
        self._balance.begin()

    def score(self, notes: Notes) -> NDArray[np.float32]:
        """The log probabilities of a whole piece; the generator keeps its own position.

        Returns:
            float32 `[n, 4]`: for each note, in the order of `codec.encode`, the natural log of the model's own
            probability (temperature 1, no bias) of its step, pitch, duration and velocity; NaN where the model has no
            distribution.
        """
        return next(self.score_fields([self.codec.encode(notes)]))

    def score_fields(self, pieces: Iterable[NDArray[np.integer]]) -> Iterator[NDArray[np.float32]]:
        """Like `score`, for several pieces as fields, int `[n, 4]`: yields float32 `[n, 4]` for each piece."""
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
