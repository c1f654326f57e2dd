"""The bundled models: trained weights that ship with the package."""

from importlib import resources
from pathlib import Path

from kerasmusic.errors import ModelFileError

#: The model that plays where none is named.
PLAYED = "base"
#: The model whose weights can be trained further.
TRAINED = "small"
#: The names of the bundled models, which commands take in place of a file.
NAMES = (PLAYED, TRAINED)


def bundled_model(name: str = PLAYED) -> Path:
    """The path of a bundled model's exported file.

    Args:
        name: one of `NAMES`.

    Raises:
        ModelFileError: this installation does not have the file.

    >>> bundled_model("small").name
    'small.tflite'
    """
    return _weights(f"{name}.tflite")


def bundled_keras_file() -> Path:
    """The path of the bundled model to train further.

    Raises:
        ModelFileError: this installation does not have the file.
    """
    return _weights(f"{TRAINED}.keras")


def _weights(name: str) -> Path:
    path = Path(str(resources.files("kerasmusic").joinpath("weights", name)))
    if not path.is_file():
        raise ModelFileError(f"{path}: no model came with this installation; train one with 'kerasmusic train'")
    return path
