"""Learner: a model of notes while it is trained."""

from __future__ import annotations

from typing import Any

import keras
from keras import KerasTensor, ops

from kerasmusic.codec import FIELDS
from kerasmusic.models.note_model import NoteModel


@keras.saving.register_keras_serializable("kerasmusic")
class Learner(keras.Model):
    """Trains a `NoteModel` through `fit` on windows of notes.

    Windows are int32 `[batch, T + 1, 4]`: the note before, then T notes; rows of -1 fill up windows at a piece's end.
    Each row of a batch goes on with the state that the same row of the batch before ended with, and with zeros where
    the note before is -1: there a piece begins. No gradient flows from a window into the one before (truncated
    back-propagation through time, Williams and Peng, 1990), but the model learns in the states that it plays in. What
    is evaluated has states of its own, so that validation does not disturb training. All states are in the learner's
    file, none in the model's.

    Args:
        model: what is trained.
        rows: windows in a batch of training.
        validation_rows: windows in a batch of evaluation; as many by default.
    """

    def __init__(self, model: NoteModel, rows: int, validation_rows: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.rows, self.validation_rows = rows, validation_rows or rows
        self.states = self._zeros(self.rows, "states")
        self.validation_states = self._zeros(self.validation_rows, "validation_states")
        self._field_losses = [keras.metrics.Mean(name=field) for field in FIELDS]
        self.built = True

    def _zeros(self, rows: int, name: str) -> Any:
        return self.add_weight(shape=(rows, self.model.state_size), initializer="zeros", trainable=False, name=name)

    def call(self, inputs: KerasTensor, training: bool = False) -> KerasTensor:
        """The training loss of each field of each note, float32 `[batch, T, 4]`, zero at fillers."""
        window = ops.cast(inputs, "int32")
        states = self.states if training else self.validation_states
        goes_on = ops.cast(window[:, 0, :1] >= 0, "float32")
        # The codec's start note is all zeros.
        losses, last = self.model.losses_of(ops.maximum(window, 0), goes_on * states)
        states.assign(ops.stop_gradient(last))
        return losses * _is_note(window, losses)[..., None]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> KerasTensor:
        """Nats a note: the fields' losses added, averaged over the notes."""
        return ops.sum(y_pred) / ops.maximum(ops.sum(_is_note(x, y_pred)), 1.0)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """The loss and its parts by field."""
        is_note = _is_note(x, y_pred)
        for index, metric in enumerate(self._field_losses):
            metric.update_state(y_pred[..., index], sample_weight=is_note)
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        model = keras.saving.serialize_keras_object(self.model)
        return {"model": model, "rows": self.rows, "validation_rows": self.validation_rows, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Learner:
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})


def _is_note(window: KerasTensor, losses: KerasTensor) -> KerasTensor:
    """1 where a loss `[batch, T, 4]` is of a note, 0 where of a filler: float32 `[batch, T]`."""
    return ops.cast(window[:, -losses.shape[1] :, 0] >= 0, "float32")
