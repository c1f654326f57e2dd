"""The recurrence h[t] = decay[t] * h[t-1] + update[t], over a whole sequence at once."""

from keras import KerasTensor, ops

CHUNK = 16


def linear_recurrence(decay: KerasTensor, update: KerasTensor, initial: KerasTensor) -> KerasTensor:
    """Every state of an elementwise linear recurrence.

    The sequence is cut into chunks of 16. A first pass goes through all chunks side by side and finds what each does to
    a state that enters it, a second carries the state from chunk to chunk, a third goes through all chunks again from
    the states that enter them. That is 16 + T / 16 + 16 vectorised operations, which XLA compiles on every backend; on
    two CPU cores it is as fast as a sequential scan on JAX, and several times faster than `keras.ops.associative_scan`
    on TensorFlow. The steps are taken apart with `split`, whose gradient is one concatenation; the gradient of
    indexing would be a padded copy of everything for each step.

    Args:
        decay: float `[batch, T, ...]`, T known when traced.
        update: the same shape.
        initial: `[batch, ...]`, the state before the first step.

    Returns:
        float `[batch, T, ...]`, the states after each step.

    >>> states = linear_recurrence(ops.ones((1, 3, 1)), ops.ones((1, 3, 1)), ops.zeros((1, 1)))
    >>> ops.convert_to_numpy(states)[0, :, 0].tolist()
    [1.0, 2.0, 3.0]
    """
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
