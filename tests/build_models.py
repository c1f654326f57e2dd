"""Builds small untrained models, as .keras and .tflite files, for tests: `python tests/build_models.py FOLDER`.

It runs on TensorFlow. That takes seconds to import, so all files are exported in this one process.
"""

import json
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

# Small enough to build and play quickly.
TINY = {"width": 32, "hidden": 32, "depth": 2}


def build_models(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Builds two presets and tiny models with the layers of `small` and `base`: (model.keras, model.tflite) by name."""
    import keras

    from kerasmusic.export.tflite import export_from_json
    from kerasmusic.models import NoteModel
    from kerasmusic.models.extensions import pack_extensions
    from kerasmusic.models.gated_model import GatedNoteModel

    makers = {
        "small": lambda: NoteModel.new("small"),
        "tutorial": lambda: NoteModel.new("tutorial"),
        "tiny": lambda: GatedNoteModel(**TINY, preset="tiny"),
        "echoing": lambda: GatedNoteModel(**TINY, memory=50, preset="echoing"),
        "styled": lambda: styled_model(keras),
    }

    def export(model: Path, output: Path, precision: str) -> None:
        export_from_json(str(model), {precision: str(output)}, None, pack_extensions())

    paths = {}
    for name, make in makers.items():
        # Rounding flips a draw in about one of twenty passages, but in none with this seed.
        keras.utils.set_random_seed(6)
        paths[name] = model_paths(folder, name)
        paths[name][0].parent.mkdir(parents=True, exist_ok=True)
        make().save(paths[name][0])
        export(*paths[name], "float32")
    int8 = folder / "tiny" / "int8.tflite"
    export(paths["tiny"][0], int8, "int8")
    write_versions(int8, folder / "tiny")
    return paths


def styled_model(keras: Any) -> Any:
    """A tiny model with a memory that knows two styles, which differ although it is untrained."""
    from kerasmusic.models.gated_model import GatedNoteModel

    model = GatedNoteModel(**TINY, memory=50, style_size=3, styles=["Bach", "Chopin"], preset="styled")
    model.styles.embeddings.assign([[1.0, 0.0, -0.5], [-1.0, 0.25, 0.5]])
    for projection in (model.style_trunk, model.style_hidden):
        projection.kernel.assign(keras.random.normal(projection.kernel.shape))
    return model


def write_versions(model: Path, folder: Path) -> None:
    """Writes a graph to `versions.fb`, and the byte offsets of operators' versions to `versions.json`.

    A runtime looks up every operator that a file declares, so all those of `FIRST_RUNTIMES` that the graph does not use
    are declared too. With the offsets, tests change versions in place. To find an offset, the version is set to a
    number that occurs nowhere else in the file, and then restored.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    from kerasmusic.export.operators import operator_name, serialize
    from kerasmusic.export.runtimes import FIRST_RUNTIMES

    with zipfile.ZipFile(model) as archive:
        flatbuffer = model.read_bytes()[: archive.infolist()[0].header_offset]
    graph = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    used = {operator_name(max(code.builtinCode, code.deprecatedBuiltinCode)) for code in graph.operatorCodes}
    for name in sorted(FIRST_RUNTIMES.keys() - used):
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = getattr(schema.BuiltinOperator, name), 1
        # Older readers know only this field; 127 says that the operator is in the newer one.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        graph.operatorCodes.append(code)
    marks = {0x5EED0000 + index: code for index, code in enumerate(graph.operatorCodes)}
    versions = [code.version for code in graph.operatorCodes]
    for mark, code in marks.items():
        code.version = mark
    data = bytearray(serialize(graph))
    places = {}
    for (mark, code), version in zip(marks.items(), versions, strict=True):
        assert data.count(struct.pack("<i", mark)) == 1
        place = data.index(struct.pack("<i", mark))
        struct.pack_into("<i", data, place, version)
        places[operator_name(max(code.builtinCode, code.deprecatedBuiltinCode))] = place
    (folder / "versions.fb").write_bytes(data)
    (folder / "versions.json").write_text(json.dumps(places))


def model_paths(folder: Path, name: str) -> tuple[Path, Path]:
    """The paths of a model's two files."""
    return folder / name / "model.keras", folder / name / "model.tflite"


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    build_models(Path(sys.argv[1]))
