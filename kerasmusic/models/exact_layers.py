"""The layers of exact models: int8 weights and whole-number arithmetic that every runtime computes to the same bit.

A float32 sum of whole numbers is exact, in any order, while it stays below 2**24, and so is a product with a power of
two. A product with another number is rounded, but IEEE 754 says how, and a compiler cannot change it if rounding to a
whole number follows at once. All layers here keep to such operations. Whole numbers are kept in float32.

They round down, since FLOOR is the one rounding that all of LiteRT's kernels have. That takes half a unit away on
average, which the biases give back: `kerasmusic.export.quantizing` puts it there.

A *code* is what multiplies int8 weights: a whole number from -128 to 127, or from 0 to 255. TFLite's dynamic-range
kernels quantise the input of a matrix by its own smallest and largest value. An input of codes that holds both ends of
its range gets the scale 1 and a whole zero point, so that the product is plain integer arithmetic.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import Table, WholeFunction, floored, rounded, rows, straight_through, value_of, whole

#: The limits of a signed code.
LOWEST, HIGHEST = -128.0, 127.0
#: The largest code without a sign.
LARGEST_CODE = 255.0
#: The largest magnitude of a weight's code.
LARGEST_WEIGHT = 127.0
#: Whole numbers up to here are exact in float32, and so are their sums.
EXACT = 2**24
#: The value of one unit of a bias, in units of a product of codes.
BIAS_UNIT = 128.0
#: The units of a decay to 1.
DECAY_UNITS = 2.0**13
#: Decays by the logits of a gate in units of `inner`, about 1/32. Of such units and of factors that reach a decay of 1,
#: these leave the largest tolerance.
DECAYS = WholeFunction("sigmoid", float(np.float32(0.03063344955444336)), DECAY_UNITS + 0.625, -512, 511)
# The number of entries in the table of a norm's factors, and the sum of squares that one entry stands for. Sums that
# may be inexact are beyond the last.
FACTORS, SQUARES = 4096, 2.0**10


def codes(x: KerasTensor) -> KerasTensor:
    """Rounds down and clips to signed codes.

    >>> ops.convert_to_numpy(codes(ops.array([-300.0, 1.6, 127.4]))).tolist()
    [-128.0, 1.0, 127.0]
    """
    return ops.clip(floored(x), LOWEST, HIGHEST)


def positive_codes(x: KerasTensor) -> KerasTensor:
    """Rounds numbers of 0 and more down, and clips them at 255.

    >>> ops.convert_to_numpy(positive_codes(ops.array([0.0, 3.6, 400.0]))).tolist()
    [0.0, 3.0, 255.0]
    """
    return floored(ops.minimum(x, LARGEST_CODE))


def with_ends(*parts: Table) -> KerasTensor:
    """Signed codes and the ends of their range in one vector, float32 `[..., n]`."""
    return _joined(parts, [LOWEST, HIGHEST])


def with_end(*parts: Table) -> KerasTensor:
    """Codes without a sign and the largest of them in one vector, float32 `[..., n]`; 0 needs no place."""
    return _joined(parts, [LARGEST_CODE])


def _joined(parts: tuple[Table, ...], ends: list[float]) -> KerasTensor:
    first = parts[0]
    constant = np.array(ends, "float32").reshape((1,) * (len(first.shape) - 1) + (-1,))
    # An exported step has a batch of 1, and takes the constant as it is.
    if first.shape[:-1] != (1,):
        constant = ops.broadcast_to(constant, (*ops.shape(first)[:-1], len(ends)))
    return ops.concatenate([*parts, constant], axis=-1)


@keras.saving.register_keras_serializable("kerasmusic")
class ExactEmbedding(layers.Layer):
    """An embedding with int8 codes, whose vectors are whole multiples of `unit`, the value of one code.

    Args:
        size: the number of rows.
        width: the length of a row.
    """

    def __init__(self, size: int, width: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.size, self.width = size, width
        self.embeddings = self.add_weight(shape=(size, width), initializer="zeros", name="embeddings", autocast=False)
        self.unit = self.add_weight(shape=(), initializer="ones", name="unit", trainable=False, autocast=False)
        self.built = True

    def call(self, index: KerasTensor) -> KerasTensor:
        """The vectors, float32 `[..., width]`, of int32 `[...]`."""
        return rows(weight_codes(self.embeddings) * self.unit, index)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "width": self.width}


@keras.saving.register_keras_serializable("kerasmusic")
class ExactDense(layers.Layer):
    """A dense layer with int8 weights: the product times one factor for each output, rounded down.

    Its inputs end with the ends of their range, which have no weights; see `with_ends` and `with_end`.

    Args:
        inputs: the number of inputs, codes, without the ends.
        units: the number of outputs.
        ends: the number of ends: 2 for signed codes, 1 for codes without a sign.
        shifted: the number of the last inputs that are signed codes plus 128; the layer subtracts the 128.
    """

    def __init__(self, inputs: int, units: int, ends: int = 2, shifted: int = 0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.inputs, self.units, self.ends, self.shifted = inputs, units, ends, shifted
        weight = {"autocast": False, "initializer": "zeros"}
        # In units of a code.
        self.kernel = self.add_weight(shape=(inputs, units), name="kernel", **weight)
        self.bias = self.add_weight(shape=(units,), name="bias", **weight)
        self.multiplier = self.add_weight(shape=(units,), name="multiplier", trainable=False, **weight)
        self.observer: Any = None
        self.built = True

    def product(self, inputs: KerasTensor) -> KerasTensor:
        """The product of codes, float32 `[..., inputs + ends]`, and the weights, and the bias: `[..., units]`."""
        if self.observer:
            self.observer(self, inputs)
        weights = weight_codes(self.kernel)
        bias = rounded(self.bias * BIAS_UNIT)
        if self.shifted:
            bias = bias + LOWEST * ops.sum(weights[self.inputs - self.shifted :], axis=0)
        weights = ops.pad(weights, [[0, self.ends], [0, 0]])
        return whole(ops.add(ops.matmul(inputs, weights), bias))

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """The outputs, whole numbers, float32 `[..., units]`, of codes, float32 `[..., inputs + ends]`."""
        return floored(self.product(inputs) * self.multiplier)

    def get_config(self) -> dict[str, Any]:
        sizes = {"inputs": self.inputs, "units": self.units, "ends": self.ends, "shifted": self.shifted}
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("kerasmusic")
class ExactNorm(layers.Layer):
    """RMSNorm and quantisation in one: signed codes of a vector over its root mean square.

    The vector is rounded to numbers small enough that the sum of their squares is exact. A table has the factor for
    each range of that sum.

    Args:
        width: the length of a vector.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.width = width
        weight = {"autocast": False, "initializer": "ones", "trainable": False}
        # From a unit of the vector to one of the numbers that are squared.
        self.coarse = self.add_weight(shape=(1, 1), name="coarse", **weight)
        self.factors = self.add_weight(shape=(FACTORS, 1), name="factors", **weight)
        self.built = True

    def set_scale(self, coarse: float, code: float) -> None:
        """Sets what one code stands for, in root mean squares, and the scale of the numbers that are squared."""
        self.coarse.assign(np.full((1, 1), coarse, "float32"))
        squares = SQUARES * (np.arange(FACTORS) + 0.5)
        factors = np.sqrt(self.width) * coarse / code / np.sqrt(squares)
        self.factors.assign(factors.astype(np.float32)[:, None])

    def call(self, x: KerasTensor) -> KerasTensor:
        """The codes, float32 `[..., width]`, of whole numbers `[..., width]`."""
        coarse = floored(x * self.coarse)
        squares = ops.sum(coarse * coarse, axis=-1)
        index = ops.minimum(squares * (1.0 / SQUARES), FACTORS - 1.0)
        exact = rows(self.factors, ops.cast(index, "int32"))
        smooth = self.factors[0] * ops.rsqrt(2.0 * index + 1.0)[..., None]
        return codes(x * straight_through(exact, smooth))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("kerasmusic")
class ExactBlock(layers.Layer):
    """`RecurrentBlock` in whole numbers; the state too is whole numbers.

    Args:
        width: the size of the input, the output and the recurrent state.
        hidden: the number of units in the perceptron.
    """

    def __init__(self, width: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.width, self.hidden = width, hidden
        self.norm = ExactNorm(width, name="norm")
        self.decay = ExactDense(width, width, name="decay")
        self.candidate = ExactDense(width, width, name="candidate")
        self.state_code = self.add_weight(
            shape=(1, width), name="state_code", initializer="ones", trainable=False, autocast=False
        )
        # The ends of the normalised input's range are among its inputs.
        self.perceptron = ExactDense(2 * width, hidden, name="perceptron")
        self.output_dense = ExactDense(hidden, width, ends=1, name="output")
        self.built = True

    @property
    def state_size(self) -> int:
        return self.width

    def _decay_and_candidate(self, x: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        x = with_ends(x)
        gate = self.decay(x)
        smooth = ops.sigmoid(gate * DECAYS.inner)
        return straight_through(value_of(DECAYS, gate) * (1.0 / DECAY_UNITS), smooth), self.candidate(x)

    def _perceptron(self, x: KerasTensor, state: KerasTensor) -> KerasTensor:
        both = with_ends(x, codes(state * self.state_code))
        inner = ops.relu(self.perceptron.product(both) * self.perceptron.multiplier)
        return self.output_dense(with_end(positive_codes(inner)))

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """See `Block.step`."""
        normalized = self.norm(x)
        decay, candidate = self._decay_and_candidate(normalized)
        state = candidate + floored(decay * (state - candidate))
        return x + self._perceptron(normalized, state), state

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """See `Block.call`."""
        normalized = self.norm(x)
        decay, candidate = self._decay_and_candidate(normalized)
        states = _recurrence(decay, candidate, state)
        return x + self._perceptron(normalized, states), states[:, -1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "hidden": self.hidden}


def _recurrence(decay: KerasTensor, candidate: KerasTensor, initial: KerasTensor) -> KerasTensor:
    """The states of a recurrence that rounds each, float32 `[batch, T, width]`; the gradient is that without."""

    def step(state: KerasTensor, now: tuple[KerasTensor, KerasTensor]) -> tuple[KerasTensor, KerasTensor]:
        decay, candidate = now
        state = candidate + ops.floor(decay * (state - candidate))
        return state, state

    by_time = [ops.transpose(ops.stop_gradient(each), (1, 0, 2)) for each in (decay, candidate)]
    _, states = ops.scan(step, ops.stop_gradient(initial), tuple(by_time))
    smooth = linear_recurrence(decay, (1.0 - decay) * candidate, initial)
    return straight_through(ops.transpose(states, (1, 0, 2)), smooth)


def weight_codes(weights: KerasTensor) -> KerasTensor:
    """Weights in units of a code, rounded and clipped to codes from -127 to 127."""
    return ops.clip(rounded(ops.convert_to_tensor(weights)), -LARGEST_WEIGHT, LARGEST_WEIGHT)
