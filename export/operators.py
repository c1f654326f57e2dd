"""What a TFLite flatbuffer is made of, read from the file itself."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from kerasmusic.edge.model_file import SIGNATURE
from kerasmusic.edge.step import INPUTS, OUTPUTS
from kerasmusic.errors import KerasMusicError

# What a step must not hold: anything outside the builtin operators, control flow, variables, randomness of its own.
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
    """A kind of operator in a graph: its name, the version of its definition, and how often it is there."""

    name: str
    version: int
    uses: int


def operators(flatbuffer: bytes) -> list[Operator]:
    """The operators of all of a model's graphs, sorted by name."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer, 0)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    counts: Counter[int] = Counter()
    for graph_index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(graph_index)
        counts.update(graph.Operators(index).OpcodeIndex() for index in range(graph.OperatorsLength()))
    return sorted(
        # Codes over 127 are only in the newer of the two fields that hold them.
        Operator(
            operator_name(max(codes[index].BuiltinCode(), codes[index].DeprecatedBuiltinCode())),
            codes[index].Version(),
            count,
        )
        for index, count in counts.items()
    )


def operator_name(code: int) -> str:
    """The schema's name of a builtin operator.

    The schema keeps its operators as attributes of a class, among which Python puts some of its own: 3.13 has
    `__firstlineno__`, whose number is some operator's too. Only upper case is an operator.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    return next(name for name, number in vars(schema.BuiltinOperator).items() if name.isupper() and number == code)


def check_graph(flatbuffer: bytes, *, weights: int) -> list[Operator]:
    """Refuses a graph that is not a step: what goes wrong in conversion goes wrong without a word.

    Args:
        flatbuffer: the graph.
        weights: how many bytes the model's weights take.

    Returns:
        Its operators.

    Raises:
        KerasMusicError: with the reason.
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
    """Refuses operators that a step must not hold."""
    for operator in found:
        if operator.name in FORBIDDEN:
            raise KerasMusicError(f"the exported graph holds {operator.name}: {FORBIDDEN[operator.name]}")


def check_signature(flatbuffer: bytes) -> None:
    """Refuses a graph without the one signature that a step has."""
    import tensorflow as tf

    signatures = tf.lite.Interpreter(model_content=flatbuffer).get_signature_list()
    found = signatures.get(SIGNATURE, {"inputs": [], "outputs": []})
    if set(found["inputs"]) != set(INPUTS) or set(found["outputs"]) != set(OUTPUTS):
        raise KerasMusicError(f"the exported graph has the signatures {signatures}, not {INPUTS} to {OUTPUTS}")


def matrix_operators(model: Any) -> list[Any]:
    """The FULLY_CONNECTED operators of a model that was read with the schema's object interface."""
    from tensorflow.lite.python import schema_py_generated as schema

    (graph,) = model.subgraphs
    codes = operator_codes(model)
    matrix = schema.BuiltinOperator.FULLY_CONNECTED
    return [operator for operator in graph.operators if codes[operator.opcodeIndex] == matrix]


def operator_codes(model: Any) -> list[int]:
    """The builtin operator of each of a model's codes; those over 127 are only in the newer of two fields."""
    return [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]


def packed(model: Any) -> bytes:
    """The flatbuffer of a model that was read with the schema's object interface, and changed."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
