"""The export itself, in a process whose Keras runs on TensorFlow."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras.export import ExportArchive
from tensorflow.lite.python.convert import mlir_quantize

import kerasmusic
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.golden import golden_passage
from kerasmusic.edge.model_file import SIGNATURE, with_record
from kerasmusic.edge.step import INPUTS, TFLiteStep
from kerasmusic.export.measurement import measure
from kerasmusic.export.operators import Operator, check_graph, operators
from kerasmusic.export.process import CALIBRATED, Excerpts, ExportResult
from kerasmusic.export.rewriting import with_joined_lookups, without_other_ranges
from kerasmusic.export.rounding import with_rounded_weights
from kerasmusic.export.runtimes import oldest_runtime
from kerasmusic.files import written_beside
from kerasmusic.models import NoteModel, lookup
from kerasmusic.models.keras_step import StepModel
from kerasmusic.models.loading import load_model
from kerasmusic.models.scoring import KerasScorer

# TensorFlow's own interpreter, which is here whatever else is.
INTERPRETER = "tensorflow.lite.python.interpreter"
# Memories fill over hundreds of notes, so that long excerpts are heard, and some of their notes looked at.
CALIBRATE_EVERY = 10
BYTES_PER_WEIGHT = {"float32": 4, "float16": 2, "int8": 1, "int8-full": 1}


def export(
    model_path: str | os.PathLike[str], outputs: Mapping[str, str], excerpts: Excerpts | None
) -> list[ExportResult]:
    """Writes the `.tflite` files of a `.keras` file; see `process.export_precisions`.

    All are made and proved before the first takes its place.
    """
    model = load_model(model_path)
    expected = list(KerasScorer(model).score_fields(excerpts.validation)) if excerpts else []
    reports = []
    with saved_step(model) as folder, ExitStack() as files:
        for precision, output in outputs.items():
            flatbuffer = convert(folder, precision, model, excerpts)
            found = check_graph(flatbuffer, weights=BYTES_PER_WEIGHT[precision] * number_of_weights(model))
            record = record_of(model, found, precision)
            temporary = files.enter_context(written_beside(output))
            temporary.write_bytes(with_record(flatbuffer, record))
            golden = golden_passage(TFLiteStep(temporary, interpreter=INTERPRETER))
            temporary.write_bytes(with_record(flatbuffer, {**record, "golden": golden}))
            measured = measure(temporary, excerpts.validation if excerpts else [], expected)
            reports.append(
                ExportResult(
                    precision=precision,
                    path=Path(output),
                    bytes=temporary.stat().st_size,
                    operators=[(operator.name, operator.version, operator.uses) for operator in found],
                    runtime=record["runtime"],
                    **measured,
                )
            )
    return reports


def export_as_asked(model: str, outputs: dict[str, str], excerpts: str | None) -> list[dict[str, Any]]:
    """`export` of JSON values, for the process that asks; excerpts are the `.npz` files of a folder."""
    pieces = None
    if excerpts is not None:
        pieces = Excerpts(*(list(np.load(Path(excerpts) / f"{kind}.npz").values()) for kind in Excerpts._fields))
    return [{**asdict(report), "path": str(report.path)} for report in export(model, outputs, pieces)]


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
    lookup.argmin = functools.partial(tf.argmin, output_type=tf.int32)
    lookup.argmax = functools.partial(tf.argmax, output_type=tf.int32)
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
    if precision in ("float32", "float16"):
        return converter.convert()
    float32 = convert(folder, "float32", model)
    quantized = converter.convert() if precision != CALIBRATED else calibrated(converter, float32, model, excerpts)
    rounded = with_rounded_weights(quantized, float32, record_of(model, [], "float32"), INTERPRETER)
    return with_joined_lookups(rounded)


def calibrated(converter: Any, float32: bytes, model: NoteModel, excerpts: Excerpts | None) -> bytes:
    """The graph with activations in int8 too where they enter matrices, by their ranges on real music."""
    assert excerpts is not None
    converter.representative_dataset = functools.partial(played_inputs, float32, model, excerpts)
    converter._experimental_calibrate_only = True
    # Matrices alone: a probability or a time in 256 steps would be worth nothing.
    others = {operator.name for operator in operators(float32)} - {"FULLY_CONNECTED"}
    quantized: bytes = mlir_quantize(
        without_other_ranges(converter.convert()),
        disable_per_channel_for_dense_layers=True,
        input_data_type=tf.float32,
        output_data_type=tf.float32,
        denylisted_ops=sorted(others),
    )
    return quantized


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
