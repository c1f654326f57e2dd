"""Plots latency by percentile, and against nats per note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kerasmusic.bench.machine import machine_name
from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9", "max")
PRESETS = ("small", "base", "tiny", "tutorial")
LINES = {"float32": "-", "float16": "-.", "int8": "--", "int8-full": ":", "exact": "-"}
MARKS = {"float32": "o", "float16": "D", "int8": "s", "int8-full": "^", "exact": "*"}


def latency(records: Sequence[dict[str, Any]]) -> Figure:
    """Plots the latency of a whole note with the first number of threads, of all latency records given.

    Raises:
        ArgumentError: none of the records is of latency.
    """
    records = [record for record in records if record["kind"] == "latency"]
    if not records:
        raise ArgumentError("none of these is a record of latency, which the picture shows")
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ImportError:
        raise MissingPackageError("drawing needs matplotlib; run: pip install 'kerasmusic[plot]'") from None
    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    by_percentile, by_nats = figure.subplots(1, 2, sharey=False)
    several = len(records) > 1
    for index, record in enumerate(records):
        # Machines after the first are paler.
        paler = {"alpha": max(0.3, 1.0 - 0.4 * index)}
        for result in record["results"]:
            if result["threads"] == record["settings"]["threads"][0]:
                model = record["models"][result["model"]]
                name = model["name"] + (f", {machine_name(record['machine'])}" if several else "")
                style = {**_style(model), **paler}
                times = [result["layers_us"]["note"].get(percentile) for percentile in PERCENTILES]
                by_percentile.plot(range(len(times)), times, label=name, linewidth=1.6, markersize=4, **style)
                if model["nats"] is not None:
                    # Hollow, so that coinciding points of two precisions are both visible.
                    by_nats.plot(
                        [model["nats"]["nats"]], times[:1], markerfacecolor="none", markeredgewidth=1.8, markersize=9,
                        **style,
                    )  # fmt: skip
    by_percentile.set_title("by percentile", fontsize=10)
    by_percentile.set_xticks(range(len(PERCENTILES)), PERCENTILES)
    by_nats.set_title("the median, against likelihood (less is better)", fontsize=10)
    by_nats.set_xlabel("nats per note")
    by_nats.margins(0.15)
    if not by_nats.lines:
        by_nats.text(0.5, 0.5, "not measured; add --data", ha="center", transform=by_nats.transAxes)
    for axes in (by_percentile, by_nats):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("a whole note [microseconds]")
        axes.grid(color="#e0e0e0", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2 if several else 5, frameon=False, fontsize=9)
    figure.suptitle("; ".join(dict.fromkeys(machine_name(record["machine"]) for record in records)), fontsize=10)
    return figure


def _style(model: dict[str, Any]) -> dict[str, Any]:
    precision = model["precision"]
    return {"color": _colour(model), "linestyle": LINES.get(precision, "-"), "marker": MARKS.get(precision, "o")}


def _colour(model: dict[str, Any]) -> str:
    preset = model["preset"]
    return COLOURS[PRESETS.index(preset)] if preset in PRESETS else "#555555"
