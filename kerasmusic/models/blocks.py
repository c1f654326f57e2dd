"""The recurrent blocks of a trunk, and the base class for blocks of your own."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import keras
from keras import KerasTensor, initializers, layers, ops

from kerasmusic.errors import check_name
from kerasmusic.models.extensions import import_requested, remember_class
from kerasmusic.models.linear_recurrence import linear_recurrence

EPSILON = 1e-6


class Block(layers.Layer):
    """The base class of blocks: layers of a trunk that carry a recurrent state.

    A subclass implements `state_size`, `step` and `call`. `call` on a sequence must return the same outputs as `step`
    note by note. The initial state is zero. `docs/extending.md` has an example.

    Args:
        width: the width of the trunk, that is, of the block's input and output.
        hidden: the number of units in the block's multilayer perceptron, if it has one.
    """

    def __init__(self, width: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden = width, hidden

    @property
    def state_size(self) -> int:
        """The size of the state, in float32 values."""
        raise NotImplementedError

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """Maps one note's x, float `[batch, width]`, and state `[batch, state_size]` to the output and new state."""
        raise NotImplementedError

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """Maps a sequence x, float `[batch, T, width]`, and an initial state to the outputs and the final state."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "hidden": self.hidden}


#: The block classes from which `GatedNoteModel` can build its trunk, by name.
BLOCKS: dict[str, type[Block]] = {}

BlockClass = TypeVar("BlockClass", bound=type[Block])


def register_block(name: str) -> Callable[[BlockClass], BlockClass]:
    """Registers a block class under a name, so that a preset can select it: `{"block": name}` in its configuration."""

    def register(block: BlockClass) -> BlockClass:
        _add_block(name, block)
        return block

    return register


def _add_block(name: str, block: type[Block]) -> None:
    remember_class(block, functools.partial(_add_block, name))
    BLOCKS[name] = block


def find_block(name: str) -> type[Block]:
    """The block class of this name.

    Raises:
        ArgumentError: no block of that name is registered.
    """
    if name not in BLOCKS:
        import_requested()
    check_name("block", name, BLOCKS)
    return BLOCKS[name]


def unit(x: KerasTensor) -> KerasTensor:
    """Normalises the last axis to an L2 norm of 1 (one L2_NORMALIZATION operator in TFLite)."""
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + EPSILON)


def product(inputs: KerasTensor, kernel: KerasTensor, dtype: str) -> KerasTensor:
    """The product of `inputs` and a matrix, multiplied in a dtype and returned as float32."""
    # As one matrix: TensorFlow 2.18 would sum the gradient of a batch of matrices in their dtype.
    flat = ops.reshape(inputs, (-1, inputs.shape[-1])) if len(inputs.shape) > 2 else inputs
    outputs = ops.cast(ops.matmul(ops.cast(flat, dtype), ops.cast(kernel, dtype)), "float32")
    if len(inputs.shape) > 2:
        outputs = ops.reshape(outputs, (*ops.shape(inputs)[:-1], kernel.shape[-1]))
    return outputs


class Float32Weights(layers.Layer):
    """A layer whose weights Keras does not cast to the compute dtype, nor sums their gradients over all notes in it."""

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        return super().add_weight(*args, **{**kwargs, "autocast": False})


class Embedding(Float32Weights, layers.Embedding):
    """Keras's embedding, of which models read the table in float32."""


class Dense(Float32Weights, layers.Dense):
    """Keras's dense layer, without an activation, that multiplies in its compute dtype and adds the bias in float32.

    Its output is float32.
    """

    def call(self, inputs: KerasTensor, training: bool | None = None) -> KerasTensor:
        outputs = product(inputs, self.kernel, self.compute_dtype)
        return outputs if self.bias is None else ops.add(outputs, self.bias)


def scaled_dense(layer: Dense, inputs: KerasTensor, scale: float) -> KerasTensor:
    """`layer` applied to `scale * inputs`; the scale is folded into the kernel, free in an exported graph."""
    return ops.add(product(inputs, layer.kernel * scale, layer.compute_dtype), layer.bias)


@register_block("recurrent")
@keras.saving.register_keras_serializable("kerasmusic")
class RecurrentBlock(Block):
    """A residual block: a gated linear recurrence, then a multilayer perceptron over the input and the state.

    The normalised input x determines a decay a and a candidate c. The recurrence is h = a * h + (1 - a) * c, and the
    perceptron's output for (x, h) is added to the block's input. As in minGRU (Feng et al., 2024), the gate depends on
    x alone, so a whole sequence is one scan. RMSNorm (Zhang and Sennrich, 2019) is split in two: the input is
    normalised to an L2 norm of 1, and the factor, the square root of the width, is folded into the kernels of the decay
    and the perceptron.

    Args:
        width: the size of the input, the output and the recurrent state.
        hidden: the number of units in the perceptron.
    """

    def __init__(self, width: int, hidden: int, **kwargs: Any) -> None:
        # Keras would cast the state. In bfloat16, whose largest number below 1 is 0.996, no decay would last 500 notes.
        super().__init__(width, hidden, autocast=False, **kwargs)
        self.decay = Dense(width, bias_initializer=self._initial_bias, name="decay")
        self.candidate = Dense(width, use_bias=False, name="candidate")
        self.perceptron = Dense(hidden, name="perceptron")
        self.output_dense = Dense(width, kernel_initializer=initializers.VarianceScaling(0.3), name="output")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.decay.build((None, self.width))
        self.candidate.build((None, self.width))
        self.perceptron.build((None, 2 * self.width))
        self.output_dense.build((None, self.hidden))
        super().build(input_shape)

    @property
    def state_size(self) -> int:
        return self.width

    def _initial_bias(self, shape: Sequence[int], dtype: str | None = None) -> KerasTensor:
        # Initial time constants are 2 to 500 notes: sigmoid(bias) = 1 - 1 / notes.
        notes = ops.exp(ops.linspace(math.log(2.0), math.log(500.0), self.width))
        return ops.cast(ops.log(notes - 1.0), dtype or "float32")

    def _decay_and_candidate(self, x: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        return ops.sigmoid(scaled_dense(self.decay, x, math.sqrt(self.width))), self.candidate(x)

    def _perceptron(self, x: KerasTensor, state: KerasTensor) -> KerasTensor:
        both = ops.concatenate([x, state], axis=-1)
        return self.output_dense(ops.relu(scaled_dense(self.perceptron, both, math.sqrt(self.width))))

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        normalized = unit(x)
        decay, candidate = self._decay_and_candidate(normalized)
        state = candidate + decay * (state - candidate)
        return x + self._perceptron(normalized, state), state

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        normalized = unit(x)
        decay, candidate = self._decay_and_candidate(normalized)
        states = linear_recurrence(decay, (1.0 - decay) * candidate, state)
        return x + self._perceptron(normalized, states), states[:, -1]
