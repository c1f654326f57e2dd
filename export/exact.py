"""Stores the weights of an exact model's graph as int8, so that its products become integer arithmetic.

`kerasmusic.models.exact_layers` says why it does: all that changes is how the weights are stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import KerasMusicError
from kerasmusic.export.operators import matrix_operators, operator_codes, serialize

# The version of FULLY_CONNECTED with int8 weights and asymmetric inputs.
DYNAMIC_RANGE = 9
LARGEST = 127


def with_exact_weights(flatbuffer: bytes) -> bytes:
    """Stores the matrices and tables of a float32 graph, all whole numbers, as int8.

    Raises:
        KerasMusicError: weights are not whole numbers from -127 to 127.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    (graph,) = model.subgraphs
    _remove_floors(graph, operator_codes(model))
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = DYNAMIC_RANGE
    model.operatorCodes.append(code)
    for operator in matrix_operators(model):
        _store(model, graph.tensors[operator.inputs[1]], unit=1)
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.builtinOptions.asymmetricQuantizeInputs = True
    _store_tables(model, graph)
    return serialize(model)


def _remove_floors(graph: Any, code_of: list[int]) -> None:
    """Removes the FLOOR after each matrix, which `kerasmusic.models.lookup.kept` put there."""
    from tensorflow.lite.python import schema_py_generated as schema

    matrices = {
        operator.outputs[0]: operator
        for operator in graph.operators
        if code_of[operator.opcodeIndex] == schema.BuiltinOperator.FULLY_CONNECTED
    }
    operators = []
    for operator in graph.operators:
        floor = code_of[operator.opcodeIndex] == schema.BuiltinOperator.FLOOR
        if floor and operator.inputs[0] in matrices:
            matrices[operator.inputs[0]].outputs = operator.outputs
        else:
            operators.append(operator)
    graph.operators = operators


def _store_tables(model: Any, graph: Any) -> None:
    """Stores the tables of look-ups as int8, which a DEQUANTIZE or an EMBEDDING_LOOKUP multiplies by their unit."""
    from tensorflow.lite.python import schema_py_generated as schema

    code_of = operator_codes(model)
    lookup, dequantize = schema.OperatorCodeT(), schema.OperatorCodeT()
    lookup.builtinCode = lookup.deprecatedBuiltinCode = schema.BuiltinOperator.EMBEDDING_LOOKUP
    dequantize.builtinCode = dequantize.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    lookup.version = dequantize.version = 2
    model.operatorCodes += [lookup, dequantize]
    operators = []
    for operator in graph.operators:
        operators.append(operator)
        if code_of[operator.opcodeIndex] != schema.BuiltinOperator.GATHER:
            continue
        table, index = (graph.tensors[each] for each in operator.inputs)
        values = _values(model, table)
        # Smaller tables, such as those of ticks, stay as they are.
        if values is None or values.ndim != 2 or values.size < 4096 or values.shape[1] < 2:
            continue
        unit = _unit(values)
        if unit is None:
            continue
        _store(model, table, unit)
        if len(index.shape) == 1:
            operator.opcodeIndex = model.operatorCodes.index(lookup)
            operator.inputs = [operator.inputs[1], operator.inputs[0]]
            operator.builtinOptions, operator.builtinOptionsType = None, schema.BuiltinOptions.NONE
            continue
        # Gathered codes, then their values.
        gathered = schema.TensorT()
        gathered.shape = graph.tensors[operator.outputs[0]].shape
        gathered.type, gathered.name = schema.TensorType.INT8, table.name + b"_gathered"
        gathered.quantization = _quantization(unit)
        graph.tensors.append(gathered)
        values_of = schema.OperatorT()
        values_of.opcodeIndex = model.operatorCodes.index(dequantize)
        values_of.inputs, values_of.outputs = [len(graph.tensors) - 1], operator.outputs
        operator.outputs = values_of.inputs
        operators.append(values_of)
    graph.operators = operators


def _values(model: Any, tensor: Any) -> NDArray[np.float32] | None:
    """A constant's values; None if the tensor is no float32 constant."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != 0:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def _unit(values: NDArray[np.float32]) -> int | None:
    """The largest whole number that divides all values, if they are codes times that number; else None."""
    if not np.array_equal(values, np.round(values)) or not values.any():
        return None
    unit = int(np.gcd.reduce(np.abs(values.astype(np.int64)).ravel()))
    return unit if np.abs(values).max() <= unit * LARGEST else None


def _store(model: Any, tensor: Any, unit: int) -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    values = _values(model, tensor)
    whole = np.zeros(0) if values is None else np.round(values / unit)
    if values is None or not np.array_equal(whole * unit, values) or np.abs(whole).max() > LARGEST:
        name = bytes(tensor.name).decode(errors="replace")
        raise KerasMusicError(f"{name}: these weights are not int8 codes; an exact file cannot hold them")
    model.buffers[tensor.buffer].data = np.frombuffer(whole.astype(np.int8).tobytes(), np.uint8)
    tensor.type = schema.TensorType.INT8
    tensor.quantization = _quantization(unit)


def _quantization(unit: int) -> Any:
    from tensorflow.lite.python import schema_py_generated as schema

    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [float(unit)], [0]
    return quantization
