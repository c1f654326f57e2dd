"""TutorialModel: the network of TensorFlow's tutorial "Generate music with an RNN", as published.

It serves as a baseline. One LSTM reads pitch / 128, step and duration in seconds; a note's pitch is drawn from logits,
its step and duration are point estimates trained with squared error, and its velocity is always 100. Only the code
around the network differs: windows do not cross from one piece into the next, and generation carries the LSTM's state
instead of recomputing it from the last 25 notes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from kerasmusic.codec import DURATION, PITCH, PITCHES, STEP, TICKS_PER_SECOND
from kerasmusic.models.blocks import Dense
from kerasmusic.models.lookup import entries, rows
from kerasmusic.models.note_model import NoteModel, StepInputs, log_prob_of
from kerasmusic.models.sampling import controls_by_field, draw

UNITS = 128
VELOCITY = 100
PITCH_WEIGHT = 0.05
NEGATIVE_PRESSURE = 10.0


@keras.saving.register_keras_serializable("kerasmusic")
class TutorialModel(NoteModel):
    """LSTM(128) with three heads; see `NoteModel` for arguments and methods.

    The log probabilities of step, duration and velocity are NaN, since the model has no distribution over them.
    """

    window: ClassVar[int] = 25
    labels_per_window: ClassVar[int] = 1
    learning_rate: ClassVar[float] = 5e-3
    batch_size: int = 64

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lstm = layers.LSTM(UNITS, return_sequences=True, return_state=True, name="lstm")
        self.lstm.build((None, None, 3))
        self.pitch = Dense(PITCHES, name="pitch")
        self.step_seconds = Dense(1, name="step")
        self.duration_seconds = Dense(1, name="duration")
        for head in (self.pitch, self.step_seconds, self.duration_seconds):
            head.build((None, UNITS))
        velocity = np.searchsorted(self.codec.velocity_edges, VELOCITY, side="right") - 1
        self.velocity_value = int(velocity)
        self.built = True

    @property
    def state_size(self) -> int:
        return 2 * UNITS

    def step(self, inputs: StepInputs) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
        hidden, (hidden, carry) = self.lstm.cell(self._inputs(inputs.previous), ops.split(inputs.state, 2, axis=-1))
        controls = controls_by_field(
            inputs.given, inputs.uniform, inputs.temperature, inputs.min_p, inputs.bias, self.codec.sizes
        )
        logits = self.pitch(hidden)
        pitch = draw(logits, controls[PITCH])[:, None]
        log_prob = entries(ops.log_softmax(logits, axis=-1), pitch)
        estimates = ops.concatenate(
            [
                _nearest(self.codec.step_edges, self.step_seconds(hidden)),
                pitch,
                _nearest(self.codec.duration_edges, self.duration_seconds(hidden)),
                ops.full_like(pitch, self.velocity_value),
            ],
            axis=-1,
        )
        unknown = ops.full_like(log_prob, float("nan"))
        return (
            ops.where(inputs.given >= 0, inputs.given, estimates),
            ops.concatenate([unknown, log_prob, unknown, unknown], axis=-1),
            ops.cast(ops.concatenate([hidden, carry], axis=-1), "float32"),
        )

    def score(
        self, notes: KerasTensor, state: KerasTensor, style: KerasTensor | None = None
    ) -> tuple[KerasTensor, KerasTensor]:
        hidden, *states = self.lstm(self._inputs(notes[:, :-1]), initial_state=ops.split(state, 2, axis=-1))
        log_prob = log_prob_of(self.pitch(hidden), notes[:, 1:, 1])
        unknown = ops.full_like(log_prob, float("nan"))
        state = ops.cast(ops.concatenate(states, axis=-1), "float32")
        return ops.stack([unknown, log_prob, unknown, unknown], axis=-1), state

    def losses_of(self, notes: KerasTensor, style: KerasTensor | None = None) -> KerasTensor:
        """The tutorial's losses of a window's last notes with its weights: float32 `[batch, labels_per_window, 4]`."""
        hidden = self.lstm(self._inputs(notes[:, :-1]))[0][:, -self.labels_per_window :]
        labels = notes[:, -self.labels_per_window :]
        step, duration = self._seconds(labels)
        losses = [
            _squared_error_with_positive_pressure(step, self.step_seconds(hidden)[..., 0]),
            -PITCH_WEIGHT * log_prob_of(self.pitch(hidden), labels[..., PITCH]),
            _squared_error_with_positive_pressure(duration, self.duration_seconds(hidden)[..., 0]),
            ops.zeros_like(step),
        ]
        return ops.stack(losses, axis=-1)

    def _seconds(self, notes: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        step = rows((self.codec.step_ticks / TICKS_PER_SECOND).astype("float32"), notes[..., STEP])
        duration = rows((self.codec.duration_ticks / TICKS_PER_SECOND).astype("float32"), notes[..., DURATION])
        return step, duration

    def _inputs(self, notes: KerasTensor) -> KerasTensor:
        step, duration = self._seconds(notes)
        return ops.stack([ops.cast(notes[..., PITCH], "float32") / PITCHES, step, duration], axis=-1)


def _nearest(edges: tuple[int, ...], seconds: KerasTensor) -> KerasTensor:
    """The index, int32 `[batch, 1]`, of the bin that contains a time in seconds, `[batch, 1]`."""
    ticks = ops.round(seconds * TICKS_PER_SECOND)
    return ops.sum(ops.cast(ops.convert_to_tensor(edges[1:-1], "float32") <= ticks, "int32"), axis=-1, keepdims=True)


def _squared_error_with_positive_pressure(true: KerasTensor, estimate: KerasTensor) -> KerasTensor:
    return ops.square(true - estimate) + NEGATIVE_PRESSURE * ops.relu(-estimate)
