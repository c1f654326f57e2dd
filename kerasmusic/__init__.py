"""kerasmusic: a small neural network that plays the piano anywhere.

It is trained in Keras 3 on JAX, TensorFlow or PyTorch, exported to one `.tflite` file, and plays on a Raspberry Pi, a
server or in a browser. The names below are imported on first use, so that `import kerasmusic` stays light.

Train a model on MIDI files, export it and generate music::

    import kerasmusic as km

    corpus = km.open_corpus("my-midi/")
    result = km.train("tiny", corpus, "runs/mine", km.Settings(minutes=10))
    km.export_tflite(result.run / "model.keras", "mine.tflite", precision="int8")
    generator = km.Generator("mine.tflite", seed=7)
    km.write_midi(generator.take(300), "music.mid")
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasmusic.codec import NoteCodec
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.edge import Generator
    from kerasmusic.edge.sampling import Sampling
    from kerasmusic.errors import KerasMusicError
    from kerasmusic.evaluation.likelihood import evaluate
    from kerasmusic.export import export_tflite
    from kerasmusic.midi import read as read_midi
    from kerasmusic.midi import write as write_midi
    from kerasmusic.models import NoteModel
    from kerasmusic.models.presets import register_preset
    from kerasmusic.notes import Note, Notes
    from kerasmusic.opening import load_model, open_generator, open_scorer
    from kerasmusic.runs import resume, train
    from kerasmusic.training.settings import Settings

__version__ = "0.1.0"

# The module of each public name, and its name there.
_HOMES = {
    "Generator": ("kerasmusic.edge", "Generator"),
    "KerasMusicError": ("kerasmusic.errors", "KerasMusicError"),
    "Note": ("kerasmusic.notes", "Note"),
    "NoteCodec": ("kerasmusic.codec", "NoteCodec"),
    "NoteModel": ("kerasmusic.models", "NoteModel"),
    "Notes": ("kerasmusic.notes", "Notes"),
    "Sampling": ("kerasmusic.edge.sampling", "Sampling"),
    "Settings": ("kerasmusic.training.settings", "Settings"),
    "evaluate": ("kerasmusic.evaluation.likelihood", "evaluate"),
    "export_tflite": ("kerasmusic.export", "export_tflite"),
    "load_model": ("kerasmusic.opening", "load_model"),
    "open_corpus": ("kerasmusic.data.corpus", "open_corpus"),
    "open_generator": ("kerasmusic.opening", "open_generator"),
    "open_scorer": ("kerasmusic.opening", "open_scorer"),
    "read_midi": ("kerasmusic.midi", "read"),
    "register_preset": ("kerasmusic.models.presets", "register_preset"),
    "resume": ("kerasmusic.runs", "resume"),
    "train": ("kerasmusic.runs", "train"),
    "write_midi": ("kerasmusic.midi", "write"),
}

__all__ = [
    "Generator",
    "KerasMusicError",
    "Note",
    "NoteCodec",
    "NoteModel",
    "Notes",
    "Sampling",
    "Settings",
    "evaluate",
    "export_tflite",
    "load_model",
    "open_corpus",
    "open_generator",
    "open_scorer",
    "read_midi",
    "register_preset",
    "resume",
    "train",
    "write_midi",
]


if not TYPE_CHECKING:  # a type checker would accept any attribute because of this function

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            module, inner = _HOMES[name]
            return getattr(importlib.import_module(module), inner)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
