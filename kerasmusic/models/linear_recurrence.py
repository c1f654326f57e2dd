"""The linear recurrence h[t] = decay[t] * h[t-1] + update[t] over a whole sequence at once."""

from keras import KerasTensor, ops

CHUNK = 16


def linear_recurrence(decay: KerasTensor, update: KerasTensor, initial: KerasTensor) -> KerasTensor:
    """All states of an elementwise linear recurrence, computed in float32.

    The sequence is cut into chunks of 16. The first pass processes all chunks in parallel and reduces each to one total
    decay and update; the second carries the state from chunk to chunk; the third processes all chunks in parallel
    again, each from its initial state. That takes 16 + T / 16 + 16 vectorised operations and no control flow. On two
    CPU cores it is as fast as a sequential scan on JAX, and several times faster than `keras.ops.associative_scan` on
    TensorFlow. `split` separates the time steps because its gradient is a single concatenation; the gradient of
    indexing would be a padded copy of the whole array for each step.

    Args:
        decay: float `[batch, T, ...]`, with T known at trace time.
        update: float, the same shape.
        initial: float `[batch, ...]`, the state before the first time step.

    Returns:
        The state after each time step, float32 `[batch, T, ...]`.

    >>> states = linear_recurrence(ops.ones((1, 3, 1)), ops.ones((1, 3, 1)), ops.zeros((1, 1)))
    >>> ops.convert_to_numpy(states)[0, :, 0].tolist()
    [1.0, 2.0, 3.0]
    """
    decay, update, initial = (ops.cast(each, "float32") for each in (decay, update, initial))
    length, shape = decay.shape[1], tuple(decay.shape[2:])
    chunks = -(-length // CHUNK)
    padding = [[0, 0], [0, chunks * CHUNK - length], *([[0, 0]] * len(shape))]
    chunked = (-1, chunks, CHUNK, *shape)
    decays = ops.split(ops.reshape(ops.pad(decay, padding, constant_values=1.0), chunked), CHUNK, axis=2)
    updates = ops.split(ops.reshape(ops.pad(update, padding), chunked), CHUNK, axis=2)

    total_decay, total_update = decays[0], updates[0]
    for a, b in zip(decays[1:], updates[1:], strict=True):
        total_decay, total_update = a * total_decay, a * total_update + b

    entering = [ops.reshape(initial, (-1, 1, 1, *shape))]
    if chunks > 1:
        by_chunk = zip(ops.split(total_decay, chunks, axis=1), ops.split(total_update, chunks, axis=1), strict=True)
        for a, b in list(by_chunk)[:-1]:
            entering.append(a * entering[-1] + b)
    state = ops.concatenate(entering, axis=1)

    states = []
    for a, b in zip(decays, updates, strict=True):
        state = a * state + b
        states.append(state)
    states = ops.reshape(ops.concatenate(states, axis=2), (-1, chunks * CHUNK, *shape))
    return states[:, :length]
