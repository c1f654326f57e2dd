"""Looking up entries of tables by indices that are known to be within them, and finding the least or the greatest."""

from collections.abc import Callable
from typing import Any, TypeAlias

from keras import KerasTensor, ops
from numpy.typing import NDArray

#: Computed by the model, or one of its constants, which Keras takes as they are.
Table: TypeAlias = KerasTensor | NDArray[Any]

# Keras's `take` and `take_along_axis` count negative indices from the end, which costs operators with each look-up in
# an exported graph. The exporter, in its own process, puts TensorFlow's plain gather here.
take: Callable[..., KerasTensor] = ops.take
take_along_axis: Callable[..., KerasTensor] = ops.take_along_axis
# Keras's own tell zeros of different sign apart, which costs operators, too, and never matters here.
argmin: Callable[..., KerasTensor] = ops.argmin
argmax: Callable[..., KerasTensor] = ops.argmax


def rows(table: Table, index: KerasTensor) -> KerasTensor:
    """The rows of a table `[n, ...]` at int32 indices of any shape, each from 0 to n - 1: `[*index.shape, ...]`.

    >>> ops.convert_to_numpy(rows(ops.array([[1.0, 2.0], [3.0, 4.0]]), ops.array([1]))).tolist()
    [[3.0, 4.0]]
    """
    return take(table, index, axis=0)


def columns(table: Table, index: Table) -> KerasTensor:
    """The columns of `[..., n]` at int32 indices `[m]`, each from 0 to n - 1: `[..., m]`.

    >>> ops.convert_to_numpy(columns(ops.array([[1.0, 2.0], [3.0, 4.0]]), ops.array([1, 1, 0]))).tolist()
    [[2.0, 2.0, 1.0], [4.0, 4.0, 3.0]]
    """
    return take(table, index, axis=-1)


def entries(values: KerasTensor, index: KerasTensor) -> KerasTensor:
    """The entries of `[..., n]` at int32 indices `[..., m]`, each from 0 to n - 1: `[..., m]`.

    >>> ops.convert_to_numpy(entries(ops.array([[1.0, 2.0], [3.0, 4.0]]), ops.array([[1], [0]]))).tolist()
    [[2.0], [3.0]]
    """
    return take_along_axis(values, index, axis=-1)


def least(values: KerasTensor) -> KerasTensor:
    """Where the first of the least values of `[..., n]` is: int32 `[...]`.

    >>> ops.convert_to_numpy(least(ops.array([[2.0, 1.0, 1.0]]))).tolist()
    [1]
    """
    return ops.cast(argmin(values, axis=-1), "int32")


def greatest(values: KerasTensor) -> KerasTensor:
    """Where the first of the greatest values of `[..., n]` is: int32 `[...]`.

    >>> ops.convert_to_numpy(greatest(ops.array([[1.0, 2.0, 2.0]]))).tolist()
    [1]
    """
    return ops.cast(argmax(values, axis=-1), "int32")
