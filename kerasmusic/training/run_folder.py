"""A run's folder, read without Keras."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from kerasmusic.errors import KerasMusicError


def read_start(run: str | os.PathLike[str]) -> dict[str, Any]:
    """What a run was started with, as JSON values.

    They are its `settings`, the sources of its `data`, and whether the `pedal` lengthened its notes.

    Raises:
        KerasMusicError: the folder holds no run.
    """
    try:
        start = json.loads((Path(run) / "run.json").read_text())
        # Older runs have one source, and no list of them.
        return {**start, "data": [start["data"]] if isinstance(start["data"], str) else start["data"]}
    except (OSError, ValueError, TypeError, KeyError):
        raise KerasMusicError(f"{run}: holds no run to resume; start one with 'kerasmusic train'") from None


def read_history(run: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The columns of a run's `history.csv`: losses in all and by field, steps and minutes, one row a round."""
    with (Path(run) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}
