"""The bundled model: trained weights that ship with the package."""

from importlib import resources
from pathlib import Path

from kerasmusic.errors import ModelFileError

NAME = "small"


def bundled_model(suffix: str = ".tflite") -> Path:
    """The path of the bundled model.

    Args:
        suffix: ".tflite" for the exported model, ".keras" for the one to train further.

    Raises:
        ModelFileError: this installation does not have the file.
    """
    path = Path(str(resources.files("kerasmusic").joinpath("weights", NAME + suffix)))
    if not path.is_file():
        raise ModelFileError(f"{path}: no model came with this installation; train one with 'kerasmusic train'")
    return path
