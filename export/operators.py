"""Reads and checks the operators of a TFLite flatbuffer."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from kerasmusic.edge.model_file import SIGNATURE
from kerasmusic.edge.runtime import INPUTS, OUTPUTS, STYLE
from kerasmusic.errors import KerasMusicError

# Operators that a step must not have: custom ones, control flow, variables and random numbers.
CUSTOM = "CUSTOM"
FORBIDDEN = {
    CUSTOM: "it runs only where that operator's library is linked in",
    "WHILE": "a step has no loop",
    "IF": "a step has no branch",
    "CALL_ONCE": "a step has nothing to initialise",
    "VAR_HANDLE": "a step keeps no variables",
    "READ_VARIABLE": "a step keeps no variables",
    "ASSIGN_VARIABLE": "a step keeps no variables",
    "HASHTABLE": "a step keeps no variables",
    "RANDOM_UNIFORM": "randomness is passed in",
    "RANDOM_STANDARD_NORMAL": "randomness is passed in",
    "MULTINOMIAL": "randomness is passed in",
}


class Operator(NamedTuple):
    """A kind of operator in a graph: its name, its version and its number of uses."""

    name: str
    version: int
    uses: int


def operators(flatbuffer: bytes) -> list[Operator]:
    """The operators of all subgraphs of a model, sorted by name."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    counts: Counter[int] = Counter()
    for graph_index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(graph_index)
        counts.update(graph.Operators(index).OpcodeIndex() for index in range(graph.OperatorsLength()))
    return sorted(
        # Codes over 127 are only in the newer of two fields.
        Operator(
            operator_name(max(codes[index].BuiltinCode(), codes[index].DeprecatedBuiltinCode())),
            codes[index].Version(),
            count,
        )
        for index, count in counts.items()
    )


def operator_name(code: int) -> str:
    """The schema's name of a builtin operator.

    The schema has operators as class attributes in upper case. Python adds attributes of its own, such as
    `__firstlineno__` in 3.13, whose value may equal an operator's code.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    return next(name for name, number in vars(schema.BuiltinOperator).items() if name.isupper() and number == code)


def check_graph(flatbuffer: bytes, *, weights: int) -> list[Operator]:
    """Checks that a graph is a complete step, since conversion can fail silently.

    Args:
        flatbuffer: the graph.
        weights: the size of the model's weights in bytes.

    Returns:
        The graph's operators.

    Raises:
        KerasMusicError: the graph lacks weights, has forbidden operators or has another signature.
    """
    if len(flatbuffer) < weights:
        raise KerasMusicError(
            f"the exported graph has {len(flatbuffer):,} bytes, fewer than its weights' {weights:,}: they were lost"
        )
    found = operators(flatbuffer)
    check_operators(found)
    check_signature(flatbuffer)
    return found


def check_operators(found: list[Operator]) -> None:
    """Raises KerasMusicError for operators that a step must not have."""
    for operator in found:
        if operator.name in FORBIDDEN:
            raise KerasMusicError(f"the exported graph holds {operator.name}: {FORBIDDEN[operator.name]}")


def check_signature(flatbuffer: bytes) -> None:
    """Raises KerasMusicError if a graph does not have the signature of a step."""
    import tensorflow as tf

    signatures = tf.lite.Interpreter(model_content=flatbuffer).get_signature_list()
    found = signatures.get(SIGNATURE, {"inputs": [], "outputs": []})
    if set(found["inputs"]) - {STYLE} != set(INPUTS) or set(found["outputs"]) != set(OUTPUTS):
        raise KerasMusicError(f"the exported graph has the signatures {signatures}, not {INPUTS} to {OUTPUTS}")


def matrix_operators(model: Any) -> list[Any]:
    """The FULLY_CONNECTED operators of a model in the schema's object interface."""
    from tensorflow.lite.python import schema_py_generated as schema

    (graph,) = model.subgraphs
    codes = operator_codes(model)
    matrix = schema.BuiltinOperator.FULLY_CONNECTED
    return [operator for operator in graph.operators if codes[operator.opcodeIndex] == matrix]


def operator_codes(model: Any) -> list[int]:
    """The builtin operators by index in the model's table; codes over 127 are only in the newer of two fields."""
    return [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]


def serialize(model: Any) -> bytes:
    """Serialises a model of the schema's object interface as a flatbuffer."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
