"""Export targets: the forms that a model can be exported to, by name, and the interface for your own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kerasmusic.errors import ArgumentError, check_name
from kerasmusic.export.process import PRECISIONS, export_tflite
from kerasmusic.models.extensions import import_requested
from kerasmusic.opening import KERAS, TFLITE, find_keras_file, find_model, kind_of


@dataclass(frozen=True)
class Target:
    """A form that a model can be exported to.

    Args:
        name: the target's name in `kerasmusic export --to NAME`.
        output: the default name of the file or folder to write.
        write: takes a model (see `kerasmusic.opening.find_model`), an output and a precision, and returns the number of
            bytes written. It raises an ArgumentError for a precision that it does not offer, and leaves no partial
            output behind; see `kerasmusic.files`.
    """

    name: str
    output: str
    write: Callable[[str | None, Path, str], int]


def write_tflite(model: str | None, output: Path, precision: str) -> int:
    """Exports a run or a `.keras` file to a `.tflite` file."""
    return export_tflite(find_keras_file(model), output, precision=precision).bytes


def write_web(model: str | None, output: Path, precision: str) -> int:
    """Writes a folder with a web page that plays a model."""
    from kerasmusic.export.web_page import write_page

    path = find_model(model, prefer=TFLITE if precision == "float32" else KERAS)
    if kind_of(path) is TFLITE:
        if precision != "float32":
            raise ArgumentError(f"{path}: is already exported; --precision {precision} is for a .keras file")
        return write_page(path, output)
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        return write_page(export_tflite(path, Path(folder) / "model.tflite", precision=precision).path, output)


TARGETS: dict[str, Target] = {}


def register_target(target: Target) -> Target:
    """Registers a target for `export_model`; see docs/extending.md."""
    TARGETS[target.name] = target
    return target


register_target(Target("tflite", "model.tflite", write_tflite))
register_target(Target("web", "page", write_web))


def find_target(name: str) -> Target:
    """The target of this name.

    Raises:
        ArgumentError: there is no such target.

    >>> find_target("web").output
    'page'
    """
    if name not in TARGETS:
        import_requested()
    check_name("target", name, TARGETS)
    return TARGETS[name]


def export_model(
    model: str | None, target: str, output: str | Path | None = None, *, precision: str = "float32"
) -> int:
    """Exports a model to a target.

    Args:
        model: a run's folder or a model file; None for the bundled model.
        target: the target's name.
        output: the file or folder to write; by default the target's `output`.
        precision: the precision of the weights.

    Returns:
        The number of bytes written.

    Raises:
        ArgumentError: there is no such target, or it does not take this model or precision.
        KerasMusicError: the model cannot be exported.
    """
    found = find_target(target)
    check_name("precision", precision, PRECISIONS)
    return found.write(model, Path(output or found.output), precision)
