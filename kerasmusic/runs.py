"""What a run's folder says of itself, read without Keras."""

from __future__ import annotations

import csv
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasmusic.archives import read_member
from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ArgumentError, KerasMusicError, ModelFileError, printable

CHECKPOINT = "checkpoint.keras"
#: What a finished run leaves in its folder.
RUN_FILES = (
    CHECKPOINT, "run.json", "history.csv", "model.keras", "model.tflite", "loss.png", "sample.mid", "sample.png",
    "sample.wav",
)  # fmt: skip
MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# A configuration has some 4,000; more would only be there to fill the memory.
LARGEST_CONFIG = 10_000_000
# Module, class and registered name of what a file may ask for.
_OWN_CLASS = re.compile(
    r"kerasmusic\.models\.\w+:(\w+):kerasmusic>\1"
    r"|keras\.optimizers:(Adam|AdamW|Muon|SGD):None"
    # What Keras makes of these on PyTorch.
    r"|keras\.src\.backend\.torch\.optimizers\.torch_\w+:(Adam|AdamW|SGD):\3",
    re.ASCII,
)


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a training has begun in a folder."""
    return (Path(folder) / "run.json").exists()


def check_new_run(folder: str | os.PathLike[str]) -> None:
    """Raises ArgumentError where a new run would replace files in its folder that are none of its own."""
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
    with (Path(run) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}


def read_keras_config(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """The class and the configuration of the model of notes in a `.keras` file.

    Keras looks up by name, and may import, whatever class a file asks for; so a file that asks for any other than
    kerasmusic's models and Keras's optimizers, or that brings files of its own, is refused before Keras sees it.

    Raises:
        ModelFileError: the file holds none, or something else besides.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            config = json.loads(read_member(archive, "config.json", LARGEST_CONFIG))
        name, inner = config["class_name"], config["config"]
        foreign = sorted(printable(found) for found in _classes(config) if not _OWN_CLASS.fullmatch(found))
        codec, _ = inner["codec"], (inner["preset"], inner["record"].items())
    except OSError:
        raise
    except Exception:  # zipfile, what it unpacks with and json raise many types
        raise ModelFileError(f"{path}: not a model of notes that kerasmusic saved") from None
    if foreign:
        raise ModelFileError(f"{path}: asks for {foreign[0]}, which no model of kerasmusic is made of; not loaded")
    if further := members - MEMBERS:
        raise ModelFileError(f"{path}: holds {printable(min(further))}, which no model of kerasmusic has; not loaded")
    NoteCodec.from_json(codec)
    return name, inner


def _classes(config: object) -> Iterator[str]:
    """The classes and functions that a Keras configuration asks for, each with its module and its registered name."""
    if isinstance(config, dict):
        if "class_name" in config or "module" in config or "registered_name" in config:
            yield ":".join(str(config.get(key)) for key in ("module", "class_name", "registered_name"))
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)
