"""Looking up rows of a table by indices that are known to be within it."""

from collections.abc import Callable

from keras import KerasTensor, ops

# Keras's `take` counts negative indices from the end, which costs three operators a look-up in an exported graph. The
# exporter, in its own process, puts TensorFlow's plain gather here.
take: Callable[..., KerasTensor] = ops.take


def rows(table: KerasTensor, index: KerasTensor) -> KerasTensor:
    """The rows of a table `[n, ...]` at int32 indices of any shape, each from 0 to n - 1: `[*index.shape, ...]`.

    >>> ops.convert_to_numpy(rows(ops.array([[1.0, 2.0], [3.0, 4.0]]), ops.array([1]))).tolist()
    [[3.0, 4.0]]
    """
    return take(table, index, axis=0)
