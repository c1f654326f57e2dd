"""A step without anything but its matrix products: what it would cost if the rest were free."""

from __future__ import annotations

from kerasmusic.export.operators import matrix_operators, packed


def matrix_products(flatbuffer: bytes) -> bytes:
    """The FULLY_CONNECTED operators of a graph, each with inputs and an output of its own, and nothing else.

    Weights, precisions and fused activations stay as they are.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    (graph,) = model.subgraphs
    graph.operators = matrix_operators(model)
    # The first input is what is multiplied; weights and bias are constants.
    graph.inputs = sorted({operator.inputs[0] for operator in graph.operators})
    graph.outputs = [operator.outputs[0] for operator in graph.operators]
    model.signatureDefs = []
    return packed(model)
