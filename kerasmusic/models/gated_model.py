"""GatedNoteModel: gated linear recurrences that know what the keys are doing."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras
import numpy as np
from keras import KerasTensor, initializers, layers, ops

from kerasmusic.codec import FIELDS
from kerasmusic.models.keyboard import SIZE as KEYBOARD_SIZE
from kerasmusic.models.keyboard import Keyboard
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import rows
from kerasmusic.models.note_model import NoteModel, log_prob_of
from kerasmusic.models.sampling import controls_by_field, draw

EPSILON = 1e-6
# Adam's learning rate as a share of Muon's.
ADAM_SHARE = 0.3


def rms_normalize(x: KerasTensor) -> KerasTensor:
    """Scales the last axis to a root mean square of 1 (Zhang and Sennrich, 2019), without weights of its own."""
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + EPSILON)


@keras.saving.register_keras_serializable("kerasmusic")
class RecurrentBlock(layers.Layer):
    """A residual block of a gated linear recurrence and a perceptron, side by side.

    One matrix makes from the normalised input x a decay a, a candidate c, an output gate g and the perceptron's hidden
    layer m; the recurrence is h = a * h + (1 - a) * c; a second matrix takes (h * g, relu(m)) back to x's width. As in
    minGRU (Feng et al., 2024) the gates see only x, so that a whole sequence is one scan; running perceptron and
    recurrence side by side (Wang and Komatsuzaki, 2021) makes it two matrices where a stack would need four.

    Args:
        width: of the input, the output and the recurrence's state.
        hidden: units of the perceptron.
    """

    def __init__(self, width: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden = width, hidden
        self.project = layers.Dense(3 * width + hidden, bias_initializer=self._initial_bias, name="project")
        self.output_dense = layers.Dense(width, kernel_initializer=initializers.VarianceScaling(0.3), name="output")

    def build(self, input_shape: Any) -> None:
        self.project.build((None, self.width))
        self.output_dense.build((None, self.width + self.hidden))
        super().build(input_shape)

    def _initial_bias(self, shape: Any, dtype: Any = None) -> KerasTensor:
        # Memories of 2 to 500 notes to begin with: sigmoid(bias) = 1 - 1 / notes.
        notes = ops.exp(ops.linspace(math.log(2.0), math.log(500.0), self.width))
        rest = ops.zeros((shape[0] - self.width,))
        return ops.cast(ops.concatenate([ops.log(notes - 1.0), rest]), dtype or "float32")

    def _project(self, x: KerasTensor) -> tuple[KerasTensor, ...]:
        gates, candidate, hidden = ops.split(self.project(rms_normalize(x)), [2 * self.width, 3 * self.width], axis=-1)
        decay, gate = ops.split(ops.sigmoid(gates), 2, axis=-1)
        return decay, gate, candidate, hidden

    def _combine(self, x: KerasTensor, state: KerasTensor, gate: KerasTensor, hidden: KerasTensor) -> KerasTensor:
        return x + self.output_dense(ops.concatenate([state * gate, ops.relu(hidden)], axis=-1))

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """One note: x and state float `[batch, width]` to the output and the new state, of the same shape."""
        decay, gate, candidate, hidden = self._project(x)
        state = candidate + decay * (state - candidate)
        return self._combine(x, state, gate, hidden), state

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """A sequence: x float `[batch, T, width]`, state `[batch, width]` to the outputs and the last state."""
        decay, gate, candidate, hidden = self._project(x)
        states = linear_recurrence(decay, (1.0 - decay) * candidate, state)
        return self._combine(x, states, gate, hidden), states[:, -1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "hidden": self.hidden}


@keras.saving.register_keras_serializable("kerasmusic")
class GatedNoteModel(NoteModel):
    """Embedded fields and keys, a trunk of recurrent blocks, and four heads that draw one field after another.

    Args:
        width: of the trunk.
        hidden: units of the perceptron in each block.
        depth: how many blocks.
        codec, preset: see `NoteModel`.
    """

    learning_rate: ClassVar[float] = 1e-2

    def __init__(self, width: int, hidden: int, depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden, self.depth = width, hidden, depth
        sizes = self.codec.sizes
        features = 2 * KEYBOARD_SIZE
        self.keyboard = Keyboard(self.codec)
        self.offsets = np.array(self.codec.offsets, "int32")
        self.embedding = _built(layers.Embedding(self.codec.size, width, name="embedding"), None)
        self.keys_before = _built(layers.Dense(width, name="keys_before"), features)
        self.blocks = [_built(RecurrentBlock(width, hidden, name=f"block_{index}"), width) for index in range(depth)]
        self.trunk_to_heads = _built(layers.Dense(width, use_bias=False, name="trunk_to_heads"), width)
        self.keys_now = _built(layers.Dense(width, name="keys_now"), features)
        # What a head knows of the fields drawn before it; velocity is the last.
        self.drawn = [
            _built(layers.Embedding(size, width, name=f"drawn_{field}"), None)
            for field, size in zip(FIELDS[:3], sizes[:3], strict=True)
        ]
        self.heads = [
            _built(layers.Dense(size, name=f"head_{field}"), width) for field, size in zip(FIELDS, sizes, strict=True)
        ]
        self.built = True

    @property
    def state_size(self) -> int:
        return KEYBOARD_SIZE + self.depth * self.width

    def make_optimizer(self, learning_rate: float, weight_decay: float, clip: float) -> keras.optimizers.Optimizer:
        """Muon (Jordan et al., 2024; Liu et al., 2025) for the matrices between layers, Adam for all else.

        Muon makes the singular values of a matrix's update alike. At equal notes seen it is far ahead of Adam alone.
        """
        return keras.optimizers.Muon(
            learning_rate,
            adam_lr_ratio=ADAM_SHARE,
            weight_decay=weight_decay,
            # Keras multiplies it by Muon's learning rate.
            adam_weight_decay=ADAM_SHARE * weight_decay,
            global_clipnorm=clip,
            exclude_layers=["head_"],
        )

    def step(self, previous, given, state, uniform, temperature, min_p, bias):  # type: ignore[no-untyped-def]
        keyboard, *memories = ops.split(
            state, [KEYBOARD_SIZE + index * self.width for index in range(self.depth)], axis=-1
        )
        keyboard = self.keyboard.after(keyboard, previous)
        x = self._embed(previous) + self.keys_before(self.keyboard.features(keyboard))
        for index, block in enumerate(self.blocks):
            x, memories[index] = block.step(x, memories[index])
        x = rms_normalize(x)

        controls = controls_by_field(given, uniform, temperature, min_p, self.split_fields(bias))
        values, log_probs = [], []
        context = x
        for index, head in enumerate(self.heads):
            value, log_prob = draw(head(context if index == 0 else ops.relu(context)), controls[index])
            values.append(value)
            log_probs.append(log_prob)
            if index == 0:
                now = self.keyboard.features(self.keyboard.later(keyboard, value))
                context = self.trunk_to_heads(x) + self.keys_now(now)
            if index < len(self.drawn):
                context = context + ops.reshape(rows(self.drawn[index].embeddings, value), (-1, self.width))
        return (
            ops.concatenate(values, axis=-1),
            ops.concatenate(log_probs, axis=-1),
            ops.concatenate([keyboard, *memories], axis=-1),
        )

    def score(self, notes: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        keyboard, *memories = ops.split(
            state, [KEYBOARD_SIZE + index * self.width for index in range(self.depth)], axis=-1
        )
        previous, now = notes[:, :-1], notes[:, 1:]
        keyboards, keyboard = self.keyboard.sequence(keyboard, previous)
        x = self._embed(previous) + self.keys_before(self.keyboard.features(keyboards))
        for index, block in enumerate(self.blocks):
            x, memories[index] = block(x, memories[index])
        x = rms_normalize(x)
        later = self.keyboard.features(self.keyboard.later(keyboards, now[..., :1]))
        context = self.trunk_to_heads(x) + self.keys_now(later)
        log_probs = [log_prob_of(self.heads[0](x), now[..., 0])]
        for index, drawn in enumerate(self.drawn):
            context = context + rows(drawn.embeddings, now[..., index])
            log_probs.append(log_prob_of(self.heads[index + 1](ops.relu(context)), now[..., index + 1]))
        return ops.stack(log_probs, axis=-1), ops.concatenate([keyboard, *memories], axis=-1)

    def _embed(self, notes: KerasTensor) -> KerasTensor:
        return ops.sum(rows(self.embedding.embeddings, notes + self.offsets), axis=-2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "hidden": self.hidden, "depth": self.depth}


def _built(layer: layers.Layer, inputs: int | None) -> Any:
    layer.build((None, inputs) if inputs else (None,))
    return layer
