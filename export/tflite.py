"""The export itself, in a process whose Keras runs on TensorFlow."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras.export import ExportArchive
from kerasmusic.export.measurement import measure
from kerasmusic.export.operators import Operator, check_graph, matrix_operators, operator_codes, operators, packed
from kerasmusic.export.process import CALIBRATED, Excerpts, Exported
from kerasmusic.export.runtimes import oldest_runtime
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize

import kerasmusic
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.golden import golden_passage
from kerasmusic.edge.model_file import SIGNATURE, with_record
from kerasmusic.edge.step import INPUTS, TFLiteStep
from kerasmusic.files import written_beside
from kerasmusic.models import NoteModel, lookup, sampling
from kerasmusic.models.keras_step import StepModel
from kerasmusic.models.loading import load_model
from kerasmusic.scoring import KerasScorer

# TensorFlow's own interpreter, which is here whatever else is.
INTERPRETER = "tensorflow.lite.python.interpreter"
# Memories fill over hundreds of notes, so that long excerpts are heard, and some of their notes looked at.
CALIBRATE_EVERY = 10
BYTES_A_WEIGHT = {"float32": 4, "float16": 2, "int8": 1, "int8-full": 1}


def export(model_path: str | os.PathLike[str], outputs: Mapping[str, str], excerpts: Excerpts | None) -> list[Exported]:
    """Writes the `.tflite` files of a `.keras` file; see `process.export_precisions`.

    All are made and proved before the first takes its place.
    """
    model = load_model(model_path)
    expected = list(KerasScorer(model).score_fields(excerpts.validation)) if excerpts else []
    reports = []
    with saved_step(model) as folder, ExitStack() as files:
        for precision, output in outputs.items():
            flatbuffer = convert(folder, precision, model, excerpts)
            found = check_graph(flatbuffer, weights=BYTES_A_WEIGHT[precision] * number_of_weights(model))
            record = record_of(model, found, precision)
            temporary = files.enter_context(written_beside(output))
            temporary.write_bytes(with_record(flatbuffer, record))
            golden = golden_passage(TFLiteStep(temporary, interpreter=INTERPRETER))
            temporary.write_bytes(with_record(flatbuffer, {**record, "golden": golden}))
            measured = measure(temporary, excerpts.validation if excerpts else [], expected)
            reports.append(
                Exported(
                    precision=precision,
                    path=Path(output),
                    bytes=temporary.stat().st_size,
                    operators=[tuple(operator) for operator in found],
                    runtime=record["runtime"],
                    **measured,
                )
            )
    return reports


def number_of_weights(model: NoteModel) -> int:
    """Of the matrices and tables, which are all that a precision is about."""
    return sum(variable.value.shape.num_elements() for variable in model.trainable_variables if variable.ndim > 1)


@contextmanager
def saved_step(model: NoteModel) -> Iterator[str]:
    """A folder with a SavedModel of a model's step, of the one signature "step".

    Keras's `ExportArchive` is the way that keeps the weights and the names; others lose one or both without a word.
    """
    lookup.take = tf.gather
    lookup.take_along_axis = functools.partial(tf.gather, batch_dims=-1)
    sampling.argmin = functools.partial(tf.argmin, output_type=tf.int32)
    step = StepModel(model)
    specs = [tf.TensorSpec(array.shape, array.dtype, name=name) for name, array in step.inputs_of_zeros().items()]
    names = [spec.name for spec in specs]
    assert tuple(names) == INPUTS

    def endpoint(*arrays: Any) -> dict[str, Any]:
        return step(dict(zip(names, arrays, strict=True)))

    archive = ExportArchive()
    archive.track(step)
    archive.add_endpoint(SIGNATURE, endpoint, input_signature=specs)
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        archive.write_out(folder, verbose=False)
        yield folder


def convert(folder: str, precision: str, model: NoteModel, excerpts: Excerpts | None = None) -> bytes:
    """The flatbuffer of a saved step in a precision."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # One scale a matrix, not one a channel: the same error here, and older runtimes read it.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision != CALIBRATED:
        return with_joined_lookups(converter.convert())
    assert excerpts is not None
    float32 = convert(folder, "float32", model)
    converter.representative_dataset = functools.partial(played_inputs, float32, model, excerpts)
    converter._experimental_calibrate_only = True
    # Matrices alone: a probability or a time in 256 steps would be worth nothing.
    others = {operator.name for operator in operators(float32)} - {"FULLY_CONNECTED"}
    return with_joined_lookups(
        mlir_quantize(
            without_other_ranges(converter.convert()),
            disable_per_channel_for_dense_layers=True,
            input_data_type=tf.float32,
            output_data_type=tf.float32,
            denylisted_ops=sorted(others),
        )
    )


def without_other_ranges(calibrated: bytes) -> bytes:
    """A calibrated graph with the ranges of what matrices read and write, and no others.

    The quantiser gives all that is concatenated one range: the recurrences' states, of about 1, would have that of the
    keys beside them in the step's state, which is of thousands.
    """
    model = schema.ModelT.InitFromPackedBuf(calibrated, 0)
    (graph,) = model.subgraphs
    kept = {index for operator in matrix_operators(model) for index in (*operator.inputs, *operator.outputs)}
    for index, tensor in enumerate(graph.tensors):
        if index not in kept:
            tensor.quantization = None
    return packed(model)


def with_joined_lookups(flatbuffer: bytes) -> bytes:
    """A graph in which one operator looks up a row of a table in int8 and makes floats of it, instead of two.

    EMBEDDING_LOOKUP does both, but the converter never makes one. It takes a list of rows, so that a look-up of a
    matrix of rows stays as it is.
    """
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    (graph,) = model.subgraphs
    code_of = operator_codes(model)
    dequantized = {
        operator.inputs[0]: operator
        for operator in graph.operators
        if code_of[operator.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
    }
    joined = schema.OperatorCodeT()
    joined.builtinCode = joined.deprecatedBuiltinCode = schema.BuiltinOperator.EMBEDDING_LOOKUP
    joined.version = 2
    for operator in list(graph.operators):
        if code_of[operator.opcodeIndex] != schema.BuiltinOperator.GATHER:
            continue
        table, index = operator.inputs
        if operator.outputs[0] not in dequantized or len(graph.tensors[index].shape) > 1:
            continue
        if joined not in model.operatorCodes:
            model.operatorCodes.append(joined)
        floats = dequantized[operator.outputs[0]]
        graph.operators.remove(floats)
        operator.opcodeIndex = model.operatorCodes.index(joined)
        operator.inputs, operator.outputs = [index, table], floats.outputs
        operator.builtinOptions, operator.builtinOptionsType = None, schema.BuiltinOptions.NONE
    return packed(model) if joined in model.operatorCodes else flatbuffer


def played_inputs(float32: bytes, model: NoteModel, excerpts: Excerpts) -> Iterator[tuple[str, dict[str, Any]]]:
    """The step's inputs while it hears the excerpts for calibration, as TFLite's converter takes them."""
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        path = Path(place) / "float32.tflite"
        path.write_bytes(with_record(float32, record_of(model, [], "float32")))
        step = TFLiteStep(path, interpreter=INTERPRETER)
        generator = Generator(step, seed=0)
        for fields in excerpts.calibration:
            generator.reset()
            for index, note in enumerate(fields):
                step.given[:] = note
                if index % CALIBRATE_EVERY == 0:
                    yield SIGNATURE, {name: np.array(getattr(step, name)) for name in INPUTS}
                step.run()
                step.previous[:] = note


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
        "runtime": oldest_runtime(found) if found else "",
        "operators": [list(operator) for operator in found],
    }
