"""Rewrites flatbuffers in ways for which TFLite's converter has no setting."""

from __future__ import annotations

from tensorflow.lite.python import schema_py_generated as schema

from kerasmusic.export.operators import matrix_operators, operator_codes, serialize


def keep_matrix_ranges(calibrated: bytes) -> bytes:
    """Removes all ranges from a calibrated graph but those of the inputs and outputs of matrices.

    The quantiser gives concatenated tensors one common range. In the step's state, recurrent states of about 1 would
    share a range with the keyboard's values, which are in the thousands.
    """
    model = schema.ModelT.InitFromPackedBuf(calibrated, 0)
    (graph,) = model.subgraphs
    kept = {index for operator in matrix_operators(model) for index in (*operator.inputs, *operator.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index not in kept:
            tensor.quantization = None
    return serialize(model)


def fuse_lookups(flatbuffer: bytes) -> bytes:
    """Fuses each GATHER from an int8 table and its DEQUANTIZE into one EMBEDDING_LOOKUP.

    The converter never emits EMBEDDING_LOOKUP. It takes a vector of indices, so look-ups by a matrix are unchanged.
    """
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    (graph,) = model.subgraphs
    code_of = operator_codes(model)
    dequantized = {
        operator.inputs[0]: operator
        for operator in graph.operators
        if code_of[operator.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
    }
    fused = schema.OperatorCodeT()
    fused.builtinCode = fused.deprecatedBuiltinCode = schema.BuiltinOperator.EMBEDDING_LOOKUP
    fused.version = 2
    for operator in list(graph.operators):
        if code_of[operator.opcodeIndex] != schema.BuiltinOperator.GATHER:
            continue
        table, index = operator.inputs
        if operator.outputs[0] not in dequantized or len(graph.tensors[index].shape) > 1:
            continue
        if fused not in model.operatorCodes:
            model.operatorCodes.append(fused)
        floats = dequantized[operator.outputs[0]]
        graph.operators.remove(floats)
        operator.opcodeIndex = model.operatorCodes.index(fused)
        operator.inputs, operator.outputs = [index, table], floats.outputs
        operator.builtinOptions, operator.builtinOptionsType = None, schema.BuiltinOptions.NONE
    return serialize(model) if fused in model.operatorCodes else flatbuffer
