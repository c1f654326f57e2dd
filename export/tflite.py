"""The export itself, in a process whose Keras runs on TensorFlow."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from keras.export import ExportArchive
from kerasmusic.export.operators import check_operators, operators

import kerasmusic
from kerasmusic.edge.model_file import SIGNATURE, with_record
from kerasmusic.edge.step import INPUTS, OUTPUTS
from kerasmusic.errors import KerasMusicError
from kerasmusic.files import written_beside
from kerasmusic.models import NoteModel, lookup
from kerasmusic.models.keras_step import StepModel
from kerasmusic.models.loading import load_model


def export(model_path: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Writes the `.tflite` file of a `.keras` file; see `kerasmusic.export.export_tflite`."""
    model = load_model(model_path)
    flatbuffer = convert(model)
    found = operators(flatbuffer)
    check_operators(found)
    weights = sum(variable.numpy().nbytes for variable in model.trainable_variables)
    if len(flatbuffer) < weights:
        raise KerasMusicError(f"the exported graph has {len(flatbuffer)} bytes, fewer than its weights' {weights}")
    data = with_record(flatbuffer, record_of(model, flatbuffer))
    with written_beside(output) as temporary:
        Path(temporary).write_bytes(data)


def convert(model: NoteModel) -> bytes:
    """The flatbuffer of a model's step, in float32, with the one signature "step".

    Keras's `ExportArchive` is the way that keeps the weights and the names; others lose one or both without a word.
    """
    lookup.take = tf.gather
    step = StepModel(model)
    specs = [tf.TensorSpec(array.shape, array.dtype, name=name) for name, array in step.inputs_of_zeros().items()]
    names = [spec.name for spec in specs]
    assert tuple(names) == INPUTS

    def endpoint(*arrays: Any) -> dict[str, Any]:
        return step(dict(zip(names, arrays, strict=True)))

    archive = ExportArchive()
    archive.track(step)
    archive.add_endpoint(SIGNATURE, endpoint, input_signature=specs)
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        flatbuffer = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=flatbuffer)
    signature = interpreter.get_signature_list().get(SIGNATURE, {"inputs": [], "outputs": []})
    if set(signature["inputs"]) != set(INPUTS) or set(signature["outputs"]) != set(OUTPUTS):
        raise KerasMusicError(f"the exported graph has the signature {signature}, not {INPUTS} to {OUTPUTS}")
    return flatbuffer


def record_of(model: NoteModel, flatbuffer: bytes) -> dict[str, Any]:
    """What `kerasmusic.json` says of a model."""
    return {
        "kerasmusic": kerasmusic.__version__,
        "preset": model.preset,
        "parameters": model.count_params(),
        "state_size": model.state_size,
        "precision": "float32",
        "codec": model.codec.to_json(),
        "training": model.record,
        "licence": model.record.get("licence", "not recorded"),
        "operators": [list(operator) for operator in operators(flatbuffer)],
    }
