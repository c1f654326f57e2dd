"""Pictures: a piano roll, and how a training went. Each is returned as a matplotlib figure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerasmusic.codec import FIELDS
from kerasmusic.errors import MissingPackageError
from kerasmusic.files import written_beside
from kerasmusic.notes import Notes
from kerasmusic.pitch_names import name_of_pitch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# For FIELDS in order: a palette that colour-blind readers can tell apart (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def piano_roll(notes: Notes, *, title: str = "", first: int | None = None) -> Figure:
    """Notes over time: onset and end in seconds across, pitch up, velocity as colour.

    Args:
        notes: what to draw.
        title: above the picture.
        first: draw only so many notes from the beginning.
    """
    from matplotlib.collections import PolyCollection

    notes = notes[: first or len(notes)]
    figure, axes = _figure(10, 3.6)
    left, right = notes.start, np.maximum(notes.end, notes.start + 0.02)
    low, high = notes.pitch - 0.45, notes.pitch + 0.45
    corners = np.stack([left, low, left, high, right, high, right, low], axis=1).reshape(-1, 4, 2)
    bars = PolyCollection(list(corners), array=notes.velocity, cmap="viridis_r", linewidths=0)
    bars.set_clim(1, 127)
    axes.add_collection(bars)
    lowest, highest = (int(notes.pitch.min()), int(notes.pitch.max())) if len(notes) else (48, 72)
    lowest, highest = min(lowest, 55) - 2, max(highest, 65) + 2
    axes.set_xlim(float(left[0]) if len(notes) else 0, max(float(right.max(initial=0)), 1.0))
    axes.set_ylim(lowest, highest)
    octaves = np.arange(-(-lowest // 12) * 12, highest + 1, 12)
    axes.set_yticks(octaves, [name_of_pitch(int(pitch)) for pitch in octaves])
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("pitch")
    axes.set_title(title)
    figure.colorbar(bars, ax=axes, label="velocity", pad=0.01)
    return figure


def loss_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """A training's loss by field over its minutes: thin lines for training, marks for validation.

    Args:
        history: the columns of a run's `history.csv`; see `kerasmusic.runs.read_history`.
    """
    figure, axes = _figure(8, 4.2)
    minutes = np.asarray(history["minutes"])
    for name, colour in (("loss", "#222222"), *zip(FIELDS, COLOURS, strict=True)):
        training, validation = np.asarray(history[name]), np.asarray(history[f"val_{name}"])
        label = "all fields" if name == "loss" else name
        if not np.nan_to_num(training).any():
            continue
        axes.plot(minutes, training, color=colour, linewidth=1, alpha=0.7, label=label)
        seen = np.isfinite(validation)
        axes.plot(minutes[seen], validation[seen], "o", color=colour, markersize=4)
    axes.set_ylim(bottom=0, top=1.3 * float(np.nanmedian(np.asarray(history["loss"]))))
    axes.set_xlim(left=0)
    axes.set_xlabel("minutes")
    axes.set_ylabel("loss a note (lines: training, dots: validation)")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.legend(loc="upper right", ncols=5, frameon=False)
    return figure


def validation_curves(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """The validation loss of several trainings over their minutes, which are on a logarithmic axis.

    Args:
        histories: for each training's name, the columns of its `history.csv`.
    """
    figure, axes = _figure(8, 4.2)
    for (name, history), colour in zip(histories.items(), COLOURS * len(histories), strict=False):
        minutes, loss = np.asarray(history["minutes"]), np.asarray(history["val_loss"])
        seen = np.isfinite(loss)
        axes.plot(minutes[seen], loss[seen], "o-", color=colour, markersize=4, label=name)
        axes.annotate(
            f"{loss[seen][-1]:.2f}", (minutes[seen][-1], loss[seen][-1]), xytext=(4, -9), textcoords="offset points",
            color=colour, va="center",
        )  # fmt: skip
    axes.set_xscale("log")
    ticks = [1, 2, 5, 10, 20, 50, 100, 200]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("minutes")
    axes.set_ylabel("validation loss [nats a note]")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.margins(x=0.08)
    axes.legend(loc="upper right", frameon=False)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as the picture that the path's suffix names, such as .png or .svg."""
    with written_beside(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("drawing needs matplotlib; run: pip install 'kerasmusic[plot]'") from None
    # Made without pyplot, which would keep every figure and want a screen.
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()
