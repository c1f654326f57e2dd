"""GatedNoteModel: gated linear recurrences that know what the keys are doing."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras
import numpy as np
from keras import KerasTensor, initializers, layers, ops

from kerasmusic.codec import FIELDS
from kerasmusic.models.keyboard import DUE, Keyboard, KeyboardState
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import entries, rows
from kerasmusic.models.note_model import NoteModel, log_prob_of
from kerasmusic.models.sampling import controls_by_field, draw

EPSILON = 1e-6
# A key that sounds for 10 s, 1,000 ticks, has a square root of 32.
KEYBOARD_SCALE = 1.0 / DUE
# From here on Muon's own work, which is the same for a batch of any size, would be more than half of a small batch's.
WIDE = 512
# Adam's learning rate as a share of Muon's.
ADAM_SHARE = 0.3


def unit(x: KerasTensor) -> KerasTensor:
    """Scales the last axis to a length of 1, which a device has as one operator."""
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + EPSILON)


def scaled_dense(layer: layers.Dense, inputs: KerasTensor, scale: float) -> KerasTensor:
    """A dense layer of its inputs times a scale, which is multiplied into the kernel, free in an exported graph."""
    return ops.add(ops.matmul(inputs, layer.kernel * scale), layer.bias)


@keras.saving.register_keras_serializable("kerasmusic")
class RecurrentBlock(layers.Layer):
    """A residual block: a gated linear recurrence, and a perceptron that sees the input and the recurrence's state.

    From the input x, normalised, come a decay a and a candidate c; the recurrence is h = a * h + (1 - a) * c, and the
    block adds a perceptron of (x, h) to its input. As in minGRU (Feng et al., 2024) the gate sees only x, so that a
    whole sequence is one scan. The input is scaled to a root mean square of 1 (Zhang and Sennrich, 2019) in two parts:
    to a length of 1, and by the square root of the width within the kernels. The state is kept at the former's scale.

    Args:
        width: of the input, the output and the recurrence's state.
        hidden: units of the perceptron.
    """

    def __init__(self, width: int, hidden: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden = width, hidden
        self.decay = layers.Dense(width, bias_initializer=self._initial_bias, name="decay")
        self.candidate = layers.Dense(width, use_bias=False, name="candidate")
        self.perceptron = layers.Dense(hidden, name="perceptron")
        self.output_dense = layers.Dense(width, kernel_initializer=initializers.VarianceScaling(0.3), name="output")

    def build(self, input_shape: Any) -> None:
        self.decay.build((None, self.width))
        self.candidate.build((None, self.width))
        self.perceptron.build((None, 2 * self.width))
        self.output_dense.build((None, self.hidden))
        super().build(input_shape)

    def _initial_bias(self, shape: Any, dtype: Any = None) -> KerasTensor:
        # Memories of 2 to 500 notes to begin with: sigmoid(bias) = 1 - 1 / notes.
        notes = ops.exp(ops.linspace(math.log(2.0), math.log(500.0), self.width))
        return ops.cast(ops.log(notes - 1.0), dtype or "float32")

    def _decay_and_candidate(self, x: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        return ops.sigmoid(scaled_dense(self.decay, x, math.sqrt(self.width))), self.candidate(x)

    def _perceptron(self, x: KerasTensor, state: KerasTensor) -> KerasTensor:
        both = ops.concatenate([x, state], axis=-1)
        return self.output_dense(ops.relu(scaled_dense(self.perceptron, both, math.sqrt(self.width))))

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """One note: x and state float `[batch, width]` to the output and the new state, of the same shape."""
        normalized = unit(x)
        decay, candidate = self._decay_and_candidate(normalized)
        state = candidate + decay * (state - candidate)
        return x + self._perceptron(normalized, state), state

    def call(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """A sequence: x float `[batch, T, width]`, state `[batch, width]` to the outputs and the last state."""
        normalized = unit(x)
        decay, candidate = self._decay_and_candidate(normalized)
        states = linear_recurrence(decay, (1.0 - decay) * candidate, state)
        return x + self._perceptron(normalized, states), states[:, -1]

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
        if width >= WIDE:
            self.batch_size = 32
        sizes = self.codec.sizes
        self.keyboard = Keyboard(self.codec)
        # With all its sides: a device spreads out what has fewer an element at a time.
        self.offsets = np.array([self.codec.offsets], "int32")
        self.embedding = _built(layers.Embedding(self.codec.size, width, name="embedding"), None)
        self.keyboard_before = _built(layers.Dense(width, name="keyboard_before"), sum(self.keyboard.sizes))
        self.blocks = [_built(RecurrentBlock(width, hidden, name=f"block_{index}"), width) for index in range(depth)]
        self.trunk_to_heads = _built(layers.Dense(width, name="trunk_to_heads"), width)
        self.keyboard_now = _built(layers.Dense(width, name="keyboard_now"), sum(self.keyboard.sizes))
        # What a head knows of the fields drawn before it; velocity is the last.
        self.drawn = [
            _built(layers.Embedding(size, width, name=f"drawn_{field}"), None)
            for field, size in zip(FIELDS[:3], sizes[:3], strict=True)
        ]
        # The first head reads the trunk, the others a context that the heads' own layers make.
        self.heads = [
            _built(layers.Dense(size, name=f"head_{field}"), width) for field, size in zip(FIELDS, sizes, strict=True)
        ]
        # What the ends that are due add to the logits of durations that end there too, and how much of it counts now.
        self.due_to_duration = _built(
            layers.Dense(
                sizes.duration, use_bias=False, kernel_initializer=self._initial_due, name="head_due_to_duration"
            ),
            self.keyboard.sizes.due,
        )
        self.due_counts = _built(layers.Dense(1, bias_initializer="ones", name="head_due_counts"), width)
        self.built = True

    @property
    def state_size(self) -> int:
        return sum(self.keyboard.sizes) + self.depth * self.width

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
        keyboard, memories = self._split_state(state)
        keyboard = self.keyboard.struck(keyboard, previous)
        x = self._embed(previous) + self._hear(self.keyboard_before, keyboard)
        for index, block in enumerate(self.blocks):
            x, memories[index] = block.step(x, memories[index])

        controls = controls_by_field(given, uniform, temperature, min_p, bias, self.codec.sizes)
        first, context = self._first_head_and_context(x)
        logits = [first]
        values = [draw(first, controls[0])]
        keyboard = self.keyboard.later(keyboard, values[0])
        context = context + self._hear(self.keyboard_now, keyboard)
        for index, field in enumerate(FIELDS[1:]):
            context = ops.relu(context + rows(self.drawn[index].embeddings, values[-1]))
            logits.append(self._logits(field, context, keyboard))
            values.append(draw(logits[-1], controls[index + 1]))
        note = ops.stack(values, axis=-1)
        # The logarithm of four numbers, not of all; a probability below float32's least is 0 here.
        probabilities = ops.concatenate([ops.softmax(each, axis=-1) for each in logits], axis=-1)
        log_prob = ops.log(entries(probabilities, note + self.offsets))
        return note, log_prob, ops.concatenate([*keyboard, *memories], axis=-1)

    def score(self, notes: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        keyboard, memories = self._split_state(state)
        previous, now = notes[:, :-1], notes[:, 1:]
        keyboards = self.keyboard.sequence(keyboard, previous)
        x = self._embed(previous) + self._hear(self.keyboard_before, keyboards)
        for index, block in enumerate(self.blocks):
            x, memories[index] = block(x, memories[index])
        first, context = self._first_head_and_context(x)
        log_probs = [log_prob_of(first, now[..., 0])]
        keyboards = self.keyboard.later(keyboards, now[..., 0])
        context = context + self._hear(self.keyboard_now, keyboards)
        for index, field in enumerate(FIELDS[1:]):
            context = ops.relu(context + rows(self.drawn[index].embeddings, now[..., index]))
            log_probs.append(log_prob_of(self._logits(field, context, keyboards), now[..., index + 1]))
        last = [part[:, -1] for part in keyboards]
        return ops.stack(log_probs, axis=-1), ops.concatenate([*last, *memories], axis=-1)

    def _hear(self, layer: layers.Dense, keyboard: KeyboardState) -> KerasTensor:
        """A layer of the square root of how long each key will sound, about 0 to 1, and of the ends that are due."""
        heard = ops.concatenate([ops.sqrt(keyboard.ticks), keyboard.due], axis=-1)
        return scaled_dense(layer, heard, KEYBOARD_SCALE)

    def _logits(self, field: str, context: KerasTensor, keyboard: KeyboardState) -> KerasTensor:
        logits = self.heads[FIELDS.index(field)](context)
        if field == "duration":
            ends_there = ops.matmul(keyboard.due, self.due_to_duration.kernel * KEYBOARD_SCALE)
            logits = logits + ends_there * self.due_counts(context)
        return logits

    def _initial_due(self, shape: Any, dtype: Any = None) -> KerasTensor:
        # An end that is due makes the duration that ends there e**2 times likelier to begin with.
        ends_there = self.keyboard.coming[:, None] == self.codec.duration_ticks
        return ops.convert_to_tensor(2.0 * ends_there, dtype or "float32")

    def _first_head_and_context(self, x: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        normalized, scale = unit(x), math.sqrt(self.width)
        first, context = (scaled_dense(layer, normalized, scale) for layer in (self.heads[0], self.trunk_to_heads))
        return first, context

    def _split_state(self, state: KerasTensor) -> tuple[KeyboardState, list[KerasTensor]]:
        ends = np.cumsum([*self.keyboard.sizes, *[self.width] * self.depth])
        ticks, due, *memories = ops.split(state, ends[:-1].tolist(), axis=-1)
        return KeyboardState(ticks, due), memories

    def _embed(self, notes: KerasTensor) -> KerasTensor:
        return ops.sum(rows(self.embedding.embeddings, notes + self.offsets), axis=-2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "hidden": self.hidden, "depth": self.depth}


def _built(layer: layers.Layer, inputs: int | None) -> Any:
    layer.build((None, inputs) if inputs else (None,))
    return layer
