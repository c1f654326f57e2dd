"""ExactNoteModel: `GatedNoteModel` with int8 weights, in arithmetic that every runtime computes to the same bit."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS
from kerasmusic.models.choosing import Chooser
from kerasmusic.models.exact_layers import (
    LARGEST_CODE,
    LOWEST,
    ExactBlock,
    ExactDense,
    ExactEmbedding,
    ExactNorm,
    positive_codes,
    weight_codes,
    with_end,
    with_ends,
)
from kerasmusic.models.exact_sampling import GRID, ExactDraws
from kerasmusic.models.keyboard import HORIZON, KeyboardState
from kerasmusic.models.keyboard_model import KeyboardModel, RunBlock
from kerasmusic.models.lookup import Table, WholeFunction, floored, value_of
from kerasmusic.models.note_model import StepInputs
from kerasmusic.models.repeats import ECHO_FIELDS, Echo

# Units of the bonus on durations whose note-off coincides with a scheduled one to a nat, and of the gate on it to 1.
BONUS_UNITS, GATE_UNITS = 64.0, 256.0
# The largest gate on the echo's logits, in its units: the product with the sum of four codes, each times an agreement,
# stays exact.
LARGEST_ECHO_GATE = 2048.0


class ExactTerms(NamedTuple):
    """The style's lanes beside the keyboard's codes, and the echo's terms of the vectors and of each field's logits."""

    style: KerasTensor | None
    trunk: KerasTensor | None
    hidden: KerasTensor | None
    logits: list[KerasTensor]


@keras.saving.register_keras_serializable("kerasmusic")
class ExactNoteModel(KeyboardModel[ExactBlock, ExactTerms]):
    """The same layers as `GatedNoteModel`, in whole numbers; `kerasmusic.export.quantizing` makes one from the other.

    Its notes and its state are the same to the bit on every backend and runtime. `score` gives `step`'s very numbers,
    and trains the weights on with straight-through gradients. Its style is signed codes.

    Args:
        width, hidden, depth, memory, style_size, styles: see `KeyboardModel`.
        codec, preset, record: see `NoteModel`.
    """

    whole_style: ClassVar[bool] = True

    def __init__(self, width: int, hidden: int, depth: int, memory: int = 0, **kwargs: Any) -> None:
        super().__init__(width, hidden, depth, memory, **kwargs)
        style_size = self.style_size
        sizes = self.codec.sizes
        self.roots = roots_of(int(self.codec.duration_ticks.max()))
        # The style's codes are lanes beside those of the keyboard.
        keys = {"inputs": sum(self.keyboard.sizes) + style_size, "ends": 1, "shifted": style_size}
        self.embedding = ExactEmbedding(self.codec.size, width, name="embedding")
        self.keyboard_before = ExactDense(units=width, name="keyboard_before", **keys)
        self.blocks = [ExactBlock(width, hidden, name=f"block_{index}") for index in range(depth)]
        self.norm = ExactNorm(width, name="norm")
        self.trunk_to_heads = ExactDense(width, width, name="trunk_to_heads")
        self.keyboard_now = ExactDense(units=width, name="keyboard_now", **keys)
        self.drawn = [
            ExactEmbedding(size, width, name=f"drawn_{field}")
            for field, size in zip(FIELDS[:-1], sizes[:-1], strict=True)
        ]
        # From a unit of the heads' hidden vector to one of its codes.
        self.hidden_codes = [
            self.add_weight(shape=(1, width), name=f"hidden_code_{field}", initializer="ones", trainable=False)
            for field in FIELDS[1:]
        ]
        self.heads = [
            ExactDense(width, size, ends=1 if index else 2, name=f"head_{field}")
            for index, (field, size) in enumerate(zip(FIELDS, sizes, strict=True))
        ]
        self.due_to_duration = ExactDense(HORIZON, sizes.duration, ends=1, name="head_due_to_duration")
        self.due_counts = ExactDense(width, 1, ends=1, name="head_due_counts")
        if memory:
            self.echo_counts = ExactDense(width, len(FIELDS), name="head_echo_counts")
            self.echo = ExactEmbedding(self.codec.size, 2 * width + self.codec.size, name="echo")
            # From the product of a code and an agreement to a unit of the trunk and of the hidden vector, and from that
            # with a gate to a unit of a logit.
            ones = {"initializer": "ones", "trainable": False}
            self.echo_units = self.add_weight(shape=(1, 2 * width), name="echo_units", **ones)
            self.echo_logit_units = self.add_weight(shape=(1, self.codec.size), name="echo_logit_units", **ones)
            self.echo_offsets = np.array([[getattr(self.codec.offsets, field) for field in ECHO_FIELDS]], "int32")
        self.built = True

    def _style_table(self) -> KerasTensor:
        return weight_codes(self.styles.embeddings)

    def _terms(self, echo: Echo | None, style: KerasTensor | None) -> ExactTerms:
        if style is not None:
            style = style - LOWEST
        if echo is None:
            return ExactTerms(style, None, None, [])
        codes = ops.sum(self.echo(echo.note + self.echo_offsets), axis=-2) * echo.agreement
        vectors, *logits = ops.split(codes, [2 * self.width + offset for offset in self.codec.offsets], axis=-1)
        trunk, hidden = ops.split(vectors * self.echo_units, 2, axis=-1)
        return ExactTerms(style, trunk, hidden, logits)

    def _trunk(
        self,
        previous: KerasTensor,
        keyboard: KeyboardState,
        terms: ExactTerms,
        states: list[KerasTensor],
        run: RunBlock[ExactBlock],
    ) -> tuple[KerasTensor, list[KerasTensor]]:
        x = ops.sum(self.embedding(previous + self.offsets), axis=-2)
        x = x + self.keyboard_before(self._keyboard_codes(keyboard, terms.style))
        if terms.trunk is not None:
            x = x + terms.trunk
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = run(block, x, state)
            after.append(state)
        return x, after

    def _heads(self, x: KerasTensor, terms: ExactTerms, keyboard: KeyboardState, choose: Chooser) -> KeyboardState:
        normalized = with_ends(self.norm(x))
        hidden = self.trunk_to_heads(normalized)
        first = self.heads[0](normalized)
        echo: list[KerasTensor] = []
        if terms.logits:
            echo = self._echo_logits(terms.logits, self.echo_counts(normalized))
            first = first + echo[0]
        value = choose(0, first)
        keyboard = self.keyboard.advance(keyboard, value)
        hidden = hidden + self.keyboard_now(self._keyboard_codes(keyboard, terms.style))
        if terms.hidden is not None:
            hidden = hidden + terms.hidden
        for index, field in enumerate(FIELDS[1:], start=1):
            hidden = ops.relu(hidden + self.drawn[index - 1](value))
            codes = with_end(positive_codes(hidden * self.hidden_codes[index - 1]))
            logits = self.heads[index](codes)
            if field == "duration":
                bonus = self.due_to_duration(with_end(keyboard.due)) * self.due_counts(codes)
                logits = logits + floored(bonus * (GRID / (BONUS_UNITS * GATE_UNITS)))
            if echo:
                logits = logits + echo[index]
            value = choose(index, logits)
        return keyboard

    def _echo_logits(self, logits: list[KerasTensor], gates: KerasTensor) -> list[KerasTensor]:
        """The echo's addition to each field's logits, in units of the grid."""
        clipped = ops.clip(gates, -LARGEST_ECHO_GATE, LARGEST_ECHO_GATE)
        units = ops.split(self.echo_logit_units, list(self.codec.offsets)[1:], axis=-1)
        gates = ops.split(clipped, len(FIELDS), axis=-1)
        return [floored(each * gate * unit) for each, gate, unit in zip(logits, gates, units, strict=True)]

    def _keyboard_codes(self, keyboard: KeyboardState, style: KerasTensor | None) -> KerasTensor:
        """The codes of the roots of the keys' ticks, those of the note-offs due, and the style's."""
        parts: list[Table] = [value_of(self.roots, keyboard.ticks), keyboard.due]
        if self.style_size:
            lanes = np.full((1, self.style_size), -LOWEST, "float32") if style is None else style
            # The style of a sequence is the same for all its notes.
            if lanes.shape[:-1] != keyboard.due.shape[:-1]:
                lanes = ops.broadcast_to(lanes, (*ops.shape(keyboard.due)[:-1], self.style_size))
            parts.append(lanes)
        return with_end(*parts)

    def _drawing(self, inputs: StepInputs) -> ExactDraws:
        return ExactDraws(inputs, self.codec)

    def _in_nats(self, choose: Chooser) -> Chooser:
        return lambda index, logits: choose(index, logits * (1.0 / GRID))


def roots_of(longest: int) -> WholeFunction:
    """The codes of the square roots of ticks up to `longest`, on the scale of many that has the largest tolerance."""
    largest = LARGEST_CODE / np.sqrt(longest)
    scales = [WholeFunction("sqrt", 1.0, float(np.float32(largest * (1 - i / 2**16))), 0, longest) for i in range(256)]
    return max(scales, key=lambda each: each.tolerance)
