"""Changes to a flatbuffer that TFLite's converter has no setting for."""

from __future__ import annotations

from tensorflow.lite.python import schema_py_generated as schema

from kerasmusic.export.operators import matrix_operators, operator_codes, packed


def without_other_ranges(calibrated: bytes) -> bytes:
    """A calibrated graph with the ranges of what matrices read and write, and no others.

    The quantiser gives all that is concatenated one range: the recurrences' states, of about 1, would have that of the
    keys beside them in the step's state, which is of thousands.
    """
    model = schema.ModelT.InitFromPackedBuf(calibrated, 0)
    (graph,) = model.subgraphs
    kept = {index for operator in matrix_operators(model) for index in (*operator.inputs, *operator.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index not in kept:
            tensor.quantization = None
    return packed(model)


def with_joined_lookups(flatbuffer: bytes) -> bytes:
    """A graph in which one operator looks up a row of a table in int8 and makes floats of it, instead of two.

    EMBEDDING_LOOKUP does both, but the converter never makes one. It takes a list of rows, so that a look-up of a
    matrix of rows stays as it is.
    """
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    (graph,) = model.subgraphs
    code_of = operator_codes(model)
    dequantized = {
        operator.inputs[0]: operator
        for operator in graph.operators
        if code_of[operator.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
    }
    joined = schema.OperatorCodeT()
    joined.builtinCode = joined.deprecatedBuiltinCode = schema.BuiltinOperator.EMBEDDING_LOOKUP
    joined.version = 2
    for operator in list(graph.operators):
        if code_of[operator.opcodeIndex] != schema.BuiltinOperator.GATHER:
            continue
        table, index = operator.inputs
        if operator.outputs[0] not in dequantized or len(graph.tensors[index].shape) > 1:
            continue
        if joined not in model.operatorCodes:
            model.operatorCodes.append(joined)
        floats = dequantized[operator.outputs[0]]
        graph.operators.remove(floats)
        operator.opcodeIndex = model.operatorCodes.index(joined)
        operator.inputs, operator.outputs = [index, table], floats.outputs
        operator.builtinOptions, operator.builtinOptionsType = None, schema.BuiltinOptions.NONE
    return packed(model) if joined in model.operatorCodes else flatbuffer
