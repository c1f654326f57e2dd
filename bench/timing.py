"""Statistics of measured times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

PERCENTILES = (50, 90, 95, 99, 99.9)


def summary(nanoseconds: Sequence[int]) -> dict[str, float]:
    """The number of steps, and mean, standard deviation, extremes and percentiles of their microseconds.

    >>> summary([1_000, 3_000])["p50"]
    2.0
    """
    import numpy as np

    times = np.asarray(nanoseconds, np.float64) / 1_000
    found = {"steps": float(len(times)), "mean": times.mean(), "std": times.std(), "min": times.min()}
    found |= dict(zip((f"p{percent:g}" for percent in PERCENTILES), np.percentile(times, PERCENTILES), strict=True))
    found["max"] = times.max()
    return {name: round(float(value), 3) for name, value in found.items()}


def seconds(action: Callable[[], Any]) -> float:
    """The seconds that an action takes."""
    began = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - began) / 1e9


def growth(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent e of the best fit cost = c * size ** e, by least squares of the logarithms.

    >>> round(growth([1, 2, 4], [3, 12, 48]), 3)
    2.0
    """
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
