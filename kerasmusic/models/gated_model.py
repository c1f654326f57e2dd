"""GatedNoteModel: a trunk of gated linear recurrences whose inputs include the state of the keyboard."""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from kerasmusic.codec import FIELDS
from kerasmusic.errors import ArgumentError
from kerasmusic.models.blocks import Block, Dense, Embedding, find_block, product, scaled_dense, unit
from kerasmusic.models.choosing import Chooser, Draws
from kerasmusic.models.keyboard import DUE, HORIZON, KeyboardState
from kerasmusic.models.keyboard_model import KeyboardModel, RunBlock
from kerasmusic.models.lookup import columns, rows
from kerasmusic.models.note_model import StepInputs
from kerasmusic.models.repeats import ECHO_FIELDS, Echo

Layer = TypeVar("Layer", bound=layers.Layer)

# The keyboard's features are square roots of ticks: a key with 10 s left, 1,000 ticks, has about 32.
KEYBOARD_SCALE = 1.0 / DUE
# From this width on, Muon's update, whose cost does not depend on the batch size, would take over half of a training
# step with a small batch.
WIDE = 512
# Adam's learning rate as a share of Muon's.
ADAM_SHARE = 0.3


class Terms(NamedTuple):
    """The terms of the echo and the style in the trunk's input, the heads' hidden vector and the logits."""

    trunk: list[KerasTensor]
    hidden: list[KerasTensor]
    logits: KerasTensor | None


def added(*terms: KerasTensor) -> KerasTensor:
    """The sum of one or more terms."""
    return functools.reduce(operator.add, terms)


@keras.saving.register_keras_serializable("kerasmusic")
class GatedNoteModel(KeyboardModel[Block, Terms]):
    """Embeddings of the fields and the keyboard, a trunk of recurrent blocks, and four autoregressive heads.

    Each head is conditioned on the fields before its own.

    Args:
        width: the width of the trunk.
        hidden: the number of units in each block's perceptron.
        depth: the number of blocks.
        memory: the number of past notes that `kerasmusic.models.repeats` searches; 0 disables it.
        block: the kind of block, a name registered by `blocks.register_block`.
        style_size, styles: see `KeyboardModel`.
        codec, preset: see `NoteModel`.
    """

    learning_rate: ClassVar[float] = 1e-2

    def __init__(
        self, width: int, hidden: int, depth: int, memory: int = 0, block: str = "recurrent", **kwargs: Any
    ) -> None:
        super().__init__(width, hidden, depth, memory, **kwargs)
        self.block = block
        if width >= WIDE:
            self.batch_size = 32
        sizes = self.codec.sizes
        self.embedding = _built(Embedding(self.codec.size, width, name="embedding"), None)
        self.keyboard_before = _built(Dense(width, name="keyboard_before"), sum(self.keyboard.sizes))
        make_block = find_block(block)
        self.blocks: list[Block] = [
            _built(make_block(width, hidden, name=f"block_{index}"), width) for index in range(depth)
        ]
        self.trunk_to_heads = _built(Dense(width, name="trunk_to_heads"), width)
        self.keyboard_now = _built(Dense(width, name="keyboard_now"), sum(self.keyboard.sizes))
        # Embeddings of the fields already drawn, as inputs of the following heads; no head follows the last field.
        self.drawn = [
            _built(Embedding(size, width, name=f"drawn_{field}"), None)
            for field, size in zip(FIELDS[:-1], sizes[:-1], strict=True)
        ]
        # The first head reads the trunk's output; the others read a separate hidden vector.
        self.heads = [
            _built(Dense(size, name=f"head_{field}"), width) for field, size in zip(FIELDS, sizes, strict=True)
        ]
        # A logit bonus for durations whose note-off coincides with a scheduled one, and a learned gate on the bonus.
        self.due_to_duration = _built(
            Dense(sizes.duration, use_bias=False, kernel_initializer=self._initial_due, name="head_due_to_duration"),
            HORIZON,
        )
        self.due_counts = _built(Dense(1, bias_initializer="ones", name="head_due_counts"), width)
        if self.style_size:
            # At first, a style changes nothing.
            no_bias = {"use_bias": False, "kernel_initializer": "zeros"}
            self.style_trunk = _built(Dense(width, name="style_trunk", **no_bias), self.style_size)
            self.style_hidden = _built(Dense(width, name="style_hidden", **no_bias), self.style_size)
        if memory:
            # Embeds the echo's fields as its three `Terms`, and a learned gate on the logits among them.
            self.echo = _built(Embedding(self.codec.size, 2 * width + self.codec.size, name="echo"), None)
            self.echo_counts = _built(Dense(len(FIELDS), bias_initializer="ones", name="head_echo_counts"), width)
            self.echo_offsets = np.array([[getattr(self.codec.offsets, field) for field in ECHO_FIELDS]], "int32")
            self.field = np.repeat(np.arange(len(FIELDS), dtype="int32"), sizes)
        self.built = True

    def make_optimizer(self, learning_rate: float, weight_decay: float, clip: float) -> keras.optimizers.Optimizer:
        """Muon (Jordan et al., 2024; Liu et al., 2025) for the hidden weight matrices, Adam for all other weights.

        Muon orthogonalises the update of each matrix. After the same number of notes it is far ahead of Adam alone.
        """
        to_logits = [*self.heads, self.due_to_duration, self.due_counts]
        if self.context_notes:
            to_logits.append(self.echo_counts)
        return keras.optimizers.Muon(
            learning_rate,
            adam_lr_ratio=ADAM_SHARE,
            weight_decay=weight_decay,
            # Keras multiplies this by Muon's learning rate, not by Adam's.
            adam_weight_decay=ADAM_SHARE * weight_decay,
            global_clipnorm=clip,
            exclude_layers=[rf"(^|/){re.escape(layer.name)}/" for layer in to_logits],
        )

    def _trunk(
        self,
        previous: KerasTensor,
        keyboard: KeyboardState,
        terms: Terms,
        states: list[KerasTensor],
        run: RunBlock[Block],
    ) -> tuple[KerasTensor, list[KerasTensor]]:
        x = added(self._embed(previous), self._project_keyboard(self.keyboard_before, keyboard), *terms.trunk)
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = (ops.cast(part, "float32") for part in run(block, x, state))
            after.append(state)
        return x, after

    def _heads(self, x: KerasTensor, terms: Terms, keyboard: KeyboardState, choose: Chooser) -> KeyboardState:
        first, hidden, echo_logits = self._first_logits(x, terms)
        value = choose(0, first)
        keyboard = self.keyboard.advance(keyboard, value)
        hidden = added(hidden, self._project_keyboard(self.keyboard_now, keyboard), *terms.hidden)
        for index, field in enumerate(FIELDS[1:], start=1):
            hidden = ops.relu(hidden + rows(self.drawn[index - 1].embeddings, value))
            value = choose(index, added(self._logits(field, hidden, keyboard), *echo_logits[index]))
        return keyboard

    def _drawing(self, inputs: StepInputs) -> Draws:
        return Draws(inputs, self.codec)

    def _project_keyboard(self, layer: Dense, keyboard: KeyboardState) -> KerasTensor:
        """Applies a dense layer to the square roots of the keys' remaining ticks and to the note-offs due."""
        features = ops.concatenate([ops.sqrt(keyboard.ticks), keyboard.due], axis=-1)
        return scaled_dense(layer, features, KEYBOARD_SCALE)

    def _logits(self, field: str, hidden: KerasTensor, keyboard: KeyboardState) -> KerasTensor:
        logits = self.heads[FIELDS.index(field)](hidden)
        if field == "duration":
            layer = self.due_to_duration
            bonus = product(keyboard.due, layer.kernel * KEYBOARD_SCALE, layer.compute_dtype)
            logits = logits + bonus * self.due_counts(hidden)
        return logits

    def _initial_due(self, shape: Sequence[int], dtype: str | None = None) -> KerasTensor:
        # Initially, durations that end at a scheduled note-off are e**2 times as likely.
        coincides = self.keyboard.coming[:, None] == self.codec.duration_ticks
        return ops.convert_to_tensor(2.0 * coincides, dtype or "float32")

    def _terms(self, echo: Echo | None, style: KerasTensor | None) -> Terms:
        # Those of an echo are scaled by the strength of its match.
        terms = Terms([], [], None)
        if style is not None:
            terms.trunk.append(self.style_trunk(style))
            terms.hidden.append(self.style_hidden(style))
        if echo is None:
            return terms
        sums = ops.sum(rows(self.echo.embeddings, echo.note + self.echo_offsets), axis=-2) * echo.strength
        trunk, hidden, logits = ops.split(sums, [self.width, 2 * self.width], axis=-1)
        return Terms([*terms.trunk, trunk], [*terms.hidden, hidden], logits)

    def _first_logits(self, x: KerasTensor, terms: Terms) -> tuple[KerasTensor, KerasTensor, list[list[KerasTensor]]]:
        """The first field's logits, the other heads' hidden vector, and the echo's addition to each field's logits."""
        normalized, scale = unit(x), math.sqrt(self.width)
        first, hidden = (scaled_dense(layer, normalized, scale) for layer in (self.heads[0], self.trunk_to_heads))
        if terms.logits is None:
            return first, hidden, [[] for _ in FIELDS]
        # The trunk gates the echo's logits, one gate per field.
        gates = columns(scaled_dense(self.echo_counts, normalized, scale), self.field)
        echo_logits = ops.split(terms.logits * gates, list(self.codec.offsets)[1:], axis=-1)
        return first + echo_logits[0], hidden, [[each] for each in echo_logits]

    def _embed(self, notes: KerasTensor) -> KerasTensor:
        return ops.sum(rows(self.embedding.embeddings, notes + self.offsets), axis=-2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block": self.block}


def _built(layer: Layer, inputs: int | None) -> Layer:
    layer.build((None, inputs) if inputs else (None,))
    # Keras would build the rest later, and save and load the model without those weights.
    for inner in layer._flatten_layers():
        if not inner.built:
            kind = type(layer).__name__
            raise ArgumentError(f"{kind}: does not build its layer {inner.name}; do so in its method `build`")
    return layer
