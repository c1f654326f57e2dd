"""Measures the speed and the accuracy of an exported file, run as its users will run it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.edge.generator import Generator
from kerasmusic.edge.runtime import TFLiteRuntime

WARM_UP, TIMED = 200, 1_000


def measure(path: Path, pieces: Sequence[NDArray[np.int32]], expected: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Measures the time of a step, and the deviation of log probabilities from Keras's on real music.

    Args:
        path: a `.tflite` file.
        pieces: the fields of real music, int32 `[n, 4]` each; may be empty.
        expected: the log probabilities that Keras gives them, float32 `[n, 4]` each.

    Returns:
        `interpreter`, `microseconds`, `difference` and `nats_lost`, as in `kerasmusic.export.ExportResult`.
    """
    runtime = TFLiteRuntime(path)
    found: dict[str, Any] = {"interpreter": runtime.name, "difference": None, "nats_lost": None}
    if pieces:
        differences = np.concatenate(
            [
                wanted - scored
                for wanted, scored in zip(expected, Generator(runtime, seed=0).score_fields(pieces), strict=True)
            ]
        )
        # Fields without a distribution are NaN in both.
        found["difference"] = float(np.nanmax(np.abs(differences)))
        found["nats_lost"] = float(np.nansum(differences, axis=1).mean())
    Generator(runtime, seed=0).take(WARM_UP)
    times = []
    for _ in range(TIMED):
        began = time.perf_counter_ns()
        runtime.run()
        times.append(time.perf_counter_ns() - began)
    found["microseconds"] = float(np.median(times)) / 1_000
    return found
