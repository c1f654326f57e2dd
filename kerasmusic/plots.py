"""Plots as matplotlib figures: piano rolls, distributions of notes, and loss curves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasmusic.codec import FIELDS
from kerasmusic.errors import ArgumentError, MissingPackageError, printable
from kerasmusic.files import atomic_write
from kerasmusic.notes import Notes
from kerasmusic.pitch_names import pitch_name

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# A note is drawn at least this fraction of the piece wide: one thousandth.
NARROWEST = 1_000
# With fewer rows of history, each is marked by a cross.
MIN_ROWS = 10
SUFFIXES = (".png", ".svg")
# For FIELDS in order: a palette that colour-blind readers can tell apart (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def piano_roll(notes: Notes, *, title: str = "", first: int | None = None) -> Figure:
    """Draws notes as bars: time in seconds across, pitch up, velocity as colour.

    Args:
        notes: the performance.
        title: the text above the plot.
        first: the number of notes to draw, from the beginning; by default all.
    """
    figure, axes = _figure(10, 3.6)
    from matplotlib.collections import PolyCollection

    notes = notes[: first or len(notes)]
    # The shortest note stays visible in a long piece.
    left, right = notes.start, np.maximum(notes.end, notes.start + max(0.02, notes.seconds / NARROWEST))
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
    axes.set_yticks(octaves, [pitch_name(int(pitch)) for pitch in octaves])
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("pitch")
    _write(axes.set_title(""), title)
    figure.colorbar(bars, ax=axes, label="velocity", pad=0.01)
    return figure


def distributions(pieces: Mapping[str, Notes], *, drop_percentile: float = 2.5) -> Figure:
    """Draws histograms of pitch, step, duration and velocity, as TensorFlow's tutorial does.

    The first piece is drawn as filled areas, and the others as lines over it, such as generated music over real music.
    Heights are percentages of each piece's notes, so that pieces of different lengths can be compared.

    Args:
        pieces: the notes of each piece by its name.
        drop_percentile: the percentage of the first piece's longest steps and durations to leave out.

    Raises:
        ArgumentError: there is no piece, or a piece has no notes.
    """
    if not pieces or not all(map(len, pieces.values())):
        raise ArgumentError(f"{', '.join(pieces) or 'no piece'}: there are no notes to draw the distributions of")
    figure = _blank_figure(10, 6)
    first = next(iter(pieces.values()))
    longest = {name: float(np.percentile(getattr(first, name), 100 - drop_percentile)) for name in ("step", "duration")}
    # Bins hold whole numbers of semitones and of velocity values; others would hold unequal numbers of them.
    low, high = (
        extreme(edge(notes.pitch) for notes in pieces.values()) for extreme, edge in ((min, np.min), (max, np.max))
    )
    edges = {
        "pitch": np.arange(low // 3 * 3, high + 4, 3) - 0.5,
        "step": np.linspace(0, max(longest["step"], 0.01), 21),
        "velocity": np.arange(0, 129, 8) - 0.5,
        "duration": np.linspace(0, max(longest["duration"], 0.01), 21),
    }
    labels = {"pitch": "pitch", "step": "step [s]", "velocity": "velocity", "duration": "duration [s]"}
    for index, name in enumerate(("pitch", "step", "velocity", "duration")):
        axes = figure.add_subplot(2, 2, index + 1)
        for number, notes in enumerate(pieces.values()):
            values = getattr(notes, name)
            heights = 100 * np.histogram(values, edges[name])[0] / len(values)
            filled = {"fill": True, "alpha": 0.45} if number == 0 else {"linewidth": 2}
            axes.stairs(heights, edges[name], color=COLOURS[number % len(COLOURS)], **filled)
        axes.set_xlabel(labels[name])
        axes.set_xlim(edges[name][0], edges[name][-1])
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        if name == "pitch":
            octaves = np.arange(-(-int(edges[name][0] + 0.5) // 12) * 12, edges[name][-1], 12)
            axes.set_xticks(octaves, [pitch_name(int(pitch)) for pitch in octaves])
        if index % 2 == 0:
            axes.set_ylabel("share of the notes [%]")
    figure.align_ylabels()
    if len(pieces) > 1:
        _add_legend(
            figure, figure.axes[0].patches, list(pieces), loc="outside upper center", ncols=len(pieces), frameon=False
        )
    else:
        _write(figure.suptitle("", fontsize="medium"), next(iter(pieces)))
    return figure


def loss_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draws the loss of each field over the minutes of a training: lines for training, dots for validation.

    Args:
        history: the columns of a run's `history.csv`; see `kerasmusic.training.run_folder.read_history`.

    Raises:
        ArgumentError: the history has no rows.
    """
    if not history:
        raise ArgumentError("there is no loss to draw before the first round of a training has ended")
    figure, axes = _figure(8, 4.2)
    # A line through a single point would be invisible.
    marks, lines = ("x-", "crosses") if len(history["minutes"]) < MIN_ROWS else ("-", "lines")
    minutes = np.asarray(history["minutes"])
    for name, colour in (("loss", "#222222"), *zip(FIELDS, COLOURS, strict=True)):
        training, validation = np.asarray(history[name]), np.asarray(history[f"val_{name}"])
        label = "all fields" if name == "loss" else name
        if not np.nan_to_num(training).any():
            continue
        axes.plot(minutes, training, marks, color=colour, linewidth=1, alpha=0.7, label=label)
        finite = np.isfinite(validation)
        axes.plot(minutes[finite], validation[finite], "o", color=colour, markersize=4)
    # The first losses of a long training are far above the rest; the axis leaves them out.
    losses = (np.asarray(history[name]) for name in ("loss", "val_loss"))
    axes.set_ylim(
        bottom=0,
        top=1.3 * max(float(np.median(loss[finite])) for loss in losses if (finite := np.isfinite(loss)).any()),
    )
    axes.set_xlim(left=0)
    axes.set_xlabel("minutes")
    axes.set_ylabel(f"loss per note ({lines}: training, dots: validation)")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.legend(loc="upper right", ncols=5, frameon=False)
    return figure


def validation_curves(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draws the validation loss of several trainings over their minutes, on a logarithmic axis.

    Args:
        histories: the columns of `history.csv` of each training by its name.
    """
    figure, axes = _figure(8, 4.2)
    for history, colour in zip(histories.values(), COLOURS * len(histories), strict=False):
        minutes, loss = np.asarray(history["minutes"]), np.asarray(history["val_loss"])
        finite = np.isfinite(loss)
        axes.plot(minutes[finite], loss[finite], "o-", color=colour, markersize=4)
        axes.annotate(
            f"{loss[finite][-1]:.2f}", (minutes[finite][-1], loss[finite][-1]),
            xytext=(4, -9), textcoords="offset points", color=colour, va="center",
        )  # fmt: skip
    axes.set_xscale("log")
    ticks = [1, 2, 5, 10, 20, 50, 100, 200]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("minutes")
    axes.set_ylabel("validation loss [nats per note]")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.margins(x=0.08, y=0.1)
    _add_legend(axes, axes.get_lines(), list(histories), loc="best", frameon=False)
    return figure


def figure_of(
    paths: Sequence[str | os.PathLike[str]],
    *,
    first: int | None = None,
    shares: bool = False,
    instrument: int | None = None,
) -> Figure:
    """Draws the plot that fits the given files.

    Args:
        paths: one MIDI file for its piano roll; several for their distributions, real music first; the folder of a run
            for its loss by field; or the folders of several runs for their validation losses.
        first: the number of notes of each MIDI file to draw, from the beginning; by default all.
        shares: whether to draw distributions of a single MIDI file too.
        instrument: the index of the only instrument of each MIDI file to draw; see `kerasmusic.midi.read`.

    Raises:
        ArgumentError: runs and MIDI files are mixed, or an argument does not apply to them.
        KerasMusicError: a file cannot be read.
    """
    from kerasmusic import midi
    from kerasmusic.training.run_folder import read_history

    files = [Path(path) for path in paths]
    if first is not None and first < 1:
        raise ArgumentError(f"{first}: draw the first 1 or more notes")
    runs = [file for file in files if file.is_dir() or file.name == "history.csv"]
    if runs and instrument is not None:
        raise ArgumentError(f"{instrument}: --instrument is for MIDI files, and {runs[0]} is a run")
    if runs and len(runs) < len(files):
        raise ArgumentError(f"{', '.join(map(str, files))}: runs and MIDI files are drawn separately")
    names = dict(zip(files, _distinct_names(files), strict=True))
    if runs:
        histories = {names[run]: read_history(run if run.is_dir() else run.parent) for run in runs}
        return loss_curves(next(iter(histories.values()))) if len(runs) == 1 else validation_curves(histories)
    pieces = {names[file]: midi.read(file, instrument=instrument)[:first] for file in files}
    if shares or len(pieces) > 1:
        return distributions(pieces)
    ((name, notes),) = pieces.items()
    counted = f"{len(notes):,} note{'' if len(notes) == 1 else 's'}"
    return piano_roll(notes, title=f"{name}: {'first ' if first else ''}{counted}")


def _distinct_names(paths: Sequence[Path]) -> list[str]:
    """A distinct name for each file: its name, with as many parent folders as it takes to tell them apart."""
    for parts in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path} ({index})" for index, path in enumerate(paths, 1)]


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Raises ArgumentError if the suffix of an output file is neither .png nor .svg."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{path}: a picture is {' or '.join(SUFFIXES)}")


def check_installed() -> None:
    """Raises MissingPackageError if matplotlib is not installed."""
    _figure_class()


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure in the format of the path's suffix, such as .png or .svg."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _add_legend(parent: Axes | Figure, drawn: Sequence[Artist], names: Sequence[str], **options: Any) -> None:
    # matplotlib omits names that begin with an underscore from a legend, so the real names are set afterwards.
    legend = parent.legend(drawn, [str(number) for number in range(len(names))], **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        _write(text, name)


def _write(text: Text, name: str) -> None:
    """Sets a text to a file's name, literally."""
    # A dollar sign would begin a formula.
    text.set_parse_math(False)
    text.set_text(_drawable(printable(name), text))


def _drawable(name: str, text: Text) -> str:
    """Replaces letters that no installed font has by "?"; gives `text` the fonts that the others need."""
    from matplotlib import font_manager
    from matplotlib.font_manager import FontProperties
    from matplotlib.ft2font import FT2Font

    def without(letters: set[str], properties: FontProperties) -> set[str]:
        try:
            font = FT2Font(font_manager.findfont(properties))
        except (OSError, RuntimeError):  # uninstalled in the meantime
            return letters
        return {letter for letter in letters if not font.get_char_index(ord(letter))}

    absent = without(set(name), text.get_fontproperties())
    families = list(text.get_fontfamily())
    for family in dict.fromkeys(font.name for font in font_manager.fontManager.ttflist):
        if not absent:
            break
        # matplotlib's Last Resort font has one placeholder per script, and no letters.
        if family.startswith("Last Resort"):
            continue
        left = without(absent, FontProperties(family=family))
        if len(left) < len(absent):
            families.append(family)
            absent = left
    text.set_fontfamily(families)
    return "".join("?" if letter in absent else letter for letter in name)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _blank_figure(width, height)
    return figure, figure.add_subplot()


def _blank_figure(width: float, height: float) -> Figure:
    # Not by pyplot, which keeps every figure in memory and may need a display.
    return _figure_class()(figsize=(width, height), layout="constrained")


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("drawing needs matplotlib; run: pip install 'kerasmusic[plot]'") from None
    return Figure
