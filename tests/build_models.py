"""Builds small untrained models, as .keras and .tflite files, for tests: `python tests/build_models.py FOLDER`."""

import sys
from pathlib import Path

# A model of every kind, small enough to build and play in a moment; `small` itself is tested where Keras is.
TINY = {"width": 32, "hidden": 32, "depth": 2}


def build_models(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The (model.keras, model.tflite) of each kind: the presets, and a tiny one of the same layers as `small`."""
    import keras
    from kerasmusic.export import export_tflite

    from kerasmusic.models import NoteModel
    from kerasmusic.models.gated_model import GatedNoteModel

    makers = {
        "small": lambda: NoteModel.from_preset("small"),
        "tutorial": lambda: NoteModel.from_preset("tutorial"),
        "tiny": lambda: GatedNoteModel(**TINY, preset="tiny"),
    }
    paths = {}
    for name, make in makers.items():
        keras.utils.set_random_seed(5)
        paths[name] = model_paths(folder, name)
        paths[name][0].parent.mkdir(parents=True, exist_ok=True)
        make().save(paths[name][0])
        export_tflite(*paths[name])
    export_tflite(paths["tiny"][0], folder / "tiny" / "int8.tflite", precision="int8")
    return paths


def model_paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the files of one kind are."""
    return folder / name / "model.keras", folder / name / "model.tflite"


if __name__ == "__main__":
    build_models(Path(sys.argv[1]))
