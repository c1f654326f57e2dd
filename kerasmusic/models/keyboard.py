"""The state of the keyboard: the remaining ticks of each sounding key, and the coming ticks at which notes end.

The state is exact arithmetic on a performance's fields, in ticks. No other input that was tried helps a model as much:
the sounding keys suggest pitches that go with them, and four notes in ten end at the same tick as an earlier note, so
a model that sees those ticks only has to choose among them.

In generation, `note_on` and `advance` update the state note by note. In training, `scan` computes the states after all
notes of a window at once by the same rules. A key that is struck again takes the duration of the new note.
"""

from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import DURATION, FIELDS, PITCH, PITCHES, STEP, NoteCodec
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import entries, rows

#: The number of coming ticks in the state. The last slot is always 0; indices beyond the horizon are clamped to it.
HORIZON = 256
#: The value of a due note-off: about as large as the square root of a key's ticks, so that one scale suits both.
DUE = 32.0


class KeyboardState(NamedTuple):
    """The keyboard at one moment; a silent keyboard is all zeros.

    Args:
        ticks: float32 `[..., 128]`, the remaining ticks of each key.
        due: float32 `[..., 256]`, for each coming tick from 1 on, `DUE` where a note-off is due, else 0.
    """

    ticks: KerasTensor
    due: KerasTensor


class Keyboard:
    """Updates `KeyboardState` from the fields of one codec."""

    #: Sizes of the two parts of a state.
    sizes = (PITCHES, HORIZON)

    def __init__(self, codec: NoteCodec) -> None:
        # Lookup tables, because TFLite broadcasts a comparison with a scalar element by element.
        self.step_ticks, self.duration_ticks = (
            ticks.astype("float32")[:, None] for ticks in (codec.step_ticks, codec.duration_ticks)
        )
        self.key = np.eye(PITCHES, dtype=bool)
        self.coming = np.arange(1, HORIZON + 1)
        # For each duration, the coming tick of its note-off as a one-hot vector; all zeros beyond the horizon.
        self.end = (self.duration_ticks == self.coming) & (self.coming < HORIZON)
        # For each step, the index of each coming tick before that step.
        self.former = np.minimum(np.arange(HORIZON) + codec.step_ticks[:, None], HORIZON - 1).astype("int32")

    def note_on(self, state: KeyboardState, note: KerasTensor) -> KeyboardState:
        """The state `[batch, ...]` after the onset of a note, int32 `[batch, 4]`."""
        _, pitch, duration, _ = ops.unstack(note, len(FIELDS), axis=-1)
        return KeyboardState(
            ops.where(rows(self.key, pitch), rows(self.duration_ticks, duration), state.ticks),
            ops.where(rows(self.end, duration), np.full((1, HORIZON), DUE, "float32"), state.due),
        )

    def advance(self, state: KeyboardState, step: KerasTensor) -> KeyboardState:
        """The state `[..., n]` after a step in time; `step` is int32 `[...]`, a value of that field."""
        return KeyboardState(
            ops.relu(state.ticks - rows(self.step_ticks, step)),
            entries(state.due, rows(self.former, step)),
        )

    def scan(self, state: KeyboardState, notes: KerasTensor) -> KeyboardState:
        """The states `[batch, T, ...]` after the onset of each of `notes`, int32 `[batch, T, 4]`.

        `state` is the state at the first note's onset, before that note, as `advance` returns it.
        """
        step, duration = rows(self.step_ticks, notes[..., STEP]), rows(self.duration_ticks, notes[..., DURATION])
        # Onsets are relative to the first note's.
        step = ops.concatenate([ops.zeros_like(step[:, :1]), step[:, 1:]], axis=1)
        onset = ops.cumsum(step, axis=1)
        struck = ops.one_hot(notes[..., PITCH], PITCHES, dtype="float32")
        ends = linear_recurrence(1.0 - struck, struck * (onset + duration), state.ticks)
        due = self._due_sequence(state.due, step[..., 0], duration[..., 0])
        return KeyboardState(ops.stop_gradient(ops.relu(ends - onset)), ops.stop_gradient(due))

    def _due_sequence(self, due: KerasTensor, step: KerasTensor, duration: KerasTensor) -> KerasTensor:
        """The note-offs due after each note, float32 `[batch, T, 256]`.

        Note-offs are scattered onto one timeline per batch row, and each tick keeps the earliest note that ends there.
        Each note then gathers the ticks after its onset and masks the ends of later notes.
        """
        batch, length = ops.shape(step)[0], step.shape[1]
        # No note-off is due after a step beyond the horizon, however long; clipping such steps shortens the timeline.
        onset = ops.cast(ops.cumsum(ops.minimum(step, float(HORIZON)), axis=1), "int32")
        ticks = (length + 1) * HORIZON
        lines = ticks * ops.arange(batch, dtype="int32")[:, None]
        end = ops.where(duration < HORIZON, onset + ops.cast(duration, "int32"), ticks - 1)
        # Notes are numbered backwards, so the maximum at a tick is the earliest note. The initial state precedes all.
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
