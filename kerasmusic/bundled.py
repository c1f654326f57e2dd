"""The model in the box: trained weights that come with the package."""

from importlib import resources
from pathlib import Path

from kerasmusic.errors import ModelFileError

NAME = "small"


def bundled_model(suffix: str = ".tflite") -> Path:
    """Where the model in the box is.

    Args:
        suffix: ".tflite" to play it anywhere, ".keras" to train on.

    Raises:
        ModelFileError: this installation came without it.
    """
    path = Path(str(resources.files("kerasmusic").joinpath("weights", NAME + suffix)))
    if not path.is_file():
        raise ModelFileError(f"{path}: no model came with this installation; train one with 'kerasmusic train'")
    return path
