"""Finds the oldest TFLite runtime that can read a graph, from the versions of its operators.

The table is that of `tflite/tools/versioning/runtime_version.cc` in google-ai-edge/LiteRT (commit 05215c2). Version 14
of FULLY_CONNECTED is missing there; TensorFlow 2.21 is the first release to register it. Version 7 of TRANSPOSE is
there with 2.14.4, which was never released. A test compares the table with what tflite-runtime 2.14 and ai-edge-litert
accept.
"""

from __future__ import annotations

from collections.abc import Iterable

from kerasmusic.errors import KerasMusicError
from kerasmusic.export.operators import Operator

# For each operator that a step may have, the first runtime with version 1, 2, 3 and so on. Operators with control flow,
# variables or random numbers are left out, since a step must not have them.
FIRST_RUNTIMES: dict[str, tuple[str, ...]] = {
    "ABS": ("1.13", "2.4", "2.5", "2.6", "2.12"),
    "ADD": ("1.5", "1.14", "2.4", "2.6", "2.13"),
    "ARG_MAX": ("1.9", "1.14", "2.9"),
    "ARG_MIN": ("1.9", "1.14", "2.9"),
    "ATAN2": ("2.10",),
    "BATCH_MATMUL": ("2.3", "2.3", "2.4", "2.5"),
    "BROADCAST_ARGS": ("2.6",),
    "CAST": ("1.5", "2.7", "2.8", "2.9", "2.12", "2.15", "2.17"),
    "CEIL": ("1.14",),
    "CONCATENATION": ("1.5", "1.14", "2.3", "2.14"),
    "CONV_2D": ("1.5", "1.14", "1.14", "2.3", "2.4", "2.9", "2.11", "2.15"),
    "COS": ("1.14",),
    "CUMSUM": ("2.4",),
    "DEPTHWISE_CONV_2D": ("1.5", "1.12", "1.14", "2.2", "2.3", "2.3", "2.11"),
    "DEQUANTIZE": ("1.13", "1.14", "1.15", "2.2", "2.7", "2.18"),
    "DIV": ("1.6", "2.3"),
    "DYNAMIC_UPDATE_SLICE": ("2.9", "2.17", "2.19", "2.20"),
    "ELU": ("1.14",),
    "EMBEDDING_LOOKUP": ("1.13", "1.14", "1.14", "2.18"),
    "EQUAL": ("1.14", "1.14", "2.3", "2.13"),
    "EXP": ("1.7", "2.12"),
    "EXPAND_DIMS": ("1.10",),
    "FILL": ("1.13", "2.3", "2.5", "2.12"),
    "FLOOR": ("1.9",),
    "FLOOR_DIV": ("1.14", "1.14", "2.13"),
    "FLOOR_MOD": ("1.13", "2.13"),
    "FULLY_CONNECTED": (
        "1.5", "1.10", "1.14", "1.14", "2.0", "2.1", "2.3", "2.3", "2.3", "2.11", "2.15", "2.17", "2.18", "2.21",
    ),
    "GATHER": ("1.6", "1.14", "1.15", "2.4", "2.5", "2.13", "2.15"),
    "GATHER_ND": ("1.14", "2.3", "2.5", "2.13", "2.16"),
    "GELU": ("2.9", "2.9"),
    "GREATER": ("1.14", "1.14"),
    "GREATER_EQUAL": ("1.14", "1.14", "2.13"),
    "HARD_SWISH": ("1.15",),
    "L2_NORMALIZATION": ("1.5", "1.14"),
    "LEAKY_RELU": ("1.13", "2.3"),
    "LESS": ("1.14", "1.14", "2.13"),
    "LESS_EQUAL": ("1.14", "1.14"),
    "LOG": ("1.14", "2.15"),
    "LOGICAL_AND": ("1.11",),
    "LOGICAL_NOT": ("1.11",),
    "LOGICAL_OR": ("1.11",),
    "LOGISTIC": ("1.14", "1.14", "2.3"),
    "LOG_SOFTMAX": ("1.14", "1.14"),
    "MAXIMUM": ("1.14", "1.14", "2.3", "2.3"),
    "MEAN": ("1.6", "1.14", "2.4"),
    "MINIMUM": ("1.14", "1.14", "2.3", "2.3"),
    "MIRROR_PAD": ("1.13", "2.3", "2.12"),
    "MUL": ("1.5", "1.14", "1.15", "2.3", "2.6", "2.11", "2.13"),
    "NEG": ("1.9",),
    "NOT_EQUAL": ("1.14", "1.14", "2.3"),
    "ONE_HOT": ("1.11",),
    "PACK": ("1.11", "1.14", "2.3", "2.13"),
    "PAD": ("1.5", "1.14", "2.4", "2.6"),
    "PADV2": ("1.9", "1.14", "2.4", "2.6"),
    "POW": ("1.10",),
    "PRELU": ("1.8",),
    "QUANTIZE": ("1.14", "1.15", "2.7"),
    "RANGE": ("1.13", "2.14"),
    "REDUCE_ALL": ("2.6",),
    "REDUCE_ANY": ("1.11",),
    "REDUCE_MAX": ("1.11", "1.14", "2.5"),
    "REDUCE_MIN": ("1.11", "1.14", "2.5"),
    "REDUCE_PROD": ("1.11", "2.6"),
    "RELU": ("1.5", "2.1", "2.5"),
    "RELU6": ("1.5", "1.14", "2.5"),
    "RELU_0_TO_1": ("2.10",),
    "RELU_N1_TO_1": ("1.5",),
    "RESHAPE": ("1.5",),
    "REVERSE_V2": ("1.14", "2.2", "2.5"),
    "ROUND": ("1.14",),
    "RSQRT": ("1.10", "2.5", "2.15"),
    "SCATTER_ND": ("2.1",),
    "SELECT": ("1.14", "1.14", "2.12", "2.12"),
    "SELECT_V2": ("2.2", "2.12"),
    "SHAPE": ("1.10",),
    "SIGN": ("2.11", "2.12"),
    "SIN": ("1.9",),
    "SLICE": ("1.14", "1.14", "1.14", "2.4", "2.5", "2.14"),
    "SOFTMAX": ("1.5", "1.14", "2.3"),
    "SPLIT": ("1.5", "1.14", "1.14", "2.3"),
    "SPLIT_V": ("1.13", "2.3"),
    "SQRT": ("1.10",),
    "SQUARE": ("1.12",),
    "SQUARED_DIFFERENCE": ("1.13", "2.5"),
    "SQUEEZE": ("1.6", "2.5"),
    "STRIDED_SLICE": ("1.6", "1.14", "2.1", "2.2", "2.5", "2.6", "2.14", "2.14"),
    "SUB": ("1.6", "1.14", "2.3", "2.4", "2.4"),
    "SUM": ("1.10", "1.15"),
    "TANH": ("1.14", "1.14", "2.3"),
    "TILE": ("1.10", "2.2", "2.8"),
    "TOPK_V2": ("1.7", "1.14", "2.13"),
    "TRANSPOSE": ("1.6", "1.14", "1.15", "2.3", "2.4", "2.12", "2.15"),
    "UNPACK": ("1.11", "1.14", "2.2", "2.3"),
    "WHERE": ("1.14", "2.8"),
    "ZEROS_LIKE": ("1.12",),
}  # fmt: skip


def oldest_runtime(found: Iterable[Operator]) -> str:
    """The first release of TFLite that supports all of the given operators.

    Raises:
        KerasMusicError: an operator or its version is not in the table.

    >>> oldest_runtime([Operator("ADD", 1, 3), Operator("FULLY_CONNECTED", 9, 2), Operator("CUMSUM", 1, 4)])
    '2.4'
    """
    firsts = []
    for operator in found:
        versions = FIRST_RUNTIMES.get(operator.name)
        if versions is None:
            raise KerasMusicError(
                f"{operator.name}: an operator of the exported graph for which kerasmusic knows no oldest runtime; "
                "build the step from other operators, or add it to FIRST_RUNTIMES in export/runtimes.py"
            )
        if not 1 <= operator.version <= len(versions):
            raise KerasMusicError(
                f"the exported graph holds {operator.name} version {operator.version}, which no known runtime is sure "
                "to read; this TensorFlow is newer than kerasmusic knows"
            )
        firsts.append(versions[operator.version - 1])
    return max(firsts, key=lambda version: [int(part) for part in version.split(".")])
