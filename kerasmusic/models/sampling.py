"""Drawing one value of a field: the only sampler there is, the same in Keras and in the exported file.

What a step costs on a small device is mostly the number of its operators, and half of them are here; so whatever can be
done for all fields at once is done in `controls_by_field`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.models.lookup import columns, least

# All constants are numbers of float16 too, as which an exported file may hold them.
# A temperature of 0 divides by this instead: logits that differ at all are then too far apart for the softmax.
COLDEST = 2.0**-24
# The lowest bias; infinities have no place in a device's kernels.
LOWEST_BIAS = -6e4
# The bias of a value that is given, which makes every other value impossible.
GIVEN = 6e4
# Stands for the log of a min_p of 0: what is less likely than 1e-30 of the likeliest is never drawn.
LOWEST_LOG_MIN_P = -69.0
# How much farther down what min_p rules out is moved: even just below the threshold, far enough for the softmax.
STEEP = 1e9
# Random numbers stay above 0, since a sum of 0 would reach that, whose values were all ruled out.
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
        given: int32 `[batch, fields]`; -1 draws, any other value is taken.
        uniform: float32 `[batch, fields]` in [0, 1).
        temperature: float32 `[batch, fields]`, >= 0; 0 takes the likeliest value.
        min_p: float32 `[batch, fields]` in [0, 1].
        bias: float32 `[batch, V]`, the fields laid end to end, each at most 1e4; below -6e4 counts as that.
        sizes: how many values each field has; V in all.
    """
    count = len(sizes)
    field = np.repeat(np.arange(count, dtype="int32"), sizes)
    # With all their sides, since a device spreads out what has fewer an element at a time.
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

    The bias is added first. Values whose probability is then below `min_p` times the likeliest one's are ruled out
    ("min-p sampling", Nguyen et al., 2024), before the temperature: heating never brings back what was ruled out.

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
    # The first sum that reaches the number: its value was kept, since it raised the sum. Where rounding keeps even the
    # last sum below the number, the first that comes nearest.
    return least(ops.relu(controls.uniform - cumulative))
