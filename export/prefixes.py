"""Splits a graph into prefixes; the difference between two consecutive ones is the cost of a single operator."""

from __future__ import annotations

from collections.abc import Iterator

from kerasmusic.export.operators import operator_codes, operator_name, serialize


def prefixes(flatbuffer: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the name of each operator, with the graph up to and including it.

    Tensors that no operator reads become outputs, so that nothing is optimised away. Inputs, weights and precisions are
    unchanged.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    (whole,) = schema.ModelT.InitFromPackedBuf(flatbuffer, 0).subgraphs
    results = set(map(int, whole.outputs))
    for count in range(1, len(whole.operators) + 1):
        model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
        (graph,) = model.subgraphs
        graph.operators = graph.operators[:count]
        read = {int(tensor) for operator in graph.operators for tensor in operator.inputs}
        made = [int(tensor) for operator in graph.operators for tensor in operator.outputs]
        graph.outputs = [tensor for tensor in made if tensor in results or tensor not in read]
        model.signatureDefs = []
        yield operator_name(operator_codes(model)[graph.operators[-1].opcodeIndex]), serialize(model)
