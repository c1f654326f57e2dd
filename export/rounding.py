"""Weights in int8 that together do what the floats did: each is rounded to make up for those rounded before it.

Rounding each weight to the nearest of 255 values is the best for the weight, not for the product: what a row of a
matrix gives is off by the sum of its weights' errors times their inputs, and inputs go together. So the columns of a
matrix are rounded one after another, and each error is spread over the columns still to come, in the proportion in
which the inputs replace one another (GPTQ: Frantar et al., 2023; the arithmetic is Hassibi and Stork's optimal brain
surgeon, 1993). The scales stay, so nothing changes on the device.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from kerasmusic.edge.generator import Generator
from kerasmusic.edge.model_file import with_record
from kerasmusic.edge.step import TFLiteStep
from kerasmusic.export.operators import matrix_operators, packed

# The model's own play, so that a file depends on the model alone. Memories fill over hundreds of notes.
SEEDS, NOTES = (0, 1, 2, 3), 1_000
# Of the mean square of the inputs: what is added to each, for directions that the play never took.
DAMPING = 0.1
LARGEST = 127


def with_rounded_weights(quantized: bytes, float32: bytes, record: dict[str, Any], interpreter: str) -> bytes:
    """A quantised graph with the weights of its matrices rounded again.

    Args:
        quantized: the graph with int8 weights, one scale a matrix.
        float32: the same graph in float32.
        record: for a file of the latter, which is played.
        interpreter: the module that plays it.
    """
    floats = schema.ModelT.InitFromPackedBuf(float32, 0)
    rounded = schema.ModelT.InitFromPackedBuf(quantized, 0)
    inputs = _inputs_in_play(floats, record, interpreter)
    for source, target in zip(matrix_operators(floats), matrix_operators(rounded), strict=True):
        weights, integers = _weights(floats, source), _weights(rounded, target)
        # A matrix of few weights stays as it is.
        if integers.type == schema.TensorType.INT8:
            matrix = np.frombuffer(bytes(floats.buffers[weights.buffer].data), np.float32).reshape(weights.shape)
            (scale,) = integers.quantization.scale
            values = rounded_together(matrix, inputs[source.inputs[0]], scale)
            rounded.buffers[integers.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    return packed(rounded)


def rounded_together(weights: NDArray[np.float32], inputs: NDArray[np.float32], scale: float) -> NDArray[np.int8]:
    """Integers that, times a scale, give about what weights give on inputs.

    Args:
        weights: float32 `[outputs, inputs]`.
        inputs: float32 `[samples, inputs]`, what the matrix is multiplied with.
        scale: of the integers.

    Returns:
        int8 `[outputs, inputs]`, from -127 to 127.

    Two inputs that are always the same: what the first weight has too little the second has too much.

    >>> rounded_together(np.float32([[0.4, 0.4]]), np.float32([[1, 1], [2, 2]]), scale=1.0)
    array([[0, 1]], dtype=int8)
    """
    together = inputs.T.astype(np.float64) @ inputs / len(inputs)
    together[np.diag_indices(len(together))] += DAMPING * np.trace(together) / len(together) + np.finfo(float).tiny
    # The strongest first: the more columns are left, the better an error is made up for.
    order = np.argsort(-np.diag(together), kind="stable")
    spread = np.linalg.cholesky(np.linalg.inv(together[np.ix_(order, order)])).T
    left = weights[:, order].astype(np.float64)
    integers = np.empty(left.shape, np.int8)
    for column, row in enumerate(spread):
        values = np.clip(np.round(left[:, column] / scale), -LARGEST, LARGEST)
        error = (left[:, column] - values * scale) / row[column]
        left[:, column + 1 :] -= error[:, None] * row[column + 1 :]
        integers[:, order[column]] = values
    return integers


def _weights(model: Any, operator: Any) -> Any:
    return model.subgraphs[0].tensors[operator.inputs[1]]


def _inputs_in_play(model: Any, record: dict[str, Any], interpreter: str) -> dict[int, NDArray[np.float32]]:
    """What every matrix is multiplied with while the model plays, float32 `[notes, inputs]`, by the tensor's index."""
    (graph,) = model.subgraphs
    watched = list(dict.fromkeys(int(operator.inputs[0]) for operator in matrix_operators(model)))
    outputs = graph.outputs
    # What is no output has no place of its own in memory.
    graph.outputs = [*outputs, *(index for index in watched if index not in outputs)]
    flatbuffer = packed(model)
    graph.outputs = outputs
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        path = Path(place) / "watched.tflite"
        path.write_bytes(with_record(flatbuffer, record))
        step = TFLiteStep(path, interpreter=interpreter)
        arrays = [step.tensor(index) for index in watched]
        seen = [np.empty((len(SEEDS) * NOTES, array.size), np.float32) for array in arrays]
        notes = itertools.chain.from_iterable(itertools.islice(Generator(step, seed=seed), NOTES) for seed in SEEDS)
        for row, _ in enumerate(notes):
            for array, rows in zip(arrays, seen, strict=True):
                rows[row] = array.ravel()
    return dict(zip(watched, seen, strict=True))
