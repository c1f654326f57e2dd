"""The state of the keyboard: for each key the ticks it will still sound, and the ticks at which note-offs are due.

It is exact arithmetic on a performance's fields, in ticks. No other input that was tried helps a model as much. The
sounding keys suggest the pitches that go with them; and four notes in ten end at the very tick at which an earlier one
ends, so a model that sees those ticks only has to choose among them.

When playing, `note_on` and `advance` carry the state from note to note. `scan` gives the states after every note of a
window at once, by the same rules: a key that is struck sounds for its note's duration, whatever it did before.
"""

from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import DURATION, FIELDS, PITCH, PITCHES, STEP, NoteCodec
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import entries, rows

#: Coming ticks in the state. The last slot is always 0; indices beyond the horizon are clamped to it.
HORIZON = 256
#: The value of a due note-off: of the size of the square root of a key's ticks, so that one scale fits both.
DUE = 32.0


class KeyboardState(NamedTuple):
    """The keyboard at one moment; zeros are silence.

    Args:
        ticks: float32 `[..., 128]`, for each pitch, the ticks that it will still sound.
        due: float32 `[..., 256]`, for each of the coming ticks from 1 on, `DUE` where a note-off is due, else 0.
    """

    ticks: KerasTensor
    due: KerasTensor


class Keyboard:
    """Updates `KeyboardState` from the fields of one codec."""

    #: Sizes of the two parts of a state.
    sizes = (PITCHES, HORIZON)

    def __init__(self, codec: NoteCodec) -> None:
        # Tables, since TFLite compares a tensor with a single number element by element.
        self.step_ticks, self.duration_ticks = (
            ticks.astype("float32")[:, None] for ticks in (codec.step_ticks, codec.duration_ticks)
        )
        self.key = np.eye(PITCHES, dtype=bool)
        self.coming = np.arange(1, HORIZON + 1)
        # For each duration, the coming tick of its note-off, one-hot.
        self.end = (self.duration_ticks == self.coming) & (self.coming < HORIZON)
        # For each step, the index that each of the coming ticks had before it.
        self.former = np.minimum(np.arange(HORIZON) + codec.step_ticks[:, None], HORIZON - 1).astype("int32")

    def note_on(self, state: KeyboardState, note: KerasTensor) -> KeyboardState:
        """The state `[batch, ...]` after the onset of a note whose fields are int32 `[batch, 4]`."""
        _, pitch, duration, _ = ops.unstack(note, len(FIELDS), axis=-1)
        return KeyboardState(
            ops.where(rows(self.key, pitch), rows(self.duration_ticks, duration), state.ticks),
            ops.where(rows(self.end, duration), np.full((1, HORIZON), DUE, "float32"), state.due),
        )

    def advance(self, state: KeyboardState, step: KerasTensor) -> KeyboardState:
        """The state `[..., n]` one step later; `step` is int32 `[...]`, a value of that field."""
        return KeyboardState(
            ops.relu(state.ticks - rows(self.step_ticks, step)),
            entries(state.due, rows(self.former, step)),
        )

    def scan(self, state: KeyboardState, notes: KerasTensor) -> KeyboardState:
        """The states `[batch, T, ...]` after the onset of each of `notes`, int32 `[batch, T, 4]`.

        `state` belongs to the first note's onset, as `advance` gives it, before that note.
        """
        step, duration = rows(self.step_ticks, notes[..., STEP]), rows(self.duration_ticks, notes[..., DURATION])
        # Time counts from the first onset.
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
        # A step beyond the horizon leaves nothing due, however long it is, so clipping it keeps the timeline short.
        onset = ops.cast(ops.cumsum(ops.minimum(step, float(HORIZON)), axis=1), "int32")
        ticks = (length + 1) * HORIZON
        lines = ticks * ops.arange(batch, dtype="int32")[:, None]
        end = ops.where(duration < HORIZON, onset + ops.cast(duration, "int32"), ticks - 1)
        # Notes are numbered backwards, so the maximum at a tick is the earliest note; the former state precedes all.
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
