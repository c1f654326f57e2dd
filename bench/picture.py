"""Latency as a picture: by percentile, and against nats a note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kerasmusic.bench.machine import name_of

from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9", "max")
PRESETS = ("small", "base", "tiny", "tutorial")
LINES = {"float32": "-", "float16": "-.", "int8": "--", "int8-full": ":"}
MARKS = {"float32": "o", "float16": "D", "int8": "s", "int8-full": "^"}


def latency(records: Sequence[dict[str, Any]]) -> Figure:
    """Of every record of latency among some, a whole note on the first number of threads.

    Raises:
        ArgumentError: none of them is one.
    """
    records = [record for record in records if record["kind"] == "latency"]
    if not records:
        raise ArgumentError("none of these is a record of latency, which is what the picture shows")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("drawing needs matplotlib; run: pip install 'kerasmusic[plot]'") from None
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    by_percentile, by_nats = figure.subplots(1, 2)
    several = len(records) > 1
    for record in records:
        for result in record["results"]:
            if result["threads"] == record["settings"]["threads"][0]:
                model = record["models"][result["model"]]
                name = model["name"] + (f", {name_of(record['machine'])}" if several else "")
                _draw_percentiles(by_percentile, result, model, name)
                _draw_nats(by_nats, result, model, name)
    by_percentile.set_xticks(range(len(PERCENTILES)), PERCENTILES)
    by_percentile.set_xlabel("percentile")
    # Below the lines, where there is room: all of them rise.
    by_percentile.legend(loc="upper left", frameon=False, fontsize=8)
    by_nats.set_xlabel("nats a note on MAESTRO's validation split (less is better)")
    if not by_nats.collections:
        by_nats.text(0.5, 0.5, "nats a note: not measured, add --data", ha="center", transform=by_nats.transAxes)
    for axes in (by_percentile, by_nats):
        axes.set_yscale("log")
        axes.set_ylabel("a whole note [microseconds]")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="minor", labelsize=7)
        axes.grid(which="both", color="#e4e4e4", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    by_nats.margins(0.18, 0.2)
    figure.suptitle("; ".join(dict.fromkeys(name_of(record["machine"]) for record in records)), fontsize=9)
    return figure


def _draw_percentiles(axes: Axes, result: dict[str, Any], model: dict[str, Any], name: str) -> None:
    times = [result["layers_us"]["note"].get(percentile) for percentile in PERCENTILES]
    axes.plot(
        range(len(times)), times, linestyle=LINES.get(model["precision"], "-"), color=_colour(model), linewidth=1.6,
        marker=MARKS.get(model["precision"], "o"), markersize=4, label=name,
    )  # fmt: skip


def _draw_nats(axes: Axes, result: dict[str, Any], model: dict[str, Any], name: str) -> None:
    if model["nats"] is None or model["nats"]["nats"] != model["nats"]["nats"]:
        return
    nats, time = model["nats"]["nats"], result["layers_us"]["note"]["p50"]
    axes.scatter([nats], [time], color=_colour(model), marker=MARKS.get(model["precision"], "o"), s=34, zorder=3)
    axes.annotate(name, (nats, time), xytext=(6, 4), textcoords="offset points", fontsize=8, color=_colour(model))


def _colour(model: dict[str, Any]) -> str:
    preset = model["preset"]
    return COLOURS[PRESETS.index(preset)] if preset in PRESETS else "#555555"
