"""KeyboardModel: what `GatedNoteModel` and `ExactNoteModel` share, the way from the last note to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import keras
import numpy as np
from keras import KerasTensor, ops

from kerasmusic.models.blocks import Embedding
from kerasmusic.models.choosing import Chooser, Labels
from kerasmusic.models.keyboard import Keyboard, KeyboardState
from kerasmusic.models.lookup import rows
from kerasmusic.models.note_model import NoteModel, StepInputs
from kerasmusic.models.repeats import Echo, Repeats, RepeatsState


class StatefulBlock(Protocol):
    """The interface of a trunk's blocks; see `kerasmusic.models.blocks.Block`."""

    @property
    def state_size(self) -> int:
        """The size of the state."""

    def step(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The output and the new state for one note."""

    def __call__(self, x: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The outputs and the last state for a sequence."""


BlockType = TypeVar("BlockType", bound=StatefulBlock)
TermsType = TypeVar("TermsType")
#: Applies a block to one note or to a sequence: from its input and its state to its output and its new state.
RunBlock = Callable[[BlockType, KerasTensor, KerasTensor], tuple[KerasTensor, KerasTensor]]


class Drawing(Protocol):
    """A `Chooser` that draws, and keeps what it drew."""

    def __call__(self, index: int, logits: KerasTensor) -> KerasTensor:
        """Draws a field's value."""

    def note_and_log_prob(self) -> tuple[KerasTensor, KerasTensor]:
        """The fields drawn, int32 `[batch, 4]`, and the logs of their probabilities, float32 `[batch, 4]`."""


class KeyboardModel(NoteModel, Generic[BlockType, TermsType]):
    """A note model of the keyboard's state, a trunk of blocks, and four autoregressive heads.

    Its state is that of the keyboard, that of the repeats if it has a memory, and those of the blocks. A subclass has
    the layers, and implements `_terms`, `_trunk`, `_heads` and `_drawing`.

    Args:
        width: the width of the trunk.
        hidden: the number of units in each block's perceptron.
        depth: the number of blocks.
        memory: the number of past notes that `kerasmusic.models.repeats` searches; 0 disables it.
        styles: the names of the styles whose vectors the model learns, such as composers.
        style_size, codec, preset, record: see `NoteModel`.
    """

    learns_styles: ClassVar[bool] = True
    blocks: list[BlockType]

    def __init__(
        self, width: int, hidden: int, depth: int, memory: int = 0, style_size: int = 0, styles: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.width, self.hidden, self.depth = width, hidden, depth
        self.context_notes, self.style_size = memory, style_size
        self.style_names = list(styles)
        if styles:
            self.styles = Embedding(len(styles), style_size, name="styles")
            self.styles.build()
        self.repeats = Repeats(memory)
        self.keyboard = Keyboard(self.codec)
        # Constants keep the batch dimension: TFLite broadcasts lower-rank constants element by element.
        self.offsets = np.array([self.codec.offsets], "int32")

    @property
    def state_size(self) -> int:
        return sum(self._state_sizes)

    @property
    def _state_sizes(self) -> list[int]:
        repeats = self.repeats.sizes if self.context_notes else ()
        return [*self.keyboard.sizes, *repeats, *[block.state_size for block in self.blocks]]

    def step(self, inputs: StepInputs) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        keyboard, repeats, states = self._split_state(inputs.state)
        keyboard = self.keyboard.note_on(keyboard, inputs.previous)
        echo = None
        if repeats:
            repeats, echo = self.repeats.note_on(repeats, inputs.previous)
        terms = self._terms(echo, inputs.style)
        x, states = self._trunk(inputs.previous, keyboard, terms, states, lambda block, x, state: block.step(x, state))

        draws = self._drawing(inputs)
        keyboard = self._heads(x, terms, keyboard, draws)
        return *draws.note_and_log_prob(), ops.concatenate([*keyboard, *repeats, *states], axis=-1)

    def score(
        self, notes: KerasTensor, state: KerasTensor, style: KerasTensor | None = None
    ) -> tuple[KerasTensor, KerasTensor]:
        labels = Labels(notes[:, 1:])
        state = self.read(notes, state, labels, style)
        return labels.log_prob(), state

    def read(
        self, notes: KerasTensor, state: KerasTensor, choose: Chooser, style: KerasTensor | None = None
    ) -> KerasTensor:
        """Passes each field's logits over a sequence to `choose`, which returns the notes' values; see `score`.

        Args:
            notes: int32 `[batch, T + 1, 4]`, the previous note, then T notes.
            state: float32 `[batch, S]`.
            choose: gets the index of a field and its logits, float32 `[batch, T, n]`; returns int32 `[batch, T]`.
            style: float32 `[batch, D]`.

        Returns:
            The final state, float32 `[batch, S]`.
        """
        keyboard, repeats, states = self._split_state(state)
        previous = notes[:, :-1]
        keyboards = self.keyboard.scan(keyboard, previous)
        echo = None
        if repeats:
            repeats, echo = self.repeats.scan(repeats, previous)
        terms = self._terms(echo, None if style is None else style[:, None])
        x, states = self._trunk(previous, keyboards, terms, states, lambda block, x, state: block(x, state))

        keyboards = self._heads(x, terms, keyboards, self._in_nats(choose))
        last = [part[:, -1] for part in keyboards]
        return ops.concatenate([*last, *repeats, *states], axis=-1)

    def style_vectors(self) -> dict[str, list[float]]:
        if not self.style_names:
            return {}
        table = ops.convert_to_numpy(self.styles.embeddings).round(6)
        return dict(zip(self.style_names, table.tolist(), strict=True))

    def styles_at(self, index: KerasTensor) -> KerasTensor:
        known = ops.cast(index >= 0, "float32")
        return rows(self._style_table(), ops.maximum(index, 0)) * known[:, None]

    def exclude_from_decay(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Styles do not decay, so that those that the music lacks keep their vectors."""
        if self.style_names:
            optimizer.exclude_from_weight_decay(var_list=[self.styles.embeddings])

    def _style_table(self) -> KerasTensor:
        """The vectors as a step takes them, float32 `[styles, D]`."""
        return ops.convert_to_tensor(self.styles.embeddings)

    def _terms(self, echo: Echo | None, style: KerasTensor | None) -> TermsType:
        """The terms of the echo and the style in the trunk's input, the heads' hidden vector and the logits.

        Args:
            echo: the echo, if the model has a memory.
            style: float32 `[batch, D]` for one note, `[batch, 1, D]` for a sequence.
        """
        raise NotImplementedError

    def _trunk(
        self,
        previous: KerasTensor,
        keyboard: KeyboardState,
        terms: TermsType,
        states: list[KerasTensor],
        run: RunBlock[BlockType],
    ) -> tuple[KerasTensor, list[KerasTensor]]:
        """The trunk's output and the blocks' new states; `run` applies a block to one note or to a sequence."""
        raise NotImplementedError

    def _heads(self, x: KerasTensor, terms: TermsType, keyboard: KeyboardState, choose: Chooser) -> KeyboardState:
        """Computes each field's logits in turn, and returns the keyboard at the new note's onset.

        Args:
            x: the trunk's output.
            terms: those of the echo and the style.
            keyboard: the keyboard at the previous note's onset.
            choose: maps a field's index and logits to its value: a draw in `step`, the label in `score`.
        """
        raise NotImplementedError

    def _drawing(self, inputs: StepInputs) -> Drawing:
        """Draws fields from this model's logits."""
        raise NotImplementedError

    def _in_nats(self, choose: Chooser) -> Chooser:
        """A chooser of this model's logits from one of logits in nats."""
        return choose

    def state_after(self, context: KerasTensor) -> KerasTensor:
        silence = super().state_after(context)
        if not self.context_notes:
            return silence
        keyboard, _, states = self._split_state(silence)
        repeats = [ops.stop_gradient(part) for part in self.repeats.state_after(context)]
        return ops.concatenate([*keyboard, *repeats, *states], axis=-1)

    def _split_state(self, state: KerasTensor) -> tuple[KeyboardState, RepeatsState | tuple[()], list[KerasTensor]]:
        ticks, due, *parts = ops.split(state, np.cumsum(self._state_sizes)[:-1].tolist(), axis=-1)
        if not self.context_notes:
            return KeyboardState(ticks, due), (), parts
        return KeyboardState(ticks, due), RepeatsState(*parts[:4]), parts[4:]

    def get_config(self) -> dict[str, Any]:
        sizes: dict[str, Any] = {"width": self.width, "hidden": self.hidden, "depth": self.depth}
        sizes["memory"] = self.context_notes
        if self.style_size:
            sizes["style_size"] = self.style_size
        if self.style_names:
            sizes["styles"] = list(self.style_names)
        return {**super().get_config(), **sizes}
