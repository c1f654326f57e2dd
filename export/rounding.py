"""GPTQ-style int8 rounding: columns are quantised in turn, each compensating for the error of those before it.

Rounding each weight to the nearest of 255 values minimises the error of the weights, but not that of the product, since
the inputs of a matrix are correlated. So columns are rounded one after another, and the error of each is distributed
over the remaining columns according to the correlations (GPTQ: Frantar et al., 2023; the arithmetic is that of Hassibi
and Stork's optimal brain surgeon, 1993). The scales do not change, so the device needs no change.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.edge.generator import Generator
from kerasmusic.edge.model_file import with_record
from kerasmusic.edge.runtime import TFLiteRuntime
from kerasmusic.export.operators import matrix_operators, serialize

# The inputs are from the model's own playing, so that a file depends on the model alone. States take hundreds of
# notes to reach their range.
SEEDS, NOTES = (0, 1, 2, 3), 1_000
# Added to each mean square, relative to their average, for input directions that never occurred.
DAMPING = 0.1
MAX_INT8 = 127


def with_gptq_weights(quantized: bytes, float32: bytes, metadata: dict[str, Any], interpreter: str) -> bytes:
    """Rounds the weights of a quantised graph's matrices again.

    Args:
        quantized: the graph with int8 weights and one scale per matrix.
        float32: the same graph in float32, which plays to collect inputs.
        metadata: the metadata of a file of the float32 graph.
        interpreter: the module of the interpreter that plays it.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    floats = schema.ModelT.InitFromPackedBuf(float32, 0)
    rounded = schema.ModelT.InitFromPackedBuf(quantized, 0)
    inputs = _collect_inputs(floats, metadata, interpreter)
    for source, target in zip(matrix_operators(floats), matrix_operators(rounded), strict=True):
        weights, integers = _weights(floats, source), _weights(rounded, target)
        # The converter leaves small matrices in float32.
        if integers.type == schema.TensorType.INT8:
            matrix = np.frombuffer(bytes(floats.buffers[weights.buffer].data), np.float32).reshape(weights.shape)
            (scale,) = integers.quantization.scale
            values = round_weights(matrix, inputs[source.inputs[0]].reshape(-1, matrix.shape[1]), scale)
            rounded.buffers[integers.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    return serialize(rounded)


def round_weights(weights: NDArray[np.float32], inputs: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    """Rounds weights to integers whose products with the inputs, times the scale, approximate those of the weights.

    Args:
        weights: float32 `[outputs, inputs]`.
        inputs: float32 `[samples, inputs]`, samples of the matrix's input.
        scale: the value of one unit of the integers.

    Returns:
        int8 `[outputs, inputs]`, from -127 to 127.

    If two inputs are always equal, the error of the first weight is compensated by the second:

    >>> round_weights(np.float32([[0.4, 0.4]]), np.float32([[1, 1], [2, 2]]), scale=1.0)
    array([[0, 1]], dtype=int8)
    """
    moments = inputs.T.astype(np.float64) @ inputs / len(inputs)
    moments[np.diag_indices(len(moments))] += DAMPING * np.trace(moments) / len(moments) + np.finfo(float).tiny
    # Strongest inputs first: the more columns remain, the better an error is compensated.
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)])).T
    remaining = weights[:, order].astype(np.float64)
    integers = np.empty(remaining.shape, np.int8)
    for column, row in enumerate(factor):
        values = np.clip(np.round(remaining[:, column] / scale), -MAX_INT8, MAX_INT8)
        error = (remaining[:, column] - values * scale) / row[column]
        remaining[:, column + 1 :] -= error[:, None] * row[column + 1 :]
        integers[:, order[column]] = values
    return integers


def _weights(model: Any, operator: Any) -> Any:
    return model.subgraphs[0].tensors[operator.inputs[1]]


def _collect_inputs(model: Any, metadata: dict[str, Any], interpreter: str) -> dict[int, NDArray[np.float32]]:
    """The inputs of each matrix while the model plays, float32 `[notes, rows * inputs]`, by tensor index."""
    (graph,) = model.subgraphs
    watched = list(dict.fromkeys(int(operator.inputs[0]) for operator in matrix_operators(model)))
    outputs = graph.outputs
    # Only outputs are sure to keep their memory; the interpreter reuses that of other tensors.
    graph.outputs = [*outputs, *(index for index in watched if index not in outputs)]
    flatbuffer = serialize(model)
    graph.outputs = outputs
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        path = Path(folder) / "watched.tflite"
        path.write_bytes(with_record(flatbuffer, metadata))
        runtime = TFLiteRuntime(path, interpreter=interpreter)
        arrays = [runtime.tensor(index) for index in watched]
        samples = [np.empty((len(SEEDS) * NOTES, array.size), np.float32) for array in arrays]
        notes = itertools.chain.from_iterable(itertools.islice(Generator(runtime, seed=seed), NOTES) for seed in SEEDS)
        for row, _ in enumerate(notes):
            for array, rows in zip(arrays, samples, strict=True):
                rows[row] = array.ravel()
    return dict(zip(watched, samples, strict=True))
