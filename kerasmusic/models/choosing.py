"""Chooses the values of a note's fields one after another, each given those before it.

A model's `step` and its `score` compute the same logits, and differ only in where a value comes from. Code that takes
a `Chooser` serves both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import NoteCodec
from kerasmusic.models.lookup import entries
from kerasmusic.models.note_model import StepInputs, log_prob_of
from kerasmusic.models.sampling import controls_by_field, draw

#: Maps a field's index and its logits, float32 `[..., n]`, to its value, int32 `[...]`; called once for each field.
Chooser = Callable[[int, KerasTensor], KerasTensor]


class Draws:
    """A `Chooser` that draws each value as a step's inputs ask; for `NoteModel.step`.

    Args:
        inputs: the step's inputs.
        codec: the model's codec.
    """

    def __init__(self, inputs: StepInputs, codec: NoteCodec) -> None:
        self._controls = controls_by_field(
            inputs.given, inputs.uniform, inputs.temperature, inputs.min_p, inputs.bias, codec.sizes
        )
        self._offsets = np.array([codec.offsets], "int32")
        self._logits: list[KerasTensor] = []
        self._values: list[KerasTensor] = []

    def __call__(self, index: int, logits: KerasTensor) -> KerasTensor:
        """Draws a field's value."""
        self._logits.append(logits)
        self._values.append(draw(logits, self._controls[index]))
        return self._values[-1]

    def note_and_log_prob(self) -> tuple[KerasTensor, KerasTensor]:
        """The fields drawn, int32 `[batch, 4]`, and the natural logs of their probabilities, float32 `[batch, 4]`."""
        note = ops.stack(self._values, axis=-1)
        # The log of 4 probabilities instead of all V; it is -inf where the softmax underflows to 0.
        probabilities = ops.concatenate([ops.softmax(each, axis=-1) for each in self._logits], axis=-1)
        return note, ops.log(entries(probabilities, note + self._offsets))


class Labels:
    """A `Chooser` that takes each value from given notes; for `NoteModel.score`.

    Args:
        notes: int32 `[batch, T, 4]`, the notes to score.
    """

    def __init__(self, notes: KerasTensor) -> None:
        self._notes = notes
        self._log_probs: list[KerasTensor] = []

    def __call__(self, index: int, logits: KerasTensor) -> KerasTensor:
        """Returns a field's values, and keeps their log probabilities."""
        values = self._notes[..., index]
        self._log_probs.append(log_prob_of(logits, values))
        return values

    def log_prob(self) -> KerasTensor:
        """The natural logs of the notes' probabilities, float32 `[batch, T, 4]`."""
        return ops.stack(self._log_probs, axis=-1)
