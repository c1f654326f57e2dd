"""The folder of a run: its files, read without Keras."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasmusic.errors import ArgumentError, KerasMusicError

CHECKPOINT = "checkpoint.keras"
#: The files of a finished run.
RUN_FILES = (
    CHECKPOINT, "run.json", "history.csv", "model.keras", "model.tflite", "loss.png", "sample.mid", "sample.png",
    "sample.wav",
)  # fmt: skip


@dataclass(frozen=True)
class RunFiles:
    """The files that finishing a run adds to its folder.

    Args:
        written: the files that are there now.
        missing: the files that could not be written, each with the reason.
    """

    written: tuple[Path, ...]
    missing: dict[Path, str]


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a training has begun in a folder."""
    return (Path(folder) / "run.json").exists()


def check_new_run(folder: str | os.PathLike[str]) -> None:
    """Raises ArgumentError where a new run would replace files that are not its own."""
    folder = Path(folder)
    if (folder / CHECKPOINT).exists():
        raise ArgumentError(f"{folder}: holds a run already; carry on with --resume, or name another folder")
    if os.path.lexists(folder) and not folder.is_dir():
        raise ArgumentError(f"{folder}: is a file; name a folder with --run")
    if is_run(folder):  # one that ended before its first checkpoint
        return
    for name in RUN_FILES:
        if os.path.lexists(folder / name):
            raise ArgumentError(f"{folder / name}: exists, and training would replace it; name another --run")


def read_start(run: str | os.PathLike[str]) -> dict[str, Any]:
    """The `settings` of a run, the paths of its `data`, and whether the sustain `pedal` was applied, as JSON values.

    Raises:
        KerasMusicError: the folder holds no run.
    """
    try:
        start = json.loads((Path(run) / "run.json").read_text())
        # Older runs name a single source instead of a list.
        return {**start, "data": [start["data"]] if isinstance(start["data"], str) else start["data"]}
    except (OSError, ValueError, TypeError, KeyError):
        raise KerasMusicError(f"{run}: holds no run to resume; start one with 'kerasmusic train'") from None


def read_history(run: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The columns of a run's `history.csv`, one row per round: the loss, its parts by field, steps and minutes."""
    with (Path(run) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}
