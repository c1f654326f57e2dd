"""ExactNoteModel: `GatedNoteModel` with int8 weights, in arithmetic that every runtime computes to the same bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS, PITCHES
from kerasmusic.models.choosing import Chooser, Labels
from kerasmusic.models.exact_layers import (
    HIGHEST,
    LOWEST,
    ExactBlock,
    ExactDense,
    ExactEmbedding,
    ExactNorm,
    shifted_codes,
)
from kerasmusic.models.exact_sampling import GRID, ExactDraws
from kerasmusic.models.keyboard import HORIZON, Keyboard, KeyboardState
from kerasmusic.models.lookup import rounded, rows
from kerasmusic.models.note_model import NoteModel, StepInputs

# Units of the bonus on durations whose note-off coincides with a scheduled one, and of its gate, to a nat and to 1.
BONUS_UNITS, GATE_UNITS = 64.0, 256.0


@keras.saving.register_keras_serializable("kerasmusic")
class ExactNoteModel(NoteModel):
    """The same layers as `GatedNoteModel`, in whole numbers; `kerasmusic.models.quantizing` makes one from the other.

    Its notes and its state are the same to the bit on every backend and runtime. `score` gives `step`'s very numbers,
    and trains the weights on with straight-through gradients.

    Args:
        width, hidden, depth: see `GatedNoteModel`.
        codec, preset, record: see `NoteModel`.
    """

    def __init__(self, width: int, hidden: int, depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.hidden, self.depth = width, hidden, depth
        sizes = self.codec.sizes
        self.keyboard = Keyboard(self.codec)
        self.offsets = np.array([self.codec.offsets], "int32")
        longest = int(self.codec.duration_ticks.max())
        # The codes of square roots of ticks.
        self.root_unit = (HIGHEST - LOWEST) / np.sqrt(longest)
        roots = np.round(self.root_unit * np.sqrt(np.arange(longest + 1)))
        self.roots = (np.minimum(roots, HIGHEST - LOWEST) + LOWEST).astype(np.float32)
        keys = sum(self.keyboard.sizes)
        self.embedding = ExactEmbedding(self.codec.size, width, name="embedding")
        self.keyboard_before = ExactDense(keys, width, shifted=PITCHES, name="keyboard_before")
        self.blocks = [ExactBlock(width, hidden, name=f"block_{index}") for index in range(depth)]
        self.norm = ExactNorm(width, name="norm")
        self.trunk_to_heads = ExactDense(width, width, name="trunk_to_heads")
        self.keyboard_now = ExactDense(keys, width, shifted=PITCHES, name="keyboard_now")
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
            ExactDense(width, size, shifted=0 if index == 0 else width, name=f"head_{field}")
            for index, (field, size) in enumerate(zip(FIELDS, sizes, strict=True))
        ]
        self.due_to_duration = ExactDense(HORIZON, sizes.duration, name="head_due_to_duration")
        self.due_counts = ExactDense(width, 1, shifted=width, name="head_due_counts")
        self.built = True

    @property
    def state_size(self) -> int:
        return sum(self._state_sizes)

    @property
    def _state_sizes(self) -> list[int]:
        return [*self.keyboard.sizes, *[block.state_size for block in self.blocks]]

    def step(self, inputs: StepInputs) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        keyboard, states = self._split_state(inputs.state)
        keyboard = self.keyboard.note_on(keyboard, inputs.previous)
        x, states = self._trunk(inputs.previous, keyboard, states, lambda block, x, state: block.step(x, state))
        draws = ExactDraws(inputs, self.codec)
        keyboard = self._heads(x, keyboard, draws)
        return *draws.note_and_log_prob(), ops.concatenate([*keyboard, *states], axis=-1)

    def score(self, notes: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        keyboard, states = self._split_state(state)
        previous, now = notes[:, :-1], notes[:, 1:]
        keyboards = self.keyboard.scan(keyboard, previous)
        x, states = self._trunk(previous, keyboards, states, lambda block, x, state: block(x, state))
        labels = Labels(now)
        keyboards = self._heads(x, keyboards, lambda index, logits: labels(index, logits * (1.0 / GRID)))
        return labels.log_prob(), ops.concatenate([*[part[:, -1] for part in keyboards], *states], axis=-1)

    def _trunk(
        self,
        previous: KerasTensor,
        keyboard: KeyboardState,
        states: list[KerasTensor],
        run: Callable[[ExactBlock, KerasTensor, KerasTensor], tuple[KerasTensor, KerasTensor]],
    ) -> tuple[KerasTensor, list[KerasTensor]]:
        x = ops.sum(self.embedding(previous + self.offsets), axis=-2)
        x = x + self.keyboard_before(self._keyboard_codes(keyboard))
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = run(block, x, state)
            after.append(state)
        return x, after

    def _heads(self, x: KerasTensor, keyboard: KeyboardState, choose: Chooser) -> KeyboardState:
        """Computes each field's logits, in units of the grid; see `GatedNoteModel`."""
        normalized = self.norm(x)
        hidden = self.trunk_to_heads(normalized)
        value = choose(0, self.heads[0](normalized))
        keyboard = self.keyboard.advance(keyboard, value)
        hidden = hidden + self.keyboard_now(self._keyboard_codes(keyboard))
        for index, field in enumerate(FIELDS[1:], start=1):
            hidden = ops.relu(hidden + self.drawn[index - 1](value))
            codes = shifted_codes(hidden * self.hidden_codes[index - 1])
            logits = self.heads[index](codes)
            if field == "duration":
                bonus = self.due_to_duration(keyboard.due) * self.due_counts(codes)
                logits = logits + rounded(bonus * (GRID / (BONUS_UNITS * GATE_UNITS)))
            value = choose(index, logits)
        return keyboard

    def _keyboard_codes(self, keyboard: KeyboardState) -> KerasTensor:
        """The codes of the roots of the keys' ticks, shifted, and of the note-offs due, which are codes already."""
        return ops.concatenate([rows(self.roots, ops.cast(keyboard.ticks, "int32")), keyboard.due], axis=-1)

    def _split_state(self, state: KerasTensor) -> tuple[KeyboardState, list[KerasTensor]]:
        ticks, due, *states = ops.split(state, np.cumsum(self._state_sizes)[:-1].tolist(), axis=-1)
        return KeyboardState(ticks, due), states

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "hidden": self.hidden, "depth": self.depth}
