"""Presets: named architectures as data. docs/benchmarks.md has the size, cost and likelihood of each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerasmusic.errors import check_name


@dataclass(frozen=True)
class Preset:
    """A model class and its arguments.

    Args:
        model: the class as "module:name", so that the presets can be listed without importing Keras.
        config: the arguments of the class other than `codec`, `preset` and `record`.
        bundled: whether trained weights come with the package.
    """

    model: str
    config: Mapping[str, Any]
    bundled: bool = False

    def model_class(self) -> type[Any]:
        """Imports the class, a subclass of `kerasmusic.models.NoteModel`."""
        module, _, name = self.model.partition(":")
        found: type[Any] = getattr(importlib.import_module(module), name)
        return found


GATED = "kerasmusic.models.gated_model:GatedNoteModel"

PRESETS: dict[str, Preset] = {
    "tutorial": Preset("kerasmusic.models.tutorial_model:TutorialModel", {}),
    "tiny": Preset(GATED, {"width": 64, "hidden": 128, "depth": 2}),
    "small": Preset(GATED, {"width": 256, "hidden": 640, "depth": 2}, bundled=True),
    "base": Preset(GATED, {"width": 512, "hidden": 1280, "depth": 2, "memory": 2048}),
}


def find_preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ArgumentError: there is no such preset.

    >>> find_preset("small").config["width"]
    256
    """
    check_name("preset", name, PRESETS)
    return PRESETS[name]


def register_preset(name: str, preset: Preset) -> None:
    """Registers a preset, so that `NoteModel.new(name)` makes a model of it; see docs/extending.md."""
    PRESETS[name] = preset
