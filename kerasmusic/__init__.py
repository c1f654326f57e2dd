"""kerasmusic: a small neural network that plays the piano anywhere.

Trained in Keras 3 on JAX or TensorFlow, exported to one `.tflite` file, playing on a Raspberry Pi, a server or in a
browser. The names below are imported when they are first used, so that `import kerasmusic` stays light.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasmusic.codec import NoteCodec
    from kerasmusic.corpus import open_corpus
    from kerasmusic.edge import Generator
    from kerasmusic.errors import KerasMusicError
    from kerasmusic.models import NoteModel
    from kerasmusic.notes import Note, Notes

__version__ = "0.1.0"

_HOMES = {
    "Generator": "kerasmusic.edge",
    "KerasMusicError": "kerasmusic.errors",
    "Note": "kerasmusic.notes",
    "NoteCodec": "kerasmusic.codec",
    "NoteModel": "kerasmusic.models",
    "Notes": "kerasmusic.notes",
    "open_corpus": "kerasmusic.corpus",
}

__all__ = ["Generator", "KerasMusicError", "Note", "NoteCodec", "NoteModel", "Notes", "open_corpus"]


if not TYPE_CHECKING:  # by this function any name would be right

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
