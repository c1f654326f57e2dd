"""Draws the value of a field from logits on a grid, in whole numbers; see `kerasmusic.models.exact_layers`."""

from __future__ import annotations

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.models.lookup import columns, entries, least, rows
from kerasmusic.models.note_model import StepInputs
from kerasmusic.models.sampling import ABOVE_ZERO, COLDEST

#: The units of a logit on the grid to a nat.
GRID = 32.0
#: The weights of values by how far their logits are below the largest, in units of the grid. The sum of 256 of them is
#: less than 2**24.
WEIGHTS = np.round((2**16 - 1) * np.exp(-np.arange(512) / GRID)).astype(np.float32)
# Nothing this far below the likeliest is drawn, in units of the grid; a given value is this far above all others.
FAR = 2.0**20
# A min_p of 0 rules nothing out that has a weight.
LEAST_MIN_P = 1e-30


class ExactDraws:
    """A `Chooser` that draws each value as a step's inputs ask, from logits in units of the grid; see `Draws`.

    Equal logits have equal weights, so at a temperature of 0 the first of the likeliest values is taken.
    """

    def __init__(self, inputs: StepInputs, codec: NoteCodec) -> None:
        count, sizes = len(FIELDS), codec.sizes
        field = np.repeat(np.arange(count, dtype="int32"), sizes)
        value = np.concatenate([np.arange(size, dtype="int32") for size in sizes])[None]
        bias = ops.maximum(ops.round(inputs.bias * GRID), np.full(value.shape, -FAR, "float32"))
        given = ops.equal(columns(inputs.given, field), value)
        steered = ops.where(given, np.full(value.shape, FAR, "float32"), bias)
        self._bias = ops.split(steered, np.cumsum(sizes)[:-1].tolist(), axis=-1)
        least_min_p = np.full((1, count), LEAST_MIN_P, "float32")
        reach = ops.round(-GRID * ops.log(ops.maximum(inputs.min_p, least_min_p))) + 1.0
        self._reach = ops.split(reach, count, axis=-1)
        # At a temperature of 0, the first value of the largest weight is taken.
        hot = ops.minimum(inputs.temperature * (1.0 / COLDEST), np.ones((1, count), "float32"))
        uniform = ops.maximum(inputs.uniform * hot, np.full((1, count), ABOVE_ZERO, "float32"))
        self._uniform = ops.split(uniform, count, axis=-1)
        temperature = ops.maximum(inputs.temperature, np.full((1, count), COLDEST, "float32"))
        self._temperature = ops.split(temperature, count, axis=-1)
        self._offsets = np.array([codec.offsets], "int32")
        self._logits: list[KerasTensor] = []
        self._values: list[KerasTensor] = []

    def __call__(self, index: int, logits: KerasTensor) -> KerasTensor:
        """Draws a field's value: int32 `[batch]` from whole numbers, float32 `[batch, n]`."""
        self._logits.append(logits)
        biased = logits + self._bias[index]
        below = ops.max(biased, axis=-1, keepdims=True) - biased
        # 1 up to the reach of min_p, then 0: all are whole numbers.
        kept = ops.minimum(ops.relu(self._reach[index] - below), 1.0)
        place = ops.minimum(ops.round(below / self._temperature[index]), len(WEIGHTS) - 1.0)
        weights = rows(WEIGHTS, ops.cast(place, "int32")) * kept
        cumulative = ops.cumsum(weights, axis=-1)
        # Whole, so that no compiler fuses the product into the difference.
        sought = ops.ceil(self._uniform[index] * ops.max(cumulative, axis=-1, keepdims=True))
        value = least(ops.relu(sought - cumulative))
        self._values.append(value)
        return value

    def note_and_log_prob(self) -> tuple[KerasTensor, KerasTensor]:
        """The fields drawn, int32 `[batch, 4]`, and the natural logs of their probabilities, float32 `[batch, 4]`."""
        note = ops.stack(self._values, axis=-1)
        probabilities = [ops.softmax(each * (1.0 / GRID), axis=-1) for each in self._logits]
        return note, ops.log(entries(ops.concatenate(probabilities, axis=-1), note + self._offsets))
