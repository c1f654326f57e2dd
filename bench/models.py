"""Describes the model files of a benchmark."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasmusic.bench.processes import in_fresh_process


def describe_models(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Describes files as JSON values, with a distinct name for each.

    Raises:
        ModelFileError: a file is not a model that the interpreter can read.
    """
    models = [in_fresh_process(__name__, "describe_model", path=path) for path in paths]
    names = [f"{model['preset']} {model['precision']}" for model in models]
    for model, name, path in zip(models, names, paths, strict=True):
        model["name"] = name if names.count(name) == 1 else f"{name} ({'/'.join(Path(path).parts[-2:])})"
    return models


def describe_model(path: str) -> dict[str, Any]:
    """Describes a file, from its metadata and from its graph in the interpreter."""
    import numpy as np

    from kerasmusic.edge import TFLiteRuntime
    from kerasmusic.edge.model_file import read_model_bytes

    data = read_model_bytes(path)
    runtime = TFLiteRuntime(path)
    interpreter, package = runtime.interpreter, runtime.name.replace("_", "-")
    operators = [(operator["op_name"], operator["inputs"]) for operator in interpreter._get_ops_details()]
    matrices = [
        interpreter._get_tensor_details(int(inputs[1]), 0) for name, inputs in operators if name == "FULLY_CONNECTED"
    ]
    sizes = [int(np.prod(matrix["shape"])) for matrix in matrices]
    parts = sum(name == "DELEGATE" for name, _ in operators)
    return {
        "name": f"{runtime.record['preset']} {runtime.record['precision']}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "preset": runtime.record["preset"],
        "precision": runtime.record["precision"],
        "parameters": runtime.record["parameters"],
        "operators": {name: uses for name, _, uses in runtime.record["operators"]},
        "multiply_adds": sum(sizes),
        "matrix_bytes": sum(n * np.dtype(matrix["dtype"]).itemsize for n, matrix in zip(sizes, matrices, strict=True)),
        "runtime": f"{package} {importlib.metadata.version(package)}",
        "xnnpack": parts > 0,
        "delegated_parts": parts,
        "nats": None,
    }


def measure_nats(path: str, data: str, pieces: int | None) -> dict[str, Any] | None:
    """The likelihood of real music (see `kerasmusic.evaluation.likelihood`); None if a field has no distribution."""
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.edge import Generator
    from kerasmusic.evaluation.likelihood import evaluate

    scorer = Generator(path, seed=0)
    found = evaluate(scorer, open_corpus(data, codec=scorer.codec), "validation", pieces)
    if math.isnan(found.nats):
        return None
    return {"nats": found.nats, "interval": list(found.interval), "notes": found.notes, "pieces": found.pieces}
