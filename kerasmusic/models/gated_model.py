"""GatedNoteModel: gated linear recurrences that know what the keys are doing."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import keras
import numpy as np
from keras import KerasTensor, initializers, layers, ops

from kerasmusic.codec import FIELDS
from kerasmusic.models.keyboard import DUE, HORIZON, Keyboard, KeyboardState
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import columns, entries, rows
from kerasmusic.models.note_model import NoteModel, log_prob_of
from kerasmusic.models.repeats import ECHO_FIELDS, Echo, Repeats, RepeatsState
from kerasmusic.models.sampling import controls_by_field, draw

Layer = TypeVar("Layer", bound=layers.Layer)

EPSILON = 1e-6
# A key that sounds for 10 s, 1,000 ticks, has a square root of 32.
KEYBOARD_SCALE = 1.0 / DUE
# From here on Muon's own work, which is the same for a batch of any size, would be more than half of a small batch's.
WIDE = 512
# Adam's learning rate as a share of Muon's.
ADAM_SHARE = 0.3


class Echoed(NamedTuple):
    """What an echo adds to the trunk's input, to the later heads' context, and to the logits of all fields."""

    before: KerasTensor | None
    now: KerasTensor | None
    logits: KerasTensor | None


def added(*terms: KerasTensor | None) -> KerasTensor:
    """The sum of the terms that are there."""
    return functools.reduce(operator.add, [term for term in terms if term is not None])


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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.decay.build((None, self.width))
        self.candidate.build((None, self.width))
        self.perceptron.build((None, 2 * self.width))
        self.output_dense.build((None, self.hidden))
        super().build(input_shape)

    def _initial_bias(self, shape: Sequence[int], dtype: str | None = None) -> KerasTensor:
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
        memory: how many notes are kept to be compared with (see `kerasmusic.models.repeats`); 0 does without.
        codec, preset: see `NoteModel`.
    """

    learning_rate: ClassVar[float] = 1e-2

    def __init__(self, width: int, hidden: int, depth: int, memory: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden, self.depth = width, hidden, depth
        self.context = memory
        self.repeats = Repeats(memory)
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
        # What a head knows of the fields drawn before it: of all but the last.
        self.drawn = [
            _built(layers.Embedding(size, width, name=f"drawn_{field}"), None)
            for field, size in zip(FIELDS[:-1], sizes[:-1], strict=True)
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
            HORIZON,
        )
        self.due_counts = _built(layers.Dense(1, bias_initializer="ones", name="head_due_counts"), width)
        if memory:
            # What an echo's fields add to the trunk's input, to the context of the later heads, and to all logits.
            self.echo = _built(layers.Embedding(self.codec.size, 2 * width + self.codec.size, name="echo"), None)
            self.echo_counts = _built(
                layers.Dense(len(FIELDS), bias_initializer="ones", name="head_echo_counts"), width
            )
            self.echo_offsets = np.array([[getattr(self.codec.offsets, field) for field in ECHO_FIELDS]], "int32")
            self.field = np.repeat(np.arange(len(FIELDS), dtype="int32"), sizes)
        self.built = True

    @property
    def state_size(self) -> int:
        return sum(self._state_sizes)

    @property
    def _state_sizes(self) -> list[int]:
        repeats = self.repeats.sizes if self.context else ()
        return [*self.keyboard.sizes, *repeats, *[self.width] * self.depth]

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

    def step(
        self,
        previous: KerasTensor,
        given: KerasTensor,
        state: KerasTensor,
        uniform: KerasTensor,
        temperature: KerasTensor,
        min_p: KerasTensor,
        bias: KerasTensor,
    ) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        keyboard, repeats, states = self._split_state(state)
        keyboard = self.keyboard.struck(keyboard, previous)
        echo = None
        if repeats:
            repeats, echo = self.repeats.struck(repeats, previous)
        echoed = self._hear_echo(echo)
        x, states = self._trunk(previous, keyboard, echoed, states, RecurrentBlock.step)

        controls = controls_by_field(given, uniform, temperature, min_p, bias, self.codec.sizes)
        logits: list[KerasTensor] = []
        values: list[KerasTensor] = []

        def choose(index: int, of_field: KerasTensor) -> KerasTensor:
            logits.append(of_field)
            values.append(draw(of_field, controls[index]))
            return values[-1]

        keyboard = self._heads(x, echoed, keyboard, choose)
        note = ops.stack(values, axis=-1)
        # The logarithm of four numbers, not of all; a probability below float32's least is 0 here.
        probabilities = ops.concatenate([ops.softmax(each, axis=-1) for each in logits], axis=-1)
        log_prob = ops.log(entries(probabilities, note + self.offsets))
        return note, log_prob, ops.concatenate([*keyboard, *repeats, *states], axis=-1)

    def score(self, notes: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        keyboard, repeats, states = self._split_state(state)
        previous, now = notes[:, :-1], notes[:, 1:]
        keyboards = self.keyboard.sequence(keyboard, previous)
        echo = None
        if repeats:
            repeats, echo = self.repeats.sequence(repeats, previous)
        echoed = self._hear_echo(echo)
        x, states = self._trunk(previous, keyboards, echoed, states, RecurrentBlock.__call__)

        log_probs: list[KerasTensor] = []

        def choose(index: int, of_field: KerasTensor) -> KerasTensor:
            log_probs.append(log_prob_of(of_field, now[..., index]))
            return now[..., index]

        keyboards = self._heads(x, echoed, keyboards, choose)
        last = [part[:, -1] for part in keyboards]
        return ops.stack(log_probs, axis=-1), ops.concatenate([*last, *repeats, *states], axis=-1)

    def _trunk(
        self,
        previous: KerasTensor,
        keyboard: KeyboardState,
        echoed: Echoed,
        states: list[KerasTensor],
        run: Callable[[RecurrentBlock, KerasTensor, KerasTensor], tuple[KerasTensor, KerasTensor]],
    ) -> tuple[KerasTensor, list[KerasTensor]]:
        """The trunk's output and the blocks' new states, for one note or a sequence as `run` runs a block."""
        x = added(self._embed(previous), self._hear(self.keyboard_before, keyboard), echoed.before)
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = run(block, x, state)
            after.append(state)
        return x, after

    def _heads(
        self,
        x: KerasTensor,
        echoed: Echoed,
        keyboard: KeyboardState,
        choose: Callable[[int, KerasTensor], KerasTensor],
    ) -> KeyboardState:
        """Asks for the value of each field in turn, and returns the keyboard at the new note's onset.

        Args:
            x: the trunk's output.
            echoed: the echo's part in it.
            keyboard: the keys at the onset of the note before.
            choose: takes a field's index and its logits, and returns its value: drawn in the step, the label in a
                sequence.
        """
        first, context, expected = self._first_head_and_context(x, echoed)
        value = choose(0, first)
        keyboard = self.keyboard.later(keyboard, value)
        context = added(context, self._hear(self.keyboard_now, keyboard), echoed.now)
        for index, field in enumerate(FIELDS[1:], start=1):
            context = ops.relu(context + rows(self.drawn[index - 1].embeddings, value))
            value = choose(index, added(self._logits(field, context, keyboard), expected[index]))
        return keyboard

    def state_after(self, context: KerasTensor) -> KerasTensor:
        silence = super().state_after(context)
        if not self.context:
            return silence
        keyboard, _, memories = self._split_state(silence)
        repeats = [ops.stop_gradient(part) for part in self.repeats.after(context)]
        return ops.concatenate([*keyboard, *repeats, *memories], axis=-1)

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

    def _initial_due(self, shape: Sequence[int], dtype: str | None = None) -> KerasTensor:
        # An end that is due makes the duration that ends there e**2 times likelier to begin with.
        ends_there = self.keyboard.coming[:, None] == self.codec.duration_ticks
        return ops.convert_to_tensor(2.0 * ends_there, dtype or "float32")

    def _hear_echo(self, echo: Echo | None) -> Echoed:
        """What an echo adds, as strong as the agreement is."""
        if echo is None:
            return Echoed(None, None, None)
        sums = ops.sum(rows(self.echo.embeddings, echo.note + self.echo_offsets), axis=-2) * echo.strength
        return Echoed(*ops.split(sums, [self.width, 2 * self.width], axis=-1))

    def _first_head_and_context(
        self, x: KerasTensor, echoed: Echoed
    ) -> tuple[KerasTensor, KerasTensor, list[KerasTensor | None]]:
        """The logits of the first field, what the other heads read, and what the echo adds to each field's logits."""
        normalized, scale = unit(x), math.sqrt(self.width)
        first, context = (scaled_dense(layer, normalized, scale) for layer in (self.heads[0], self.trunk_to_heads))
        if echoed.logits is None:
            return first, context, [None] * len(FIELDS)
        # How much of it counts is made of the trunk, field by field.
        counts = columns(scaled_dense(self.echo_counts, normalized, scale), self.field)
        expected = ops.split(echoed.logits * counts, list(self.codec.offsets)[1:], axis=-1)
        return first + expected[0], context, expected

    def _split_state(self, state: KerasTensor) -> tuple[KeyboardState, RepeatsState | tuple[()], list[KerasTensor]]:
        ticks, due, *parts = ops.split(state, np.cumsum(self._state_sizes)[:-1].tolist(), axis=-1)
        if not self.context:
            return KeyboardState(ticks, due), (), parts
        return KeyboardState(ticks, due), RepeatsState(*parts[:4]), parts[4:]

    def _embed(self, notes: KerasTensor) -> KerasTensor:
        return ops.sum(rows(self.embedding.embeddings, notes + self.offsets), axis=-2)

    def get_config(self) -> dict[str, Any]:
        sizes = {"width": self.width, "hidden": self.hidden, "depth": self.depth, "memory": self.context}
        return {**super().get_config(), **sizes}


def _built(layer: Layer, inputs: int | None) -> Layer:
    layer.build((None, inputs) if inputs else (None,))
    return layer
