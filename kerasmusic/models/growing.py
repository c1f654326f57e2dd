"""A wider model from a trained narrower one, which to begin with gives every note the very same probability.

Net2Net (Chen et al., 2016): every unit is there several times, and what reads it reads each copy in part. The parts are
drawn at random, so that the copies learn different things. What a narrow model has learnt in an hour a wide one need
not learn again, at several times the cost a note.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.note_model import NoteModel

SEED = 0
# How far the parts in which copies are read are from equal ones, at most.
UNEVENNESS = 0.25


def grown(model: NoteModel, preset: str) -> NoteModel:
    """A model of a preset that gives the same probabilities as a narrower one.

    Args:
        model: the trained one; its codec and its record are taken over.
        preset: what it becomes. Width and hidden units must be the same multiple of the model's, the depth the same.

    Raises:
        ArgumentError: the model cannot become this preset, or the preset does not exist.
    """
    wide = NoteModel.from_preset(preset, model.codec)
    factor = _factor(model, wide)
    if not factor:
        raise ArgumentError(
            f"{preset}: cannot start from a model of the preset {model.preset or 'unknown'}; name a preset of the same "
            "depth and a multiple of its width, or none"
        )
    random = np.random.default_rng(SEED)
    narrow = {variable.path: np.array(variable) for variable in model.trainable_variables}
    for variable in wide.trainable_variables:
        if variable.path not in narrow:
            # Only the wide one hears echoes. They have no effect to begin with.
            if variable.path.endswith("/embeddings"):
                variable.assign(np.zeros(variable.shape, np.float32))
            continue
        weights = narrow[variable.path]
        if weights.shape[-1] != variable.shape[-1]:
            weights = np.tile(weights, factor)
        if weights.shape[0] != variable.shape[0]:
            # A perceptron reads the input and the recurrence's state side by side, and so their copies.
            parts = 2 if variable.path.endswith("perceptron/kernel") else 1
            weights = _reading_copies(weights, parts, factor, random)
        variable.assign(weights)
    wide.record = model.record
    return wide


def _factor(model: NoteModel, wide: NoteModel) -> int:
    """How many times as wide the second is; 0 where it is not a wider one of the kind."""
    if not (isinstance(model, GatedNoteModel) and isinstance(wide, GatedNoteModel)):
        return 0
    factor = wide.width // model.width
    alike = (model.width * factor, model.hidden * factor, model.depth) == (wide.width, wide.hidden, wide.depth)
    return factor if alike else 0


def _reading_copies(
    weights: NDArray[np.float32], parts: int, factor: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Weights `[parts * n, m]` as `[parts * factor * n, m]`, for inputs whose parts are each there so many times."""
    inputs, outputs = weights.shape
    uneven = random.uniform(-UNEVENNESS, UNEVENNESS, (parts, factor, inputs // parts, outputs))
    shares = 1 / factor + uneven - uneven.mean(axis=1, keepdims=True)
    copies = weights.reshape(parts, 1, inputs // parts, outputs) * shares
    return copies.reshape(factor * inputs, outputs).astype(np.float32)
