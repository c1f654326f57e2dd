"""Table lookups with indices in range, argmin, argmax and rounding, in as few TFLite operators as possible."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from keras import KerasTensor, ops
from numpy.typing import NDArray

#: A tensor, or a constant of the model, which Keras accepts as a NumPy array.
Table: TypeAlias = KerasTensor | NDArray[Any]

# Keras's `take` and `take_along_axis` handle negative indices, and its `argmin` and `argmax` distinguish +0 and -0.
# Both cost operators in an exported graph and are irrelevant here, so the exporter replaces all four functions.
take: Callable[..., KerasTensor] = ops.take
take_along_axis: Callable[..., KerasTensor] = ops.take_along_axis
argmin: Callable[..., KerasTensor] = ops.argmin
argmax: Callable[..., KerasTensor] = ops.argmax


def _combine(exact: KerasTensor, smooth: KerasTensor) -> KerasTensor:
    # The difference is 0, so that the sum is exact.
    return ops.stop_gradient(exact) + (smooth - ops.stop_gradient(smooth))


# An exported graph has no gradients, so the exporter replaces this one by a function that returns `exact`.
combine: Callable[..., KerasTensor] = _combine


def _unchanged(x: KerasTensor) -> KerasTensor:
    return x


# Marks the products of codes, whole numbers, in an exported graph, since TFLite's converter would fold the factors that
# follow into the weights. The exporter replaces it by `floor`, which changes no whole number, and removes that again.
kept: Callable[..., KerasTensor] = _unchanged


@contextmanager
def replaced(**functions: Callable[..., Any]) -> Iterator[None]:
    """Replaces functions of this module with a backend's own while a graph is traced: `replaced(take=tf.gather)`."""
    former = {name: globals()[name] for name in functions}
    globals().update(functions)
    try:
        yield
    finally:
        globals().update(former)


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
    """The index of the smallest value of `[..., n]`, the first of several equal ones: int32 `[...]`.

    >>> ops.convert_to_numpy(least(ops.array([[2.0, 1.0, 1.0]]))).tolist()
    [1]
    """
    return ops.cast(argmin(values, axis=-1), "int32")


def greatest(values: KerasTensor) -> KerasTensor:
    """The index of the largest value of `[..., n]`, the first of several equal ones: int32 `[...]`.

    >>> ops.convert_to_numpy(greatest(ops.array([[1.0, 2.0, 2.0]]))).tolist()
    [1]
    """
    return ops.cast(argmax(values, axis=-1), "int32")


def straight_through(exact: KerasTensor, smooth: KerasTensor) -> KerasTensor:
    """`exact`, with the gradient of `smooth` (the straight-through estimator, Bengio et al., 2013).

    >>> float(straight_through(ops.round(ops.array(2.6)), ops.array(2.6)))
    3.0
    """
    return combine(exact, smooth)


def rounded(x: KerasTensor) -> KerasTensor:
    """The nearest whole numbers, halves to even, with the gradient of `x`.

    >>> ops.convert_to_numpy(rounded(ops.array([0.5, 1.5, -2.6]))).tolist()
    [0.0, 2.0, -3.0]
    """
    return straight_through(ops.round(x), x)


def whole(x: KerasTensor) -> KerasTensor:
    """The same whole numbers, of which an exported graph folds nothing into the weights before them."""
    return kept(x)
