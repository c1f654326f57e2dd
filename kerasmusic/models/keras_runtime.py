"""A Keras model's step as a separate model, for the exporter, and as a runtime, for `Generator`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import KerasTensor
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS
from kerasmusic.edge.styles import Styles
from kerasmusic.models.note_model import NoteModel, StepInputs


class StepModel(keras.Model):
    """`NoteModel.step` as a Keras model with a batch of 1 and named inputs and outputs.

    It maps a dictionary of the step's arguments to a dictionary of `note`, `log_prob` and `state`.
    """

    def __init__(self, model: NoteModel, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.built = True

    def call(self, inputs: dict[str, KerasTensor]) -> dict[str, KerasTensor]:
        note, log_prob, state = self.model.step(StepInputs(**inputs))
        return {"note": note, "log_prob": log_prob, "state": state}

    def inputs_of_zeros(self) -> dict[str, NDArray[Any]]:
        """Zero arrays for all inputs of one step, by name."""
        sizes = {"state": self.model.state_size, "bias": self.model.codec.size}
        arrays: dict[str, NDArray[Any]] = {name: np.zeros((1, len(FIELDS)), np.int32) for name in ("previous", "given")}
        for name in ("state", "uniform", "temperature", "min_p", "bias"):
            arrays[name] = np.zeros((1, sizes.get(name, len(FIELDS))), np.float32)
        if self.model.style_size:
            arrays["style"] = np.zeros((1, self.model.style_size), np.float32)
        return arrays


class KerasRuntime:
    """A `kerasmusic.edge.Runtime` for Keras models, on any backend.

    >>> from kerasmusic.edge import Generator
    >>> model = NoteModel.new("tutorial")
    >>> len(Generator(KerasRuntime(model), seed=1).take(3))
    3
    """

    def __init__(self, model: NoteModel) -> None:
        self.codec = model.codec
        self.styles = Styles(model.style_vectors(), model.whole_style)
        self._model = StepModel(model)
        inputs = self._inputs = self._model.inputs_of_zeros()
        self.previous, self.given, self.state, self.uniform = (
            inputs[name] for name in ("previous", "given", "state", "uniform")
        )
        self.temperature, self.min_p, self.bias = (inputs[name] for name in ("temperature", "min_p", "bias"))
        self.style = inputs.get("style", np.zeros((1, 0), np.float32))
        self.note = np.zeros((1, len(FIELDS)), np.int32)
        self.log_prob = np.zeros((1, len(FIELDS)), np.float32)

    def run(self) -> None:
        """Computes one note from the inputs and advances the state."""
        outputs = self._model.predict_on_batch(self._inputs)
        self.note[:], self.log_prob[:] = outputs["note"], outputs["log_prob"]
        self.state[:] = outputs["state"]
