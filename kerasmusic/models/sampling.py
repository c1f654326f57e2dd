"""Drawing one value of a field: the only sampler there is, the same in Keras and in the exported file."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

# A temperature of 0 divides by this instead: logits that differ at all are then too far apart for the softmax.
COLDEST = 1e-9
# Stands for log(0) where a value must never be drawn; finite, since infinities have no place in a device's kernels.
NEVER = -1e9


class Controls(NamedTuple):
    """What steers the draw of one field: see `controls_by_field`. All `[batch, 1]` but `bias`, `[batch, n]`."""

    given: KerasTensor
    uniform: KerasTensor
    coldness: KerasTensor
    log_min_p: KerasTensor
    bias: KerasTensor


def controls_by_field(
    given: KerasTensor,
    uniform: KerasTensor,
    temperature: KerasTensor,
    min_p: KerasTensor,
    biases: Sequence[KerasTensor],
) -> list[Controls]:
    """The controls of each field, prepared for all fields at once, which is a few operators for many.

    Args:
        given: int32 `[batch, fields]`; -1 draws, any other value is taken.
        uniform: float32 `[batch, fields]` in [0, 1).
        temperature: float32 `[batch, fields]`, >= 0; 0 takes the likeliest value.
        min_p: float32 `[batch, fields]` in [0, 1].
        biases: for each field, float32 `[batch, n]`.
    """
    columns = (
        given,
        # Kept a little below 1, so that there is always a cumulative sum above it.
        uniform * (1.0 - 2.0**-22),
        1.0 / ops.maximum(temperature, COLDEST),
        ops.log(ops.maximum(min_p, 1e-30)),
    )
    by_column = [ops.split(column, len(biases), axis=-1) for column in columns]
    return [Controls(*parts) for parts in zip(*by_column, biases, strict=True)]


def draw(logits: KerasTensor, controls: Controls) -> tuple[KerasTensor, KerasTensor]:
    """Draws a value by inverse transform sampling, or takes the given one.

    The bias is added first. Values whose probability is then below `min_p` times the likeliest one's are ruled out
    ("min-p sampling", Nguyen et al., 2024), before the temperature: heating never brings back what was ruled out.

    Args:
        logits: float32 `[batch, n]`.
        controls: of this field.

    Returns:
        The value, int32 `[batch, 1]`, and its log probability under the logits alone, float32 `[batch, 1]`.

    >>> (controls,) = controls_by_field(
    ...     given=ops.array([[-1]]), uniform=ops.array([[0.9]]), temperature=ops.array([[0.0]]),
    ...     min_p=ops.array([[0.0]]), biases=[ops.zeros((1, 3))])
    >>> value, log_prob = draw(ops.array([[0.0, 1.0, 0.0]]), controls)
    >>> int(value[0, 0]), round(float(log_prob[0, 0]), 4)
    (1, -0.5514)
    """
    biased = logits + controls.bias
    threshold = ops.max(biased, axis=-1, keepdims=True) + controls.log_min_p
    kept = ops.where(biased >= threshold, biased, NEVER)
    cumulative = ops.cumsum(ops.softmax(kept * controls.coldness, axis=-1), axis=-1)
    # The sums end near 1, not at 1, so the mark is set by their own end; what is above it was kept.
    mark = controls.uniform * cumulative[:, -1:]
    drawn = ops.sum(ops.cast(cumulative <= mark, "int32"), axis=-1, keepdims=True)
    value = ops.where(controls.given >= 0, controls.given, drawn)
    chosen = ops.equal(value, np.arange(logits.shape[-1], dtype="int32")[None])
    log_prob = ops.sum(ops.where(chosen, ops.log_softmax(logits, axis=-1), 0.0), axis=-1, keepdims=True)
    return value, log_prob
