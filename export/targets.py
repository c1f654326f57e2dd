"""Export targets: what a model can be exported to, by name, and the interface that one of your own implements."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kerasmusic.errors import ArgumentError, suggest
from kerasmusic.export.process import export_tflite
from kerasmusic.opening import KERAS, TFLITE, find_keras_file, find_model, kind_of


@dataclass(frozen=True)
class Target:
    """A form in which models leave the workstation.

    Args:
        name: its name after `kerasmusic export --to`.
        output: the default name of the file or folder that it writes.
        write: writes a model, as `kerasmusic.opening.find_model` takes it, to an output in a precision, and returns the
            bytes written. Nothing partial may be left behind; `kerasmusic.files` helps.
    """

    name: str
    output: str
    write: Callable[[str | None, Path, str], int]


def write_tflite(model: str | None, output: Path, precision: str) -> int:
    """Exports a run or a `.keras` file to a `.tflite` file."""
    return export_tflite(find_keras_file(model), output, precision=precision).bytes


def write_web(model: str | None, output: Path, precision: str) -> int:
    """Writes the folder of a web page that plays a model."""
    from kerasmusic.export.web_page import write_page

    path = find_model(model, prefer=TFLITE if precision == "float32" else KERAS)
    if kind_of(path) is TFLITE:
        if precision != "float32":
            raise ArgumentError(f"{path}: is exported already; --precision {precision} is for a .keras file")
        return write_page(path, output)
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        return write_page(export_tflite(path, Path(folder) / "model.tflite", precision=precision).path, output)


TARGETS: dict[str, Target] = {}


def register_target(target: Target) -> Target:
    """Adds a target, to which `export_model` then exports; see docs/extending.md."""
    TARGETS[target.name] = target
    return target


register_target(Target("tflite", "model.tflite", write_tflite))
register_target(Target("web", "page", write_web))


def find_target(name: str) -> Target:
    """The target of a name.

    Raises:
        ArgumentError: there is no such target.

    >>> find_target("web").output
    'page'
    """
    if name not in TARGETS:
        raise ArgumentError(f"{name}: no such target; {suggest(name, TARGETS)}")
    return TARGETS[name]


def export_model(
    model: str | None, target: str, output: str | Path | None = None, *, precision: str = "float32"
) -> int:
    """Exports a model to a target.

    Args:
        model: a run's folder or a model file; None for the bundled model.
        target: the target's name.
        output: the file or folder to write; by default the target's.
        precision: the precision of the weights.

    Returns:
        The bytes written.

    Raises:
        ArgumentError: there is no such target, or it does not take this model or precision.
        KerasMusicError: the model cannot be exported.
    """
    found = find_target(target)
    return found.write(model, Path(output or found.output), precision)
