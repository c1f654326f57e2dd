"""A baseline: the windows, the model and the `model.predict` loop of TensorFlow's "Generate music with an RNN".

It is written from the tutorial's text on `keras` alone, so that it runs on any backend. The tutorial's windows come
from `tf.data`; here they are one NumPy array, which is no slower.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kerasmusic.notes import Notes

SEQUENCE_LENGTH = 25
VOCABULARY = 128
BATCH_SIZE = 64


def build_model() -> keras.Model:
    """LSTM(128) and three heads, compiled with the tutorial's losses, weights and optimizer."""
    inputs = keras.Input((SEQUENCE_LENGTH, 3))
    x = keras.layers.LSTM(128)(inputs)
    outputs = {
        "pitch": keras.layers.Dense(VOCABULARY, name="pitch")(x),
        "step": keras.layers.Dense(1, name="step")(x),
        "duration": keras.layers.Dense(1, name="duration")(x),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        loss={
            "pitch": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "step": _squared_error_with_positive_pressure,
            "duration": _squared_error_with_positive_pressure,
        },
        loss_weights={"pitch": 0.05, "step": 1.0, "duration": 1.0},
        optimizer=keras.optimizers.Adam(0.005),
    )
    return model


def make_windows(notes: Notes) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """The tutorial's windows of 25 notes with scaled pitches, and the note after each as labels."""
    rows = _rows(notes)
    windows = np.lib.stride_tricks.sliding_window_view(rows, SEQUENCE_LENGTH, axis=0)[:-1].swapaxes(1, 2)
    scaled = (windows / np.array([VOCABULARY, 1, 1])).astype(np.float32)
    labels = rows[SEQUENCE_LENGTH:]
    return scaled, {name: labels[:, index] for index, name in enumerate(("pitch", "step", "duration"))}


def generate(model: Any, notes: Notes, count: int, seed: int = 0) -> list[tuple[int, float, float]]:
    """The tutorial's loop: `model.predict` on the last 25 notes; each note is fed back unscaled, as in the tutorial."""
    random = np.random.default_rng(seed)
    window = _rows(notes)[:SEQUENCE_LENGTH] / np.array([VOCABULARY, 1, 1], np.float32)
    generated = []
    for _ in range(count):
        predictions = model.predict(window[None], verbose=0)
        logits = predictions["pitch"][0] / 2.0
        probabilities = np.exp(logits - logits.max())
        pitch = int(random.choice(VOCABULARY, p=probabilities / probabilities.sum()))
        step, duration = (max(0.0, float(predictions[name][0, 0])) for name in ("step", "duration"))
        generated.append((pitch, step, duration))
        window = np.concatenate([window[1:], np.array([[pitch, step, duration]], np.float32)])
    return generated


def _rows(notes: Notes) -> NDArray[np.float32]:
    return np.stack([notes.pitch, notes.step, notes.duration], axis=1).astype(np.float32)


def _squared_error_with_positive_pressure(true: Any, estimate: Any) -> Any:
    true = keras.ops.reshape(true, keras.ops.shape(estimate))
    return keras.ops.mean(keras.ops.square(true - estimate) + 10.0 * keras.ops.relu(-estimate))
