"""Draws the value of a field: the one sampler, the same in Keras and in the exported file.

On a small device, a step's cost is mostly the number of its operators, half of which are in this module. Therefore
`controls_by_field` does everything that can be done for all fields at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.models.lookup import columns, least

# Every constant is exactly representable in float16, because float16 exports store constants as float16.
# The divisor for a temperature of 0: logits that differ at all are then so far apart that the softmax is one-hot.
COLDEST = 2.0**-24
# The lowest bias. It is finite, because infinities are not safe in the kernels of devices.
LOWEST_BIAS = -6e4
# The bias of a given value, which makes every other value impossible.
GIVEN = 6e4
# The log used for a min_p of 0: values less likely than 1e-30 times the likeliest are never drawn.
LOWEST_LOG_MIN_P = -69.0
# The factor by which a logit's distance below the min_p threshold grows, so that the softmax gives it zero.
STEEP = 1e9
# The lowest random number. At 0, the draw would return the first value even if its probability is 0.
ABOVE_ZERO = 2.0**-24


class FieldControls(NamedTuple):
    """The inputs that steer the draw of one field; see `controls_by_field`."""

    #: float32 `[batch, n]`.
    bias: KerasTensor
    #: float32 `[batch, 1]`, more than 0 and less than 1.
    uniform: KerasTensor
    #: float32 `[batch, 1]`.
    log_min_p: KerasTensor
    #: float32 `[batch, 1]`, more than 0.
    temperature: KerasTensor


def controls_by_field(
    given: KerasTensor,
    uniform: KerasTensor,
    temperature: KerasTensor,
    min_p: KerasTensor,
    bias: KerasTensor,
    sizes: Sequence[int],
) -> list[FieldControls]:
    """The controls of each field.

    Args:
        given: int32 `[batch, fields]`; -1 where the field is drawn, else the field's value.
        uniform: float32 `[batch, fields]` in [0, 1).
        temperature: float32 `[batch, fields]`, >= 0; 0 takes the likeliest value.
        min_p: float32 `[batch, fields]` in [0, 1].
        bias: float32 `[batch, V]`, the fields concatenated, at most 1e4; values below -6e4 count as -6e4.
        sizes: the number of values of each field, V in total.
    """
    count = len(sizes)
    field = np.repeat(np.arange(count, dtype="int32"), sizes)
    # Constants keep the batch dimension: TFLite broadcasts lower-rank constants element by element.
    value = np.concatenate([np.arange(size, dtype="int32") for size in sizes])[None]
    certain = np.full(value.shape, GIVEN, "float32")
    steered = ops.where(ops.equal(columns(given, field), value), certain, bias)
    together = ops.concatenate([steered, uniform, ops.log(min_p), temperature], axis=-1)
    lowest = np.full((1, together.shape[-1]), LOWEST_BIAS, "float32")
    lowest[:, -3 * count :] = np.repeat([ABOVE_ZERO, LOWEST_LOG_MIN_P, COLDEST], count)
    parts = ops.split(ops.maximum(together, lowest), np.cumsum([*sizes, *[1] * (3 * count - 1)]).tolist(), axis=-1)
    return [FieldControls(*parts[index::count]) for index in range(count)]


def draw(logits: KerasTensor, controls: FieldControls) -> KerasTensor:
    """Draws a value by inverse transform sampling: int32 `[batch]` from float32 `[batch, n]`.

    The bias is added first. Values whose probability is then below `min_p` times the likeliest value's are excluded
    (min-p sampling, Nguyen et al., 2024). This happens before the temperature, so a high temperature cannot bring them
    back.

    >>> (controls,) = controls_by_field(
    ...     given=ops.array([[-1]]), uniform=ops.array([[0.9]]), temperature=ops.array([[0.0]]),
    ...     min_p=ops.array([[0.0]]), bias=ops.zeros((1, 3)), sizes=[3])
    >>> int(draw(ops.array([[0.0, 1.0, 0.0]]), controls)[0])
    1
    """
    biased = logits + controls.bias
    above = biased - (ops.max(biased, axis=-1, keepdims=True) + controls.log_min_p)
    kept = ops.leaky_relu(above, STEEP)
    cumulative = ops.cumsum(ops.softmax(kept / controls.temperature, axis=-1), axis=-1)
    # The first cumulative sum that reaches the random number; its value has a positive probability, since it raised the
    # sum. If rounding leaves even the last sum below the number, the first of the largest sums.
    return least(ops.relu(controls.uniform - cumulative))
