"""Table lookups with indices in range, argmin, argmax and whole numbers, in as few TFLite operators as possible."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
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


@dataclass(frozen=True)
class WholeFunction:
    """A function from whole numbers to whole numbers: `outer * function(inner * x)`, rounded down, by a table.

    An exported graph computes the function instead, since looking up a number costs as much as computing ten. The
    result is the same, as long as the device's function is more exact than `tolerance`.

    Args:
        function: the name of a function of `keras.ops` that does not fall.
        inner: the factor of x.
        outer: the factor of the function's value.
        first, last: the smallest and the largest x of the table, beyond which the value does not change.
    """

    function: str
    inner: float
    outer: float
    first: int
    last: int

    def _exact(self) -> NDArray[np.float64]:
        x = self.inner * np.arange(self.first, self.last + 1, dtype=np.float64)
        functions: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
            "sqrt": np.sqrt,
            "exp": np.exp,
            "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
        }
        return self.outer * functions[self.function](x)

    @property
    def table(self) -> NDArray[np.float32]:
        """The values, float32 `[last - first + 1]`."""
        return np.floor(self._exact()).astype(np.float32)

    @property
    def tolerance(self) -> float:
        """The largest relative error of a device's function that changes no value of the table.

        >>> WholeFunction("sqrt", 1.0, 1.001, 0, 100).tolerance > 1e-6
        True
        """
        values = self._exact()
        # A root of 0 is 0 on every device.
        values = values[values > 0]
        return float(np.min(np.abs(values - np.round(values)) / values))


def _looked_up(function: WholeFunction, x: KerasTensor) -> KerasTensor:
    index = ops.clip(x, float(function.first), float(function.last)) - float(function.first)
    return take(function.table, ops.cast(index, "int32"), axis=0)


# The exporter replaces it by the function itself.
apply: Callable[..., KerasTensor] = _looked_up


def value_of(function: WholeFunction, x: KerasTensor) -> KerasTensor:
    """The function's values at whole numbers, float32 of any shape.

    >>> ops.convert_to_numpy(value_of(WholeFunction("sqrt", 1.0, 10.1, 0, 9), ops.array([2.0, 4.0, 90.0]))).tolist()
    [14.0, 20.0, 30.0]
    """
    return apply(function, x)


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


def floored(x: KerasTensor) -> KerasTensor:
    """The largest whole numbers that are not above `x`, with the gradient of `x`.

    >>> ops.convert_to_numpy(floored(ops.array([0.5, 2.0, -2.6]))).tolist()
    [0.0, 2.0, -3.0]
    """
    return straight_through(ops.floor(x), x)


def whole(x: KerasTensor) -> KerasTensor:
    """The same whole numbers, of which an exported graph folds nothing into the weights before them."""
    return kept(x)
