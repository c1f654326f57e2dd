"""Reads a `.keras` file's configuration, and checks the classes it names, before Keras opens the file."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from kerasmusic.archives import read_member
from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ModelFileError, printable
from kerasmusic.models.extensions import MAIN, extension_modules

MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# In bytes. A real configuration has about 4,000; the limit keeps a hostile one from exhausting memory.
LARGEST_CONFIG = 10_000_000
# The classes that any file may name, as module:class:registered name.
_SAFE_CLASS = re.compile(
    r"kerasmusic\.models\.\w+:(\w+):kerasmusic>\1"
    r"|keras\.(?:optimizers|optimizers\.schedules|initializers|regularizers|constraints):[A-Z]\w*:None"
    # Optimizers as Keras saves them on PyTorch.
    r"|keras\.src\.backend\.torch\.optimizers\.torch_\w+:([A-Z]\w*):\2",
    re.ASCII,
)
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class NamedClass(NamedTuple):
    """A class or function that a configuration names; "None" where it leaves out a part."""

    module: str
    name: str
    registered_name: str

    def __str__(self) -> str:
        return ":".join(self)


class KerasConfig(NamedTuple):
    """The configuration of the note model in a `.keras` file.

    Args:
        model: the name of the model's class.
        config: its arguments, as `NoteModel.get_config` returned them.
        own: the classes among those of the file that belong to `extension_modules`.
    """

    model: str
    config: dict[str, Any]
    own: frozenset[NamedClass]


def read_keras_config(path: str | os.PathLike[str]) -> KerasConfig:
    """Reads the configuration of the note model in a `.keras` file.

    Keras looks up, and may import, any class that a file names. A file is therefore refused before Keras sees it if it
    names classes other than kerasmusic's models, Keras's optimizers and the like, and those of `extension_modules`; or
    if it contains other members.

    Raises:
        ModelFileError: the file does not hold a note model, or holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            config = json.loads(read_member(archive, "config.json", LARGEST_CONFIG))
        name, inner = config["class_name"], config["config"]
        named = [each for each in _named_classes(config) if not _SAFE_CLASS.fullmatch(str(each))]
        codec, _ = inner["codec"], (inner["preset"], inner["record"].items())
    except OSError:
        raise
    except Exception:  # zipfile, its decompressors and json raise many types
        raise ModelFileError(f"{path}: not a model of notes that kerasmusic saved") from None
    known = extension_modules()
    if foreign := [each for each in named if each.module not in known]:
        first = min(foreign, key=str)
        raise ModelFileError(
            f"{path}: asks for {printable(str(first))}, which no model of kerasmusic is made of{_remedy(first)}; "
            "not loaded"
        )
    if further := members - MEMBERS:
        raise ModelFileError(f"{path}: holds {printable(min(further))}, which no model of kerasmusic has; not loaded")
    NoteCodec.from_json(codec)
    return KerasConfig(name, inner, frozenset(named))


def _remedy(foreign: NamedClass) -> str:
    module = foreign.module
    if module == MAIN:
        return "; it is of the script or notebook that trained it, which alone can open it"
    # Keras's other classes, such as Lambda, are never needed: a model builds its layers itself.
    if not _MODULE_NAME.fullmatch(module) or module.partition(".")[0] in ("keras", "kerasmusic", "builtins"):
        return ""
    return f"; if you trust the module {module}, add --import {module}, or in Python import it first"


def _named_classes(config: object) -> Iterator[NamedClass]:
    """The classes and functions that a Keras configuration names."""
    if isinstance(config, dict):
        if "class_name" in config or "module" in config or "registered_name" in config:
            # Keras writes null for the module of a script or a notebook.
            module = MAIN if config.get("module") is None else str(config["module"])
            yield NamedClass(module, str(config.get("class_name")), str(config.get("registered_name")))
        for value in config.values():
            yield from _named_classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _named_classes(value)
