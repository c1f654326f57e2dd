"""Blocks that `kerasmusic.bench.experiments` compares with `RecurrentBlock`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import KerasTensor, layers, ops

from kerasmusic.models.blocks import Dense, RecurrentBlock, register_block, scaled_dense, unit
from kerasmusic.models.linear_recurrence import linear_recurrence

DROPPED = 0.1
TAPS = 4
# As in RG-LRU.
SHARPNESS = 8.0


@register_block("dropout")
@keras.saving.register_keras_serializable("kerasmusic.experiments")
class DropoutBlock(RecurrentBlock):
    """Drops lanes of the block's output in training, the same ones for all notes of a window."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dropout = layers.Dropout(DROPPED, noise_shape=(None, 1, self.width), name="dropout")
        self.dropout.build((None, None, self.width))
        super().build(input_shape)

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        y, state = super().call(x, state)
        return x + self.dropout(y - x), state


class SequenceBlock(RecurrentBlock):
    """A block whose step is a sequence of one note."""

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        y, state = self.call(x[:, None], state)
        return y[:, 0], state


@register_block("convolution")
@keras.saving.register_keras_serializable("kerasmusic.experiments")
class ConvolutionBlock(SequenceBlock):
    """Mixes each lane of the normalised input with its last three values before the recurrence and the perceptron."""

    @property
    def state_size(self) -> int:
        return TAPS * self.width

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.taps = self.add_weight(shape=(TAPS, self.width), initializer=self._initial_taps, name="taps")
        super().build(input_shape)

    def _initial_taps(self, shape: tuple[int, ...], dtype: str | None = None) -> KerasTensor:
        # At first, only the latest value counts.
        return ops.cast(ops.arange(shape[0])[:, None] == 0, dtype or "float32") * ops.ones(shape)

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        kept = ops.reshape(state[:, self.width :], (-1, TAPS - 1, self.width))
        inputs = ops.concatenate([kept, unit(x)], axis=1)
        length = ops.shape(x)[1]
        mixed = sum(self.taps[tap] * inputs[:, TAPS - 1 - tap : TAPS - 1 - tap + length] for tap in range(TAPS))
        decay, candidate = self._decay_and_candidate(mixed)
        states = linear_recurrence(decay, (1.0 - decay) * candidate, state[:, : self.width])
        last = ops.reshape(inputs[:, 1 - TAPS :], (-1, (TAPS - 1) * self.width))
        return x + self._perceptron(mixed, states), ops.concatenate([states[:, -1], last], axis=-1)


@register_block("rg_lru")
@keras.saving.register_keras_serializable("kerasmusic.experiments")
class RGLRUBlock(SequenceBlock):
    """Griffin's recurrence (De et al., 2024): a learned rate times a gate sets the decay, and the input has a gate."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.input_gate = Dense(self.width, name="input_gate")
        self.input_gate.build((None, self.width))
        self.rate = self.add_weight(shape=(self.width,), initializer=self._initial_rate, name="rate")
        super().build(input_shape)

    def _initial_bias(self, shape: Sequence[int], dtype: str | None = None) -> KerasTensor:
        # The gate of the decay is half open at first.
        return ops.zeros(shape, dtype or "float32")

    def _initial_rate(self, shape: tuple[int, ...], dtype: str | None = None) -> KerasTensor:
        # Where the gate is half open, the decays are those at which `RecurrentBlock` begins.
        decays = ops.sigmoid(super()._initial_bias(shape))
        return ops.cast(ops.log(ops.expm1(-ops.log(decays) / (SHARPNESS / 2))), dtype or "float32")

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        normalized, scale = unit(x), math.sqrt(self.width)
        gate, share = (scaled_dense(each, normalized, scale) for each in (self.decay, self.input_gate))
        decay = ops.exp(-SHARPNESS * ops.softplus(self.rate) * ops.sigmoid(gate))
        inputs = ops.sqrt(1.0 - ops.square(decay) + 1e-6) * ops.sigmoid(share) * self.candidate(normalized)
        states = linear_recurrence(decay, inputs, state)
        return x + self._perceptron(normalized, states), states[:, -1]
