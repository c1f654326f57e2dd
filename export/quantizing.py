"""Makes an `ExactNoteModel` from a trained `GatedNoteModel`.

The ranges of all numbers are those that occur while the model hears notes. The weights are then rounded layer by layer
with GPTQ's error compensation, each on the codes that the layers before it give.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import KerasTensor, ops
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, PITCHES
from kerasmusic.errors import KerasMusicError
from kerasmusic.export.rounding import round_weights
from kerasmusic.models.blocks import RecurrentBlock, scaled_dense, unit
from kerasmusic.models.exact_layers import (
    BIAS_UNIT,
    EXACT,
    GATE_RANGE,
    GATE_STEPS,
    HIGHEST,
    LARGEST_WEIGHT,
    LOWEST,
    ExactBlock,
    ExactDense,
    ExactEmbedding,
)
from kerasmusic.models.exact_model import BONUS_UNITS, GATE_UNITS, ExactNoteModel
from kerasmusic.models.exact_sampling import FAR, GRID
from kerasmusic.models.gated_model import KEYBOARD_SCALE, GatedNoteModel
from kerasmusic.models.keyboard import HORIZON
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import rows

# The largest value that occurs in the trunk's vectors, the heads' hidden vector and a state, in their units.
LARGEST = 2.0**17
# How many root mean squares the codes that are squared hold.
COARSE = 6.0
# Room for what the notes did not show, as a share.
ROOM = 1.05
# The share of values that keep within their range; the rest is clipped.
WITHIN = 0.9995


def make_exact(model: GatedNoteModel, notes: NDArray[np.integer]) -> ExactNoteModel:
    """The exact model of a trained one.

    Args:
        model: the trained model.
        notes: int32 `[batch, T + 1, 4]`: the beginnings of pieces, each after the codec's start note.
    """
    exact = ExactNoteModel(
        model.width, model.hidden, model.depth, codec=model.codec, preset=model.preset, record=dict(model.record)
    )
    heard = ops.convert_to_tensor(notes, "int32")
    seen = _observe(model, heard)
    embedding_unit = _set_embeddings([exact.embedding], [model.embedding])
    largest = max(float(np.abs(x).max()) for x in seen["x"])
    x_unit = _set_units([exact.embedding], embedding_unit, largest)
    keyboard_inputs = np.concatenate([np.full(PITCHES, 1.0 / exact.root_unit), np.ones(HORIZON)]) * KEYBOARD_SCALE
    _set_dense(exact.keyboard_before, model.keyboard_before, keyboard_inputs, x_unit)
    for index, (block, source) in enumerate(zip(exact.blocks, _blocks(model), strict=True)):
        _set_block(block, source, seen, index, x_unit)
    normalized = _set_norm(exact.norm, seen["x"][-1], x_unit)
    _set_dense(exact.heads[0], model.heads[0], normalized, 1.0 / GRID)
    largest = max(float(np.abs(hidden).max()) for hidden in seen["hidden"])
    hidden_unit = _set_units(exact.drawn, _set_embeddings(exact.drawn, model.drawn), largest)
    _set_dense(exact.trunk_to_heads, model.trunk_to_heads, normalized, hidden_unit)
    _set_dense(exact.keyboard_now, model.keyboard_now, keyboard_inputs, hidden_unit)
    for index in range(1, len(FIELDS)):
        code = _reach(seen["hidden"][index - 1]) / (HIGHEST - LOWEST)
        exact.hidden_codes[index - 1].assign((hidden_unit / code).astype(np.float32)[None])
        _set_dense(exact.heads[index], model.heads[index], code, 1.0 / GRID)
        if FIELDS[index] == "duration":
            _set_dense(exact.due_counts, model.due_counts, code, 1.0 / GATE_UNITS)
    _set_dense(exact.due_to_duration, model.due_to_duration, np.full(HORIZON, KEYBOARD_SCALE), 1.0 / BONUS_UNITS)

    def observe(layer: ExactDense, inputs: Any) -> None:
        layer.observer = None
        found = np.array(ops.convert_to_numpy(inputs)).reshape(-1, layer.inputs)
        found[:, : layer.shifted] -= LOWEST
        rounded = round_weights(ops.convert_to_numpy(layer.kernel).T, found, 1.0)
        layer.kernel.assign(np.float32(rounded.T))

    dense = [layer for layer in exact._flatten_layers() if isinstance(layer, ExactDense)]
    for layer in dense:
        layer.observer = observe
    exact.score(heard, ops.zeros((len(notes), exact.state_size)))
    return exact


def _observe(model: GatedNoteModel, notes: KerasTensor) -> dict[str, list[NDArray[np.float32]]]:
    """What a model computes while it hears notes: arrays `[samples, lanes]`, by name and place."""
    seen: dict[str, list[Any]] = {"x": [], "candidate": [], "state": [], "perceptron": [], "hidden": []}
    previous, now = notes[:, :-1], notes[:, 1:]
    keyboard, _, states = model._split_state(ops.zeros((ops.shape(notes)[0], model.state_size)))
    keyboard = model.keyboard.scan(keyboard, previous)
    x = model._embed(previous) + model._project_keyboard(model.keyboard_before, keyboard)
    for block, state in zip(_blocks(model), states, strict=True):
        seen["x"].append(x)
        normalized = unit(x)
        decay, candidate = block._decay_and_candidate(normalized)
        state = linear_recurrence(decay, (1.0 - decay) * candidate, state)
        both = ops.concatenate([normalized, state], axis=-1)
        inner = ops.relu(scaled_dense(block.perceptron, both, math.sqrt(model.width)))
        x = x + block.output_dense(inner)
        seen["candidate"].append(candidate)
        seen["state"].append(state)
        seen["perceptron"].append(inner)
    seen["x"].append(x)
    hidden = scaled_dense(model.trunk_to_heads, unit(x), math.sqrt(model.width))
    keyboard = model.keyboard.advance(keyboard, now[..., 0])
    hidden = hidden + model._project_keyboard(model.keyboard_now, keyboard)
    for index in range(1, len(FIELDS)):
        hidden = ops.relu(hidden + rows(model.drawn[index - 1].embeddings, now[..., index - 1]))
        seen["hidden"].append(hidden)
    return {
        name: [ops.convert_to_numpy(array).reshape(-1, array.shape[-1]) for array in arrays]
        for name, arrays in seen.items()
    }


def _blocks(model: GatedNoteModel) -> list[RecurrentBlock]:
    """The blocks of a model, all of the kind that has an exact form."""
    return [block for block in model.blocks if isinstance(block, RecurrentBlock)]


def _set_block(block: ExactBlock, source: RecurrentBlock, seen: dict[str, Any], index: int, x_unit: float) -> None:
    width = block.width
    normalized = _set_norm(block.norm, seen["x"][index], x_unit)
    _set_dense(block.decay, source.decay, normalized, 1.0 / GATE_STEPS, shift=GATE_RANGE + 0.5 / GATE_STEPS)
    state_unit = np.abs(seen["candidate"][index]).max() / LARGEST
    _set_dense(block.candidate, source.candidate, normalized / math.sqrt(width), state_unit)
    code = _reach(np.abs(seen["state"][index])) / HIGHEST
    block.state_code.assign((state_unit / code).astype(np.float32)[None])
    inner = _reach(seen["perceptron"][index]) / (HIGHEST - LOWEST)
    _set_dense(block.perceptron, source.perceptron, np.concatenate([normalized, math.sqrt(width) * code]), inner)
    _set_dense(block.output_dense, source.output_dense, inner, x_unit)


def _set_norm(norm: Any, x: NDArray[np.float32], x_unit: float) -> NDArray[np.float64]:
    """Sets a norm's scales for vectors `x`, float32 `[samples, width]`; returns the values of the outputs' codes."""
    sizes = np.sqrt(np.square(x).mean(axis=-1, keepdims=True))
    code = ROOM * float(np.abs(x / sizes).max()) / HIGHEST
    norm.set_scale(coarse=norm.largest / COARSE / (float(np.sqrt(np.square(sizes).mean())) / x_unit), code=code)
    return np.full(norm.width, code)


def _set_embeddings(layers: list[ExactEmbedding], sources: list[Any]) -> float:
    """Sets the codes of embeddings with a common scale, and returns the value of a code."""
    tables = [ops.convert_to_numpy(source.embeddings) for source in sources]
    code = float(max(np.abs(table).max() for table in tables)) / LARGEST_WEIGHT
    for layer, table in zip(layers, tables, strict=True):
        layer.embeddings.assign(np.round(table / code))
    return code


def _set_units(layers: list[ExactEmbedding], code: float, largest: float) -> float:
    """Sets the units of a code for vectors that reach `largest`, and returns the value of a unit."""
    units = max(1, int(LARGEST / (largest / code)))
    for layer in layers:
        layer.unit.assign(float(units))
    return code / units


def _set_dense(layer: ExactDense, source: Any, inputs: Any, output: Any, shift: float = 0.0) -> None:
    """Sets a layer's weights, in units of codes that are not rounded yet, its bias and its factors.

    Args:
        layer: the layer.
        source: the layer whose weights it takes.
        inputs: `[inputs]`, the value of one code of each input.
        output: the value of one unit of the outputs, or of each.
        shift: is added to the outputs.
    """
    kernel = ops.convert_to_numpy(source.kernel).astype(np.float64) * np.asarray(inputs)[:, None]
    bias = np.zeros(layer.units) if source.bias is None else ops.convert_to_numpy(source.bias).astype(np.float64)
    code = np.maximum(np.abs(kernel).max(axis=0), 1e-9) / LARGEST_WEIGHT
    layer.kernel.assign(np.float32(kernel / code))
    layer.bias.assign(np.float32((bias + shift) / code / BIAS_UNIT))
    layer.multiplier.assign(np.float32(code / output))


def _reach(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The range of each lane of `[samples, lanes]`; never nothing."""
    found = np.quantile(values, WITHIN, axis=0)
    return np.maximum(found, found.max() * 1e-3 + 1e-9)


def check_sums(model: ExactNoteModel) -> dict[str, float]:
    """The largest value that each sum of a model can have, whatever it hears, by name.

    Raises:
        KerasMusicError: one could pass 2**24, above which float32 is not exact.
    """
    sums: dict[str, float] = {}

    def outputs(layer: ExactDense, owner: str = "") -> float:
        """The largest output, after its factor; the largest sum before it is noted."""
        weights = np.abs(np.round(ops.convert_to_numpy(layer.kernel).astype(np.float64)))
        inputs = np.full(layer.inputs, -LOWEST)
        inputs[: layer.shifted] = HIGHEST - LOWEST
        bias = np.abs(np.round(ops.convert_to_numpy(layer.bias).astype(np.float64) * BIAS_UNIT))
        products = inputs @ weights + bias
        # With the bias of shifted codes apart from the codes themselves.
        sums[owner + layer.name] = float((-LOWEST * weights.sum(axis=0) * (2 if layer.shifted else 1) + bias).max())
        return float((products * ops.convert_to_numpy(layer.multiplier)).max()) + 1.0

    def rows_of(layer: ExactEmbedding) -> float:
        return float(np.abs(np.round(ops.convert_to_numpy(layer.embeddings))).max() * ops.convert_to_numpy(layer.unit))

    x = len(FIELDS) * rows_of(model.embedding) + outputs(model.keyboard_before)
    for block in model.blocks:
        owner = f"{block.name}/"
        outputs(block.decay, owner)
        outputs(block.perceptron, owner)
        # The state lies among its candidates, and their difference is formed.
        sums[f"{owner}state"] = 2 * outputs(block.candidate, owner)
        x += outputs(block.output_dense, owner)
    sums["trunk"] = x
    hidden = outputs(model.trunk_to_heads) + outputs(model.keyboard_now) + sum(map(rows_of, model.drawn))
    sums["hidden"] = hidden
    # The product itself may be inexact, since it is rounded at once.
    bonus = outputs(model.due_to_duration) * outputs(model.due_counts) * GRID / (BONUS_UNITS * GATE_UNITS)
    sums["logits"] = max(map(outputs, model.heads)) + bonus + 2 * FAR
    for name, largest in sums.items():
        if largest >= EXACT:
            raise KerasMusicError(
                f"{name}: its sums could reach {largest:,.0f}, and float32 is exact below {EXACT:,}; weights this "
                "large have no exact form"
            )
    return sums
