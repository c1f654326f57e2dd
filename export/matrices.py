"""Reduces a step to its matrix products, to measure what it would cost if the rest were free."""

from __future__ import annotations

from kerasmusic.export.operators import matrix_operators, serialize


def matrix_products(flatbuffer: bytes) -> bytes:
    """A graph of only the FULLY_CONNECTED operators, with the input of each as an input, and its output as an output.

    Weights, precisions and fused activations are unchanged.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    (graph,) = model.subgraphs
    graph.operators = matrix_operators(model)
    # The first input of an operator is the vector; weights and bias are constants.
    graph.inputs = sorted({operator.inputs[0] for operator in graph.operators})
    graph.outputs = [operator.outputs[0] for operator in graph.operators]
    model.signatureDefs = []
    return serialize(model)
