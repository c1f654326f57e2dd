"""NoteModel: what every model of notes can do, whatever its layers are.

A model gives a probability to the next note's four fields, drawn one after another, from all notes before. It speaks in
fields (see `kerasmusic.codec`), keeps nothing between calls, and carries what it remembers in a flat state.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.errors import ArgumentError


def check_precision() -> None:
    """Raises an ArgumentError where Keras is set to another precision than float32, in which all models of notes are.

    Such a setting, of `keras.json` or of the program, is of all layers: they would train badly and not be exported.
    """
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy().name
    if floatx != "float32":
        raise ArgumentError(
            f'{floatx}: is Keras\'s floatx, and models of notes are of float32; write "floatx": "float32" in '
            "keras.json (in $KERAS_HOME, else in ~/.keras), or call keras.config.set_floatx('float32')"
        )
    if policy != "float32":
        raise ArgumentError(
            f"{policy}: is Keras's dtype policy, and models of notes are of float32; "
            "call keras.config.set_dtype_policy('float32')"
        )


class NoteModel(keras.Model):
    """The base of all models of notes.

    A subclass gives `state_size`, `step` and `score`, and sets `window`. Trained through `fit` on windows, int32
    `[batch, context + 1 + T, 4]`: what was heard before, the note before the window, then its T notes; rows of -1 fill
    up windows at a piece's beginning and end.

    Args:
        codec: what the fields mean; `NoteCodec()` by default.
        preset: the name of the preset it was made from.
        record: how it was trained, as JSON values; it travels with the model's files.

    Raises:
        ArgumentError: Keras is set to another precision than float32.
    """

    #: Notes in a training window.
    window: ClassVar[int] = 256
    #: Notes of a window that training has a loss for.
    labels_per_window: ClassVar[int] = 256
    #: Notes before a window, and before the note before it, that training lets the model have heard.
    context: int = 0
    #: Windows in a batch.
    batch_size: int = 8
    #: The highest learning rate of its training.
    learning_rate: ClassVar[float] = 3e-3

    def __init__(
        self, codec: NoteCodec | None = None, preset: str = "", record: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        check_precision()
        super().__init__(**kwargs)
        self.codec = codec or NoteCodec()
        self.preset = preset
        self.record = record or {}
        self._field_losses = [keras.metrics.Mean(name=field) for field in FIELDS]

    @staticmethod
    def from_preset(name: str, codec: NoteCodec | None = None) -> NoteModel:
        """A new model of a named architecture, with random weights.

        Raises:
            ArgumentError: there is no such preset.

        >>> NoteModel.from_preset("tutorial").state_size
        256
        """
        from kerasmusic.models.presets import PRESETS, check_preset

        check_preset(name)
        return PRESETS[name](codec)

    @property
    def state_size(self) -> int:
        """S: how many numbers the model remembers between notes."""
        raise NotImplementedError

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
        """One note. Pure: the same arguments give the same results.

        Args:
            previous: int32 `[batch, 4]`, the note that the call before returned; `codec.start_note` before the first.
                To put another note in its place, make that call again with it as `given`.
            given: int32 `[batch, 4]`; -1 where the model draws the field, else the field's value.
            state: float32 `[batch, S]`, what the call before returned; zeros before the first note.
            uniform: float32 `[batch, 4]` in [0, 1), the randomness, one number a field.
            temperature: float32 `[batch, 4]`, by field; 0 takes the likeliest value.
            min_p: float32 `[batch, 4]`, by field; see `kerasmusic.models.sampling`.
            bias: float32 `[batch, V]`, added to the logits of the four fields laid end to end.

        Returns:
            The note's fields, int32 `[batch, 4]`; the natural log of the model's own probability (temperature 1, no
            bias) of each, float32 `[batch, 4]`; and the state to hand in next time, float32 `[batch, S]`.
        """
        raise NotImplementedError

    def score(self, notes: KerasTensor, state: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The log probability of every note of a sequence, given the notes before it; the step, all at once.

        Args:
            notes: int32 `[batch, T + 1, 4]`: the note before, then the T notes that are scored.
            state: float32 `[batch, S]`, from the sequence before; zeros at a piece's start.

        Returns:
            Natural logs, float32 `[batch, T, 4]`, NaN for fields that have no distribution, and the state at the end.
        """
        raise NotImplementedError

    def state_after(self, context: KerasTensor) -> KerasTensor:
        """The state with which a window is trained, float32 `[batch, S]`, from the notes before it.

        What a trunk remembers begins from nothing; only what is plain arithmetic on notes is as if they had been heard.

        Args:
            context: int32 `[batch, context, 4]`, zeros where there were no notes.
        """
        return ops.zeros((ops.shape(context)[0], self.state_size))

    def losses_of(self, notes: KerasTensor) -> KerasTensor:
        """The training loss of each field of each note, float32 `[batch, T, 4]`, from a window without fillers.

        By default it is what evaluation reports: nats, with the width of the bins counted (`codec.log_widths`).
        """
        context, notes = notes[:, : self.context], notes[:, self.context :]
        log_prob, _ = self.score(notes, self.state_after(context))
        widths = [
            ops.take(ops.convert_to_tensor(width, "float32"), notes[:, 1:, index])
            for index, width in enumerate(self.codec.log_widths)
        ]
        return ops.stack(widths, axis=-1) - log_prob

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """The training loss of each field of each note, float32 `[batch, T, 4]`, zero at fillers."""
        window = ops.cast(inputs, "int32")
        losses = self.losses_of(ops.maximum(window, 0))
        return losses * _is_note(window, losses)[..., None]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        """Nats per note: the fields' losses added, averaged over the notes."""
        return ops.sum(y_pred) / ops.maximum(ops.sum(_is_note(x, y_pred)), 1.0)

    def compute_metrics(
        self, x: KerasTensor, y: object, y_pred: KerasTensor, sample_weight: object = None
    ) -> dict[str, Any]:
        """The loss and its parts by field."""
        is_note = _is_note(x, y_pred)
        for index, metric in enumerate(self._field_losses):
            metric.update_state(y_pred[..., index], sample_weight=is_note)
        return self.get_metrics_result()

    def make_optimizer(self, learning_rate: float, weight_decay: float, clip: float) -> keras.optimizers.Optimizer:
        """What it is trained with: AdamW (Loshchilov and Hutter, 2019), or what else serves its layers better.

        Args:
            learning_rate: the highest of the schedule.
            weight_decay: the share of a weight that is lost a step, for each unit of the learning rate.
            clip: the highest norm of the gradient of all weights (Pascanu et al., 2013).
        """
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, global_clipnorm=clip)

    def get_config(self) -> dict[str, Any]:
        return {"codec": self.codec.to_json(), "preset": self.preset, "record": dict(self.record), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, object] | None = None) -> NoteModel:
        """The model, with new weights, that `get_config` described."""
        return cls(**{**config, "codec": NoteCodec.from_json(config["codec"])})


def log_prob_of(logits: KerasTensor, value: KerasTensor) -> KerasTensor:
    """The log probability `[...]` of values int32 `[...]` under logits `[..., n]`."""
    return ops.take_along_axis(ops.log_softmax(logits, axis=-1), value[..., None], axis=-1)[..., 0]


def _is_note(window: KerasTensor, losses: KerasTensor) -> KerasTensor:
    """1 where a loss `[batch, T, 4]` is of a note, 0 where of a filler: float32 `[batch, T]`."""
    return ops.cast(window[:, -losses.shape[1] :, 0] >= 0, "float32")
