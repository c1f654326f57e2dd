"""Presets: named architectures. docs/benchmarks.md has the size, cost and likelihood of kerasmusic's own.

A preset of your own is registered by `register_preset`, or declared by an installed package as an entry point of the
group `kerasmusic.presets`; docs/extending.md has examples.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from kerasmusic.errors import ArgumentError, check_name, printable
from kerasmusic.models.extensions import import_requested, remember_module

if TYPE_CHECKING:
    from kerasmusic.models.note_model import NoteModel

#: The group of entry points that declare presets: the preset's name, and what `register_preset` takes.
ENTRY_POINTS = "kerasmusic.presets"


@dataclass(frozen=True)
class Preset:
    """A model class or factory and its arguments.

    Args:
        model: a callable that returns a `NoteModel`, such as a subclass; or its name as "module:name", so that presets
            can be listed without importing Keras.
        config: its arguments other than `codec`.
        bundled: whether trained weights come with the package.
    """

    model: str | Callable[..., NoteModel]
    config: Mapping[str, Any] = field(default_factory=dict)
    bundled: bool = False

    def factory(self) -> Callable[..., NoteModel]:
        """The callable; imports its module if it is given by name."""
        if callable(self.model):
            return self.model
        module, _, name = self.model.partition(":")
        found: Callable[..., NoteModel] = getattr(importlib.import_module(module), name)
        return found


GATED = "kerasmusic.models.gated_model:GatedNoteModel"

PRESETS: dict[str, Preset] = {
    "tutorial": Preset("kerasmusic.models.tutorial_model:TutorialModel", {}),
    "tiny": Preset(GATED, {"width": 64, "hidden": 128, "depth": 2}),
    "small": Preset(GATED, {"width": 256, "hidden": 640, "depth": 2}, bundled=True),
    "base": Preset(GATED, {"width": 512, "hidden": 1280, "depth": 2, "memory": 4096}),
}


#: The presets that come with kerasmusic.
OWN_PRESETS = tuple(PRESETS)


def find_preset(name: str) -> Preset:
    """The preset of this name: registered, of a module that `--import` names, or declared by an installed package.

    Raises:
        ArgumentError: there is no such preset, or the module that has it cannot be imported.

    >>> find_preset("small").config["width"]
    256
    """
    if name not in PRESETS:
        import_requested()
    if name not in PRESETS:
        declared = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
        check_name("preset", name, [*PRESETS, *declared])
        try:
            register_preset(name, declared[name].load())
        except (ImportError, AttributeError) as error:
            raise ArgumentError(
                f"{name}: a preset of the package that declares {declared[name].value}, which cannot be imported "
                f"({printable(str(error))})"
            ) from None
    return PRESETS[name]


def register_preset(name: str, preset: Preset | Callable[..., NoteModel]) -> None:
    """Registers a preset, so that `NoteModel.new(name)` and `kerasmusic train --preset name` make a model of it.

    Args:
        name: the preset's name; a preset of that name registered before is replaced.
        preset: a preset; or a factory, which is called with the argument `codec` and returns a `NoteModel`, such as a
            subclass of it.

    Raises:
        ArgumentError: kerasmusic itself has a preset of that name.

    Example, with a subclass of `NoteModel` of your own::

        register_preset("mine", MyModel)
        register_preset("mine-wide", Preset(MyModel, {"units": 512}))
    """
    if name in OWN_PRESETS:
        raise ArgumentError(f"{name}: is a preset of kerasmusic; choose another name")
    found = preset if isinstance(preset, Preset) else Preset(preset)
    remember_module(found.model.partition(":")[0] if isinstance(found.model, str) else found.model.__module__)
    PRESETS[name] = found
