"""What the keys are doing: how long each of them will still sound, and at which of the coming ticks notes will end.

It is exact arithmetic on a performance's fields, in ticks. Nothing else that was tried tells a model as much of the
next note: what sounds says which pitches go with it; and four notes in ten end at the very tick at which one struck
before them does, so that a model which sees these ticks has only to choose among them.

The state is taken from note to note by `struck` and `later` when playing; `sequence` gives the states after every note
of a window at once, by the same rules: a struck key sounds for its note's duration, whatever it did before.
"""

from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import DURATION, FIELDS, PITCH, PITCHES, STEP, NoteCodec
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import entries, rows

#: How many of the coming ticks are watched. Nothing is ever due at the last of them: what lies beyond reads as it.
HORIZON = 256
#: What stands for an end that is due: like the square root of the ticks that a key sounds, so that one scale fits both.
DUE = 32.0


class KeyboardState(NamedTuple):
    """The keys at one moment; zeros are silence.

    Args:
        ticks: float32 `[..., 128]`, for each pitch, how many ticks it will still sound.
        due: float32 `[..., 256]`, for each of the coming ticks from 1 on, `DUE` where a note will end, else 0.
    """

    ticks: KerasTensor
    due: KerasTensor


class Keyboard:
    """The arithmetic of keys for one codec."""

    #: How many numbers the two parts of a state have.
    sizes = (PITCHES, HORIZON)

    def __init__(self, codec: NoteCodec) -> None:
        # Tables rather than comparisons with a number, which a device does an element at a time.
        self.step_ticks, self.duration_ticks = (
            ticks.astype("float32")[:, None] for ticks in (codec.step_ticks, codec.duration_ticks)
        )
        self.key = np.eye(PITCHES, dtype=bool)
        self.coming = np.arange(1, HORIZON + 1)
        # For each duration, the tick of the coming ones at which it ends.
        self.end = (self.duration_ticks == self.coming) & (self.coming < HORIZON)
        # For each step, where each of the coming ticks stood before it.
        self.former = np.minimum(np.arange(HORIZON) + codec.step_ticks[:, None], HORIZON - 1).astype("int32")

    def struck(self, state: KeyboardState, note: KerasTensor) -> KeyboardState:
        """The state `[batch, ...]` with a note struck, whose fields are int32 `[batch, 4]`."""
        _, pitch, duration, _ = ops.unstack(note, len(FIELDS), axis=-1)
        return KeyboardState(
            ops.where(rows(self.key, pitch), rows(self.duration_ticks, duration), state.ticks),
            ops.where(rows(self.end, duration), np.full((1, HORIZON), DUE, "float32"), state.due),
        )

    def later(self, state: KeyboardState, step: KerasTensor) -> KeyboardState:
        """The state `[..., n]` as it is a step later; `step` int32 `[...]`, a value of that field."""
        return KeyboardState(
            ops.relu(state.ticks - rows(self.step_ticks, step)),
            entries(state.due, rows(self.former, step)),
        )

    def sequence(self, state: KeyboardState, notes: KerasTensor) -> KeyboardState:
        """The states `[batch, T, ...]` after each of `notes` int32 `[batch, T, 4]` was struck.

        `state` is that at the first note's onset, as `later` gives it, before the note is struck.
        """
        step, duration = rows(self.step_ticks, notes[..., STEP]), rows(self.duration_ticks, notes[..., DURATION])
        # Counted from the first onset.
        step = ops.concatenate([ops.zeros_like(step[:, :1]), step[:, 1:]], axis=1)
        onset = ops.cumsum(step, axis=1)
        struck = ops.one_hot(notes[..., PITCH], PITCHES, dtype="float32")
        ends = linear_recurrence(1.0 - struck, struck * (onset + duration), state.ticks)
        due = self._due_sequence(state.due, step[..., 0], duration[..., 0])
        return KeyboardState(ops.stop_gradient(ops.relu(ends - onset)), ops.stop_gradient(due))

    def _due_sequence(self, due: KerasTensor, step: KerasTensor, duration: KerasTensor) -> KerasTensor:
        """The ticks at which notes will end, after each note.

        Note-offs are scattered onto one timeline per batch row, each tick keeping the earliest note that ends there;
        each note then gathers the ticks after its onset, without the ends of later notes.
        """
        batch, length = ops.shape(step)[0], step.shape[1]
        # A step over the horizon leaves nothing due, however long it is; so the line is short enough.
        onset = ops.cast(ops.cumsum(ops.minimum(step, float(HORIZON)), axis=1), "int32")
        ticks = (length + 1) * HORIZON
        lines = ticks * ops.arange(batch, dtype="int32")[:, None]
        end = ops.where(duration < HORIZON, onset + ops.cast(duration, "int32"), ticks - 1)
        # Counted backwards, so that the first note is the greatest; what was due before is greater still.
        number = ops.broadcast_to(np.arange(length, 0, -1, dtype="int32"), ops.shape(end))
        before = ops.where(due > 0, length + 1, 0)
        coming = self.coming.astype("int32")
        first = ops.segment_max(
            ops.reshape(ops.concatenate([number, ops.cast(before, "int32")], axis=1), (-1,)),
            ops.reshape(lines + ops.concatenate([end, ops.broadcast_to(coming, ops.shape(due))], axis=1), (-1,)),
            num_segments=batch * ticks,
        )
        seen = rows(first, (lines + onset)[..., None] + coming)
        return ops.where(seen >= number[..., None], DUE, 0.0)
