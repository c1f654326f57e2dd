"""Reads a `.keras` file's configuration, and checks the classes it names, before Keras opens the file."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from kerasmusic.archives import read_member
from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ModelFileError, printable

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# In bytes. A real configuration has about 4,000; the limit keeps a hostile one from exhausting memory.
LARGEST_CONFIG = 10_000_000
# The classes that a file may name, as module:class:registered name.
_OWN_CLASS = re.compile(
    r"kerasmusic\.models\.\w+:(\w+):kerasmusic>\1"
    r"|keras\.optimizers:(Adam|AdamW|Muon|SGD):None"
    # The same optimizers as Keras saves them on PyTorch.
    r"|keras\.src\.backend\.torch\.optimizers\.torch_\w+:(Adam|AdamW|SGD):\3",
    re.ASCII,
)


def read_keras_config(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """The class name and the configuration of the note model in a `.keras` file.

    Keras looks up, and may import, any class that a file names. A file that names classes other than kerasmusic's
    models and Keras's optimizers, or that contains other members, is therefore refused before Keras sees it.

    Raises:
        ModelFileError: the file does not hold a note model, or holds anything else.
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
    except Exception:  # zipfile, its decompressors and json raise many types
        raise ModelFileError(f"{path}: not a model of notes that kerasmusic saved") from None
    if foreign:
        raise ModelFileError(f"{path}: asks for {foreign[0]}, which no model of kerasmusic is made of; not loaded")
    if further := members - MEMBERS:
        raise ModelFileError(f"{path}: holds {printable(min(further))}, which no model of kerasmusic has; not loaded")
    NoteCodec.from_json(codec)
    return name, inner


def _classes(config: object) -> Iterator[str]:
    """The classes and functions that a Keras configuration names, as module:class:registered name."""
    if isinstance(config, dict):
        if "class_name" in config or "module" in config or "registered_name" in config:
            yield ":".join(str(config.get(key)) for key in ("module", "class_name", "registered_name"))
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)
