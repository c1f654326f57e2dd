"""What the keys are doing: how long each of them will still sound.

It is exact arithmetic on a performance's fields, in ticks. Nothing else that was tried tells a model as much of the
next note. The state is taken from note to note by `after` when playing; `sequence` gives the states after every note
of a window at once, by the same rules: a struck key sounds for its note's duration, whatever it did before.
"""

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS, PITCHES, NoteCodec
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import rows


class Keyboard:
    """The arithmetic of keys for one codec. The state, float32 `[batch, 128]`, is in ticks: for each pitch, how long it
    will still sound."""

    def __init__(self, codec: NoteCodec) -> None:
        # What each value of each field stands for, the fields laid end to end: one look-up for all of a note.
        self.meanings = np.concatenate(
            [codec.step_ticks, np.arange(PITCHES), codec.duration_ticks, codec.velocities]
        ).astype("float32")
        self.offsets = np.array(codec.offsets, "int32")
        self.step_ticks = codec.step_ticks.astype("float32")[:, None]
        self.pitches = np.arange(PITCHES, dtype="float32")

    def after(self, state: KerasTensor, note: KerasTensor) -> KerasTensor:
        """The state at a note's onset with the note struck: state `[batch, 128]`, note int32 `[batch, 4]`."""
        step, pitch, duration, _ = ops.split(rows(self.meanings, note + self.offsets), len(FIELDS), axis=-1)
        return ops.where(ops.equal(pitch, self.pitches), duration, ops.relu(state - step))

    def later(self, state: KerasTensor, step: KerasTensor) -> KerasTensor:
        """A state `[..., 128]` as it is a step later; `step` int32 `[...]`, a value of that field."""
        return ops.relu(state - rows(self.step_ticks, step))

    def sequence(self, state: KerasTensor, notes: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The states `[batch, T, 128]` after each of `notes` int32 `[batch, T, 4]`, and the last of them."""
        step, _, duration, _ = ops.split(rows(self.meanings, notes + self.offsets), len(FIELDS), axis=-1)
        onset = ops.cumsum(step, axis=1)
        struck = ops.one_hot(notes[..., 1], PITCHES, dtype="float32")
        ends = linear_recurrence(1.0 - struck, struck * (onset + duration), state)
        states = ops.stop_gradient(ops.relu(ends - onset))
        return states, states[:, -1]
