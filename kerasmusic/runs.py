"""What a run's folder says of itself, read without Keras."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from kerasmusic.codec import NoteCodec
from kerasmusic.errors import KerasMusicError, ModelFileError


def read_start(run: str | os.PathLike[str]) -> dict[str, Any]:
    """What a run was started with, as JSON values: its `settings`, its `data` and whether the `pedal` was heard.

    Raises:
        KerasMusicError: the folder holds no run.
    """
    try:
        return json.loads((Path(run) / "run.json").read_text())
    except (OSError, ValueError):
        raise KerasMusicError(f"{run}: holds no run to resume; start one with 'kerasmusic train'") from None


def read_history(run: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The columns of a run's `history.csv`: losses in all and by field, steps and minutes, one row a round."""
    with open(Path(run) / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def read_keras_config(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """The class and the configuration of the model of notes in a `.keras` file.

    Raises:
        ModelFileError: the file holds none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        name, inner = config["class_name"], config["config"]
        NoteCodec.from_json(inner["codec"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, ModelFileError):
        raise ModelFileError(f"{path}: not a model of notes that kerasmusic saved") from None
    return name, inner
