"""Makes an `ExactNoteModel` from a trained `GatedNoteModel`.

The ranges of all numbers are those that occur while the model hears notes. The weights are then rounded layer by layer
with GPTQ's error compensation, each on the codes that the layers before it give. Biases give back what rounding down
takes away on average (bias correction: Nagel et al., 2019).
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
    DECAYS,
    EXACT,
    HIGHEST,
    LARGEST_CODE,
    LARGEST_WEIGHT,
    LOWEST,
    ExactBlock,
    ExactDense,
    ExactEmbedding,
    ExactNorm,
    weight_codes,
)
from kerasmusic.models.exact_model import (
    BONUS_UNITS,
    GATE_UNITS,
    LARGEST_ECHO_GATE,
    ExactNoteModel,
)
from kerasmusic.models.exact_sampling import FAR, GRID
from kerasmusic.models.gated_model import KEYBOARD_SCALE, GatedNoteModel, added
from kerasmusic.models.keyboard import HORIZON
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.lookup import rows
from kerasmusic.models.repeats import SURE

# The largest value that occurs in the trunk's vectors and in the heads' hidden vector, in their units, and in a state,
# whose slow lanes change little with each note. The weights allow values up to hundreds of times larger.
LARGEST_VECTOR, LARGEST_STATE = 2.0**15, 2.0**17
# The root mean square of the numbers whose squares a norm sums, as a share of the largest whose squares have an exact
# sum.
COARSE = 1.0 / 6.0
# The range of a state and of a gate as a multiple of what was heard, since other pieces reach further.
ROOM = 1.3
# The share of a norm's outputs that keep within their range; the rest is clipped. All other ranges hold all values.
WITHIN = 0.9995
# The mean loss of a number by rounding down.
HALF = 0.5
# The largest bias, in units of a product of codes; weights that are smaller than it allows get coarser codes.
LARGEST_BIAS = 2.0**20


def make_exact(model: GatedNoteModel, notes: NDArray[np.integer]) -> ExactNoteModel:
    """The exact model of a trained one.

    Args:
        model: the trained model.
        notes: int32 `[batch, T + 1, 4]`: the beginnings of pieces, each after the codec's start note.
    """
    config = {name: value for name, value in model.get_config().items() if name not in ("block", "name", "codec")}
    exact = ExactNoteModel(codec=model.codec, **config)
    heard = ops.convert_to_tensor(notes, "int32")
    seen = _observe(model, heard)
    embedding_unit = _set_embeddings([exact.embedding], [model.embedding])
    largest = max(float(np.abs(x).max()) for x in seen["x"])
    x_unit = _set_units([exact.embedding], embedding_unit, largest)
    style = _set_styles(exact, model)
    keyboard = np.concatenate([np.full(PITCHES, 1.0 / exact.roots.outer), np.ones(HORIZON)]) * KEYBOARD_SCALE
    kernels = {keys.name: _array(keys.kernel) for keys in (model.keyboard_before, model.keyboard_now)}
    if model.style_size:
        for keys, projection in ((model.keyboard_before, model.style_trunk), (model.keyboard_now, model.style_hidden)):
            kernels[keys.name] = np.concatenate([kernels[keys.name], _array(projection.kernel)])
    keyboard = np.concatenate([keyboard, style])
    before = kernels["keyboard_before"], model.keyboard_before.bias, keyboard, x_unit
    _set_dense(exact.keyboard_before, *before, lost=_lost_by_roots(exact, seen["ticks"][0]))
    for index, (block, source) in enumerate(zip(exact.blocks, _blocks(model), strict=True)):
        _set_block(block, source, seen, index, x_unit)
    normalized = _set_norm(exact.norm, seen["x"][-1], x_unit)
    first = model.heads[0]
    _set_dense(exact.heads[0], first.kernel, first.bias, normalized, 1.0 / GRID)
    if model.context_notes:
        gates, gate_units = model.echo_counts, ROOM * _reach(np.abs(seen["gates"][0])) / LARGEST_ECHO_GATE
        _set_dense(exact.echo_counts, gates.kernel, gates.bias, normalized, gate_units)
    largest = max(float(np.abs(hidden).max()) for hidden in seen["hidden"])
    hidden_unit = _set_units(exact.drawn, _set_embeddings(exact.drawn, model.drawn), largest)
    to_heads = model.trunk_to_heads
    _set_dense(exact.trunk_to_heads, to_heads.kernel, to_heads.bias, normalized, hidden_unit)
    now = kernels["keyboard_now"], model.keyboard_now.bias, keyboard, hidden_unit
    _set_dense(exact.keyboard_now, *now, lost=_lost_by_roots(exact, seen["ticks"][1]))
    for index in range(1, len(FIELDS)):
        hidden, head = seen["hidden"][index - 1], model.heads[index]
        code = _reach(hidden) / LARGEST_CODE
        exact.hidden_codes[index - 1].assign((hidden_unit / code).astype(np.float32)[None])
        # Lanes at 0 lose nothing.
        lost = HALF * (hidden > 0).mean(axis=0)
        _set_dense(exact.heads[index], head.kernel, head.bias, code, 1.0 / GRID, lost)
        if FIELDS[index] == "duration":
            _set_dense(exact.due_counts, model.due_counts.kernel, model.due_counts.bias, code, 1.0 / GATE_UNITS, lost)
    due = model.due_to_duration
    _set_dense(exact.due_to_duration, due.kernel, np.zeros(due.units), KEYBOARD_SCALE, 1.0 / BONUS_UNITS, lost=0.0)
    if model.context_notes:
        _set_echo(exact, model, x_unit, hidden_unit, gate_units)

    def observe(layer: ExactDense, inputs: Any) -> None:
        layer.observer = None
        found = _array(inputs).reshape(-1, layer.inputs + layer.ends)[:, : layer.inputs].copy()
        found[:, layer.inputs - layer.shifted :] += LOWEST
        kernel = _array(layer.kernel)
        rounded = np.float32(round_weights(kernel.T, found, 1.0).T)
        layer.kernel.assign(rounded)

    dense = [layer for layer in exact._flatten_layers() if isinstance(layer, ExactDense)]
    for layer in dense:
        layer.observer = observe
    exact.score(heard, ops.zeros((len(notes), exact.state_size)))
    return exact


def _array(values: Any) -> NDArray[Any]:
    array: NDArray[Any] = np.array(ops.convert_to_numpy(values))
    return array


def _observe(model: GatedNoteModel, notes: KerasTensor) -> dict[str, list[NDArray[np.float32]]]:
    """What a model computes while it hears notes: arrays `[samples, lanes]`, by name and place."""
    names = ("x", "candidate", "state", "perceptron", "gates", "hidden", "ticks")
    seen: dict[str, list[Any]] = {name: [] for name in names}
    previous, now, scale = notes[:, :-1], notes[:, 1:], math.sqrt(model.width)
    keyboard, repeats, states = model._split_state(ops.zeros((ops.shape(notes)[0], model.state_size)))
    keyboard = model.keyboard.scan(keyboard, previous)
    seen["ticks"].append(keyboard.ticks)
    echo = model.repeats.scan(repeats, previous)[1] if repeats else None
    terms = model._terms(echo, None)
    x = added(model._embed(previous), model._project_keyboard(model.keyboard_before, keyboard), *terms.trunk)
    for block, state in zip(_blocks(model), states, strict=True):
        seen["x"].append(x)
        normalized = unit(x)
        decay, candidate = block._decay_and_candidate(normalized)
        state = linear_recurrence(decay, (1.0 - decay) * candidate, state)
        both = ops.concatenate([normalized, state], axis=-1)
        inner = ops.relu(scaled_dense(block.perceptron, both, scale))
        x = x + block.output_dense(inner)
        seen["candidate"].append(candidate)
        seen["state"].append(state)
        seen["perceptron"].append(inner)
    seen["x"].append(x)
    normalized = unit(x)
    hidden = scaled_dense(model.trunk_to_heads, normalized, scale)
    if echo:
        seen["gates"].append(scaled_dense(model.echo_counts, normalized, scale))
    keyboard = model.keyboard.advance(keyboard, now[..., 0])
    seen["ticks"].append(keyboard.ticks)
    hidden = added(hidden, model._project_keyboard(model.keyboard_now, keyboard), *terms.hidden)
    for index in range(1, len(FIELDS)):
        hidden = ops.relu(hidden + rows(model.drawn[index - 1].embeddings, now[..., index - 1]))
        seen["hidden"].append(hidden)
    return {name: [_array(array).reshape(-1, array.shape[-1]) for array in arrays] for name, arrays in seen.items()}


def _blocks(model: GatedNoteModel) -> list[RecurrentBlock]:
    """The blocks of a model, all of the kind that has an exact form."""
    return [block for block in model.blocks if isinstance(block, RecurrentBlock)]


def _set_block(block: ExactBlock, source: RecurrentBlock, seen: dict[str, Any], index: int, x_unit: float) -> None:
    width = block.width
    normalized = _set_norm(block.norm, seen["x"][index], x_unit)
    _set_dense(block.decay, source.decay.kernel, source.decay.bias, normalized, DECAYS.inner)
    state_unit = np.abs(seen["candidate"][index]).max() / LARGEST_STATE
    _set_dense(block.candidate, source.candidate.kernel, np.zeros(width), normalized / math.sqrt(width), state_unit)
    code = ROOM * _reach(np.abs(seen["state"][index])) / HIGHEST
    block.state_code.assign((state_unit / code).astype(np.float32)[None])
    inner = _reach(seen["perceptron"][index]) / LARGEST_CODE
    both = np.concatenate([normalized, math.sqrt(width) * code])
    _set_dense(block.perceptron, source.perceptron.kernel, source.perceptron.bias, both, inner)
    # The perceptron's bias has made up for what its codes lose.
    _set_dense(block.output_dense, source.output_dense.kernel, source.output_dense.bias, inner, x_unit, lost=0.0)


def _set_styles(exact: ExactNoteModel, model: GatedNoteModel) -> NDArray[np.float64]:
    """Sets the styles, in units of a code, and returns the value of each code: `[style_size]`."""
    if not model.style_size:
        return np.zeros(0)
    table = _array(model.styles.embeddings)
    code = max(float(np.abs(table).max()), 1e-9) / HIGHEST
    exact.styles.embeddings.assign(table / code)
    return np.full(model.style_size, code)


def _set_echo(
    exact: ExactNoteModel, model: GatedNoteModel, x_unit: float, hidden_unit: float, gate_units: NDArray[np.float64]
) -> None:
    """Sets the codes of the echo's embedding, with a scale for each of its lanes.

    Args:
        exact: the exact model.
        model: the trained one.
        x_unit: the value of one unit of the trunk's vectors.
        hidden_unit: that of the heads' hidden vector.
        gate_units: the value of one unit of each field's gate, float64 `[4]`.
    """
    table, width = _array(model.echo.embeddings).astype(np.float64), model.width
    code = np.maximum(np.abs(table).max(axis=0), 1e-9) / LARGEST_WEIGHT
    sums = np.repeat([x_unit, hidden_unit], width) * SURE
    # A whole number of units, so that the sums are whole.
    units = np.maximum(np.ceil(code[: 2 * width] / sums), 1.0)
    code[: 2 * width] = units * sums
    exact.echo.embeddings.assign(np.round(table / code).astype(np.float32))
    exact.echo_units.assign(units.astype(np.float32)[None])
    gates = np.repeat(gate_units, model.codec.sizes)
    exact.echo_logit_units.assign((code[2 * width :] / SURE * gates * GRID).astype(np.float32)[None])


def _set_norm(norm: ExactNorm, x: NDArray[np.float32], x_unit: float) -> NDArray[np.float64]:
    """Sets a norm's scales for vectors `x`, float32 `[samples, width]`; returns the values of the outputs' codes."""
    sizes = np.sqrt(np.square(x).mean(axis=-1, keepdims=True))
    code = float(np.quantile(np.abs(x / sizes), WITHIN)) / HIGHEST
    size = float(np.sqrt(np.square(sizes).mean())) / x_unit
    norm.set_scale(coarse=COARSE * math.sqrt(EXACT / norm.width) / size, code=code)
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
    units = max(1, int(LARGEST_VECTOR / (largest / code)))
    for layer in layers:
        layer.unit.assign(float(units))
    return code / units


def _lost_by_roots(exact: ExactNoteModel, ticks: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean loss of each code by rounding down, float64 `[inputs]`, from the keys' `ticks`, `[samples, 128]`."""
    roots = exact.roots.outer * np.sqrt(ticks)
    lost = np.zeros(exact.keyboard_now.inputs)
    lost[:PITCHES] = (roots - np.floor(roots)).mean(axis=0)
    return lost


def _set_dense(layer: ExactDense, kernel: Any, bias: Any, inputs: Any, outputs: Any, lost: Any = HALF) -> None:
    """Sets a layer's weights, in units of codes that are not rounded yet, its bias and its factors.

    Args:
        layer: the layer.
        kernel: float `[inputs, units]`, the weights that it takes.
        bias: float `[units]`.
        inputs: the value of one code of each input, or of all.
        outputs: the value of one unit of each output, or of all.
        lost: what rounding down took from each input's code on average, or from all.
    """
    kernel = _array(kernel).astype(np.float64) * np.broadcast_to(inputs, layer.inputs)[:, None]
    bias = _array(bias) + np.broadcast_to(lost, layer.inputs) @ kernel + HALF * np.asarray(outputs)
    code = np.maximum(np.abs(kernel).max(axis=0) / LARGEST_WEIGHT, np.abs(bias) / LARGEST_BIAS)
    code = np.maximum(code, np.asarray(outputs) / LARGEST_BIAS)
    layer.kernel.assign(np.float32(kernel / code))
    layer.bias.assign(np.float32(bias / code / BIAS_UNIT))
    layer.multiplier.assign(np.float32(code / np.asarray(outputs)))


def _reach(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The range of each lane of `[samples, lanes]`; never nothing."""
    found = values.max(axis=0).astype(np.float64)
    return np.maximum(found, found.max() * 1e-3 + 1e-9)


def check_sums(model: ExactNoteModel) -> dict[str, float]:
    """The largest value that each sum of a model can have, whatever it hears, by name.

    Raises:
        KerasMusicError: one could pass 2**24, above which float32 is not exact.
    """
    sums: dict[str, float] = {}

    def outputs(layer: ExactDense, owner: str = "") -> float:
        """The largest magnitude of an output, after its factor; the largest sum before it is noted."""
        weights = np.abs(_array(weight_codes(layer.kernel)).astype(np.float64))
        inputs = np.full(layer.inputs, -LOWEST if layer.ends == 2 else LARGEST_CODE)
        inputs[layer.inputs - layer.shifted :] = LARGEST_CODE - LOWEST
        products = inputs @ weights + np.abs(np.round(_array(layer.bias).astype(np.float64) * BIAS_UNIT))
        sums[owner + layer.name] = float(products.max())
        return float((products * np.abs(_array(layer.multiplier))).max()) + 1.0

    def rows_of(layer: ExactEmbedding) -> float:
        return float(np.abs(np.round(_array(layer.embeddings))).max() * _array(layer.unit))

    x = len(FIELDS) * rows_of(model.embedding) + outputs(model.keyboard_before)
    hidden = outputs(model.trunk_to_heads) + outputs(model.keyboard_now) + sum(map(rows_of, model.drawn))
    # The product itself may be inexact, since it is rounded at once.
    bonus = outputs(model.due_to_duration) * outputs(model.due_counts) * GRID / (BONUS_UNITS * GATE_UNITS)
    logits = max(map(outputs, model.heads)) + bonus
    if model.context_notes:
        echo = len(FIELDS) * SURE * rows_of(model.echo)
        units = _array(model.echo_units)[0]
        x += echo * float(units[: model.width].max())
        hidden += echo * float(units[model.width :].max())
        sums["echo"] = echo * LARGEST_ECHO_GATE
        logits += sums["echo"] * float(_array(model.echo_logit_units).max())
    for block in model.blocks:
        owner = f"{block.name}/"
        outputs(block.decay, owner)
        outputs(block.perceptron, owner)
        # The state lies among its candidates, and their difference is formed.
        sums[f"{owner}state"] = 2 * outputs(block.candidate, owner)
        x += outputs(block.output_dense, owner)
    sums |= {"trunk": float(x), "hidden": float(hidden), "logits": float(logits) + 2 * FAR}
    for name, largest in sums.items():
        if largest >= EXACT:
            raise KerasMusicError(
                f"{name}: its sums could reach {largest:,.0f}, and float32 is exact below {EXACT:,}; weights this "
                "large have no exact form"
            )
    return sums
