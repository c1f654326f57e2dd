"""The beginnings of a graph: what a count or a time of each says is what its last operator adds to those before it."""

from __future__ import annotations

from collections.abc import Iterator

from kerasmusic.export.operators import operator_codes, operator_name, packed


def prefixes(flatbuffer: bytes) -> Iterator[tuple[str, bytes]]:
    """For each operator of a graph, its name, and a graph that ends with it.

    What no later operator reads is an output, so that nothing is left out; inputs, weights and precisions stay.
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
        yield operator_name(operator_codes(model)[graph.operators[-1].opcodeIndex]), packed(model)
