"""Loading a `.keras` file as a NoteModel, in Keras's safe mode only."""

import os
import zipfile
from pathlib import Path

import keras

from kerasmusic.errors import ModelFileError, printable
from kerasmusic.models import presets  # noqa: F401  registers the classes that a file may hold
from kerasmusic.models.note_model import NoteModel, check_precision
from kerasmusic.runs import read_keras_config


def load_model(path: str | os.PathLike[str], *, compile: bool = False) -> NoteModel:
    """The model of a `.keras` file, or of the `model.keras` in a run's folder; with `compile`, its optimizer too.

    Raises:
        ModelFileError: it is not there, is no `.keras` file, or holds something else than a NoteModel; see
            `read_keras_config` for what it must not ask for.
        ArgumentError: Keras is set to another precision than float32.
    """
    check_precision()
    path = Path(path)
    if path.is_dir():
        path = path / "model.keras"
    if not path.exists():
        raise ModelFileError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: not a .keras file, or cut short; train one with 'kerasmusic train'")
    read_keras_config(path)
    try:
        model = keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # Keras raises many types, and its messages run over many lines
        reason = printable(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
        raise ModelFileError(f"{path}: not a model that kerasmusic can load ({reason})") from None
    if not isinstance(model, NoteModel):
        raise ModelFileError(f"{path}: holds a {type(model).__name__}, not a model of notes")
    return model
