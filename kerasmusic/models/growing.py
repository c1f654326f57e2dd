"""Widens a trained model: the wider model starts out with exactly the same probabilities.

As in Net2Net (Chen et al., 2016), each unit is replicated and its outgoing weights are split among the copies,
unevenly and at random to break the symmetry. A wide model, which costs several times as much per note, then need not
relearn what a narrow one learned in an hour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError
from kerasmusic.models.blocks import RecurrentBlock
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.note_model import NoteModel

SEED = 0
# The largest deviation of a copy's share of the outgoing weights from an equal share.
UNEVENNESS = 0.25


def grown(model: NoteModel, preset: str) -> NoteModel:
    """A new model of a wider preset with the same probabilities as a trained model.

    Args:
        model: the trained model; the new model has its codec, its styles and its record.
        preset: the wider preset. Its width and hidden units must be the same multiple of the model's, and its depth and
            kind of block must be the same.

    Raises:
        ArgumentError: the model cannot be widened to this preset, or the preset does not exist.
    """
    wide = NoteModel.new(preset, model.codec, styles=model.style_names, style_size=model.style_size)
    factor = _factor(model, wide)
    if not (factor and isinstance(wide, GatedNoteModel)):
        raise ArgumentError(
            f"{preset}: cannot start from a model of the preset {model.preset or 'unknown'}; name a preset of the same "
            "depth and a multiple of its width, or no preset"
        )
    random = np.random.default_rng(SEED)
    narrow = {variable.path: np.array(variable) for variable in model.trainable_variables}
    # A perceptron's input concatenates the block's input and its state, each of which is replicated.
    two_part_kernels = {block.perceptron.kernel.path for block in wide.blocks if isinstance(block, RecurrentBlock)}
    if wide.context_notes and not model.context_notes:
        # The narrow model has no echo, so the echo starts without effect.
        wide.echo.embeddings.assign(np.zeros(wide.echo.embeddings.shape, np.float32))
    for variable in wide.trainable_variables:
        if variable.path not in narrow:
            continue
        weights = narrow[variable.path]
        if weights.shape[-1] != variable.shape[-1]:
            weights = np.tile(weights, factor)
        if weights.shape[0] != variable.shape[0]:
            parts = 2 if variable.path in two_part_kernels else 1
            weights = _split_among_copies(weights, parts, factor, random)
        variable.assign(weights)
    wide.record = model.record
    return wide


def _factor(model: NoteModel, wide: NoteModel) -> int:
    """The ratio of the two widths; 0 if `wide` is not a wider model of the same kind."""
    if not (isinstance(model, GatedNoteModel) and isinstance(wide, GatedNoteModel)):
        return 0
    factor = wide.width // model.width
    grown_shape = (model.width * factor, model.hidden * factor, model.depth, model.block)
    alike = grown_shape == (wide.width, wide.hidden, wide.depth, wide.block)
    return factor if alike else 0


def _split_among_copies(
    weights: NDArray[np.float32], parts: int, factor: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Splits weights `[parts * n, m]` among replicated inputs: `[parts * factor * n, m]`, replicated part by part."""
    inputs, outputs = weights.shape
    uneven = random.uniform(-UNEVENNESS, UNEVENNESS, (parts, factor, inputs // parts, outputs))
    shares = 1 / factor + uneven - uneven.mean(axis=1, keepdims=True)
    copies = weights.reshape(parts, 1, inputs // parts, outputs) * shares
    return copies.reshape(factor * inputs, outputs).astype(np.float32)
