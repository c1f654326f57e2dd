"""The export itself, in a process whose Keras runs on TensorFlow."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import tensorflow as tf
from keras.export import ExportArchive
from kerasmusic.export.operators import Operator, check_operators, operators

import kerasmusic
from kerasmusic.edge.golden import golden_passage
from kerasmusic.edge.model_file import SIGNATURE, with_record
from kerasmusic.edge.step import INPUTS, OUTPUTS, TFLiteStep
from kerasmusic.errors import KerasMusicError
from kerasmusic.files import written_beside
from kerasmusic.models import NoteModel, lookup
from kerasmusic.models.keras_step import StepModel
from kerasmusic.models.loading import load_model

# TensorFlow's own interpreter, which is here whatever else is.
INTERPRETER = "tensorflow.lite.python.interpreter"
BYTES_A_WEIGHT = {"float32": 4, "float16": 2, "int8": 1}


def export(model_path: str | os.PathLike[str], output: str | os.PathLike[str], precision: str = "float32") -> None:
    """Writes the `.tflite` file of a `.keras` file; see `kerasmusic.export.export_tflite`."""
    model = load_model(model_path)
    flatbuffer = convert(model, precision)
    found = operators(flatbuffer)
    check_operators(found)
    weights = BYTES_A_WEIGHT[precision] * sum(variable.shape.num_elements() for variable in _matrices(model))
    if len(flatbuffer) < weights:
        raise KerasMusicError(f"the exported graph has {len(flatbuffer)} bytes, fewer than its weights' {weights}")
    record = record_of(model, found, precision)
    with written_beside(output) as temporary:
        temporary.write_bytes(with_record(flatbuffer, record))
        golden = golden_passage(TFLiteStep(temporary, interpreter=INTERPRETER))
        temporary.write_bytes(with_record(flatbuffer, {**record, "golden": golden}))


def _matrices(model: NoteModel) -> list[Any]:
    return [variable.value for variable in model.trainable_variables if len(variable.shape) > 1]


def convert(model: NoteModel, precision: str = "float32") -> bytes:
    """The flatbuffer of a model's step, with the one signature "step".

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
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        # One scale a matrix, not one a channel: the same error here, and older runtimes read it.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        flatbuffer = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=flatbuffer)
    signature = interpreter.get_signature_list().get(SIGNATURE, {"inputs": [], "outputs": []})
    if set(signature["inputs"]) != set(INPUTS) or set(signature["outputs"]) != set(OUTPUTS):
        raise KerasMusicError(f"the exported graph has the signature {signature}, not {INPUTS} to {OUTPUTS}")
    return flatbuffer


def record_of(model: NoteModel, found: list[Operator], precision: str) -> dict[str, Any]:
    """What `kerasmusic.json` says of a model."""
    return {
        "kerasmusic": kerasmusic.__version__,
        "preset": model.preset,
        "parameters": model.count_params(),
        "state_size": model.state_size,
        "precision": precision,
        "codec": model.codec.to_json(),
        "training": model.record,
        "licence": model.record.get("licence", "not recorded"),
        "operators": [list(operator) for operator in found],
    }
