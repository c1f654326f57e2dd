"""Times a step against its matrix products alone: `python -m kerasmusic.bench.matrix_products MODEL.tflite`."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

ROUNDS, STEPS = 15, 2_000


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description="Times a step against its matrix products alone; needs TensorFlow.")
    parser.add_argument("model", help="a .tflite file made by kerasmusic")
    options = parser.parse_args()
    print(json.dumps(measure(options.model), indent=1))


def measure(path: str) -> dict[str, float]:
    """Microseconds of the matrix products, of `invoke` and of a whole note, measured in turn, and their ratios."""
    from kerasmusic.edge import Generator, TFLiteRuntime
    from kerasmusic.edge.model_file import read_model_bytes
    from kerasmusic.edge.runtime import interpreter_module
    from kerasmusic.export.matrices import matrix_products

    runtime = TFLiteRuntime(path)
    generator = Generator(runtime, seed=0)
    alone = interpreter_module().Interpreter(model_content=matrix_products(read_model_bytes(path)), num_threads=1)
    alone.allocate_tensors()
    timed: dict[str, tuple[Callable[[], object], list[float]]] = {
        "matrix_products_us": (alone._interpreter.Invoke, []),
        "invoke_us": (runtime.invoke, []),
        "note_us": (generator.__next__, []),
    }
    for run, _ in timed.values():
        _microseconds(run)
    for _ in range(ROUNDS):
        for run, times in timed.values():
            times.append(_microseconds(run))
    found = {name: min(times) for name, (_, times) in timed.items()}
    found["invoke_to_matrix_products"] = statistics.median(
        whole / part for whole, part in zip(timed["invoke_us"][1], timed["matrix_products_us"][1], strict=True)
    )
    found["note_less_invoke_us"] = statistics.median(
        whole - part for whole, part in zip(timed["note_us"][1], timed["invoke_us"][1], strict=True)
    )
    return found


def _microseconds(run: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    for _ in range(STEPS):
        run()
    return (time.perf_counter_ns() - began) / 1_000 / STEPS


if __name__ == "__main__":
    main()
