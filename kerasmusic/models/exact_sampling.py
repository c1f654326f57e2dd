"""Draws the value of a field from logits on a grid, in whole numbers; see `kerasmusic.models.exact_layers`."""

from __future__ import annotations

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.models.lookup import WholeFunction, entries, least, rows, value_of
from kerasmusic.models.note_model import StepInputs
from kerasmusic.models.sampling import COLDEST

#: The units of a logit on the grid to a nat.
GRID = 32.0
#: The weights of values by how far their logits are above the largest, which is never, in units of the grid. The sum of
#: 256 of them is less than 2**24. Of such scales, this one leaves the largest tolerance.
WEIGHTS = WholeFunction("exp", 1 / GRID, 41101.8125, -512, 0)
# Nothing this far below the likeliest is drawn, in units of the grid; a given value is this far above all others.
FAR = 2.0**20
# The steps in which min_p is taken, and how far below the likeliest each reaches, in units of the grid: 1 further than
# its logarithm, since the logits are rounded too; at 0, everything that has a weight is kept.
MIN_P_STEPS = 4096
REACHES = np.round(-GRID * np.log(np.maximum(np.arange(MIN_P_STEPS + 1), 1e-9) / MIN_P_STEPS) + 1.0).astype(np.float32)


class ExactDraws:
    """A `Chooser` that draws each value as a step's inputs ask, from logits in units of the grid; see `Draws`.

    Equal logits have equal weights, so at a temperature of 0 the first of the likeliest values is taken.
    """

    def __init__(self, inputs: StepInputs, codec: NoteCodec) -> None:
        count, sizes = len(FIELDS), codec.sizes
        bias = ops.maximum(ops.floor(inputs.bias * GRID), np.full((1, codec.size), -FAR, "float32"))
        given = ops.cast(inputs.given, "float32") * (2 * FAR)
        step = ops.cast(ops.minimum(inputs.min_p * MIN_P_STEPS, float(MIN_P_STEPS)), "int32")
        # At a temperature of 0, the first value of the largest weight is taken.
        hot = ops.minimum(inputs.temperature * (1.0 / COLDEST), np.ones((1, count), "float32"))
        uniform = inputs.uniform * hot
        # A compiler may divide by multiplying with a reciprocal; so here it is, and all multiply with the same.
        coldness = 1.0 / ops.maximum(inputs.temperature, np.full((1, count), COLDEST, "float32"))
        together = ops.concatenate([bias, rows(REACHES, step), uniform, coldness, given], axis=-1)
        parts = ops.split(together, np.cumsum([*sizes, *[1] * (4 * count - 1)]).tolist(), axis=-1)
        self._bias, self._reach, self._uniform, self._coldness, self._given = (
            parts[kind * count : (kind + 1) * count] for kind in range(5)
        )
        self._lanes = [2 * FAR * np.arange(size, dtype="float32")[None] for size in sizes]
        self._offsets = np.array([codec.offsets], "int32")
        self._logits: list[KerasTensor] = []
        self._values: list[KerasTensor] = []

    def __call__(self, index: int, logits: KerasTensor) -> KerasTensor:
        """Draws a field's value: int32 `[batch]` from whole numbers, float32 `[batch, n]`."""
        self._logits.append(logits)
        # FAR at a given value and below -FAR elsewhere; without one, -1, it is below -FAR everywhere.
        given = FAR - ops.abs(ops.subtract(self._given[index], self._lanes[index]))
        biased = logits + ops.maximum(self._bias[index], given)
        above = biased - ops.max(biased, axis=-1, keepdims=True)
        # 1 up to the reach of min_p, then 0: all are whole numbers.
        kept = ops.minimum(ops.relu(above + self._reach[index]), 1.0)
        weights = value_of(WEIGHTS, ops.floor(above * self._coldness[index])) * kept
        cumulative = ops.cumsum(weights, axis=-1)
        # The first value whose sum is above the product. Whole, so that no compiler fuses the product into the sum.
        sought = ops.floor(self._uniform[index] * ops.max(cumulative, axis=-1, keepdims=True)) + 1.0
        value = least(ops.relu(sought - cumulative))
        self._values.append(value)
        return value

    def note_and_log_prob(self) -> tuple[KerasTensor, KerasTensor]:
        """The fields drawn, int32 `[batch, 4]`, and the natural logs of their probabilities, float32 `[batch, 4]`."""
        note = ops.stack(self._values, axis=-1)
        probabilities = [ops.softmax(each * (1.0 / GRID), axis=-1) for each in self._logits]
        return note, ops.log(entries(ops.concatenate(probabilities, axis=-1), note + self._offsets))
