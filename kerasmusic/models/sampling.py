"""Drawing one value of a field: the only sampler there is, the same in Keras and in the exported file."""

from keras import KerasTensor, ops

# A temperature of 0 divides by this instead: logits that differ at all are then too far apart for the softmax.
COLDEST = 1e-9
# Stands for log(0) where a value must never be drawn; finite, since infinities have no place in a device's kernels.
NEVER = -1e9


def draw(
    logits: KerasTensor,
    *,
    given: KerasTensor,
    uniform: KerasTensor,
    temperature: KerasTensor,
    min_p: KerasTensor,
    bias: KerasTensor,
) -> tuple[KerasTensor, KerasTensor]:
    """Draws a value by inverse transform sampling, or takes the given one.

    The bias is added first. Values whose probability is then below `min_p` times the likeliest one's are ruled out
    ("min-p sampling", Nguyen et al., 2024), before the temperature: heating never brings back what was ruled out.

    Args:
        logits: float32 `[batch, n]`.
        given: int32 `[batch, 1]`; -1 draws, any other value is taken.
        uniform: float32 `[batch, 1]` in [0, 1).
        temperature: float32 `[batch, 1]`, >= 0; 0 takes the likeliest value.
        min_p: float32 `[batch, 1]` in [0, 1].
        bias: float32 `[batch, n]`.

    Returns:
        The value, int32 `[batch, 1]`, and its log probability under the logits alone, float32 `[batch, 1]`.

    >>> value, log_prob = draw(
    ...     ops.array([[0.0, 1.0, 0.0]]), given=ops.array([[-1]]), uniform=ops.array([[0.9]]),
    ...     temperature=ops.array([[0.0]]), min_p=ops.array([[0.0]]), bias=ops.zeros((1, 3)))
    >>> int(value[0, 0]), round(float(log_prob[0, 0]), 4)
    (1, -0.5514)
    """
    biased = logits + bias
    threshold = ops.max(biased, axis=-1, keepdims=True) + ops.log(ops.maximum(min_p, 1e-30))
    kept = ops.where(biased >= threshold, biased, NEVER)
    cumulative = ops.cumsum(ops.softmax(kept / ops.maximum(temperature, COLDEST), axis=-1), axis=-1)
    # The sums end near 1, not at 1. Measured against their own end, and with `uniform` kept a little below 1, there is
    # always a value above the mark, and it is one that was kept.
    mark = uniform * (1.0 - 2.0**-22) * cumulative[:, -1:]
    drawn = ops.sum(ops.cast(cumulative <= mark, "int32"), axis=-1, keepdims=True)
    value = ops.where(given >= 0, given, drawn)
    log_probs = ops.log_softmax(logits, axis=-1)
    return value, ops.take_along_axis(log_probs, value, axis=-1)
