"""The export itself; runs in a process with Keras on TensorFlow."""

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
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize

import kerasmusic
from kerasmusic.codec import FIELDS
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.golden import golden_passage
from kerasmusic.edge.model_file import SIGNATURE, with_record
from kerasmusic.edge.runtime import TFLiteRuntime
from kerasmusic.errors import KerasMusicError
from kerasmusic.export.exact import with_exact_weights
from kerasmusic.export.measurement import measure
from kerasmusic.export.operators import Operator, check_graph, operators
from kerasmusic.export.process import CALIBRATED, EXACT, Excerpts, ExportResult, exact_keras_file
from kerasmusic.export.quantizing import check_sums, make_exact
from kerasmusic.export.rewriting import fuse_lookups, keep_matrix_ranges
from kerasmusic.export.rounding import with_gptq_weights
from kerasmusic.export.runtimes import oldest_runtime
from kerasmusic.files import atomic_write
from kerasmusic.models import NoteModel, lookup
from kerasmusic.models.exact_model import ExactNoteModel
from kerasmusic.models.extensions import unpack_extensions
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.keras_runtime import StepModel
from kerasmusic.models.note_model import load_model
from kerasmusic.models.scoring import KerasScorer

# TensorFlow's own interpreter, which is always available here.
INTERPRETER = "tensorflow.lite.python.interpreter"
# States take hundreds of notes to reach their range, so excerpts are long, and only some of their notes are used.
CALIBRATE_EVERY = 30
BYTES_PER_WEIGHT = {"float32": 4, "float16": 2, "int8": 1, "int8-full": 1, "exact": 1}
# Functions of float32 are off by 1e-7 or 2e-7 of their value on most devices; see `apply_function`.
LEAST_TOLERANCE = 5e-7
# The seeds and the length of the pieces on which an exact model is calibrated where there is no music.
SEEDS, NOTES = range(8), 3_000


def export(
    model_path: str | os.PathLike[str], outputs: Mapping[str, str], excerpts: Excerpts | None
) -> list[ExportResult]:
    """Writes the `.tflite` files of a `.keras` file; see `process.export_precisions`.

    All files are made and checked before the first gets its final name.
    """
    model = load_model(model_path)
    expected = list(KerasScorer(model).score_fields(excerpts.validation)) if excerpts else []
    reports = []
    with saved_step(model) as folder, ExitStack() as files:
        for precision, output in outputs.items():
            keras_file, exported = None, model
            if precision == EXACT and isinstance(model, GatedNoteModel):
                exported = make_exact(model, calibration_notes(folder, model, excerpts))
                keras_file = exact_keras_file(output)
                exported.save(files.enter_context(atomic_write(keras_file)))
            flatbuffer = convert(folder, precision, exported, excerpts)
            found = check_graph(flatbuffer, weights=BYTES_PER_WEIGHT[precision] * count_weights(model))
            metadata = make_metadata(exported, found, precision)
            temporary = files.enter_context(atomic_write(output))
            temporary.write_bytes(with_record(flatbuffer, metadata))
            golden = golden_passage(TFLiteRuntime(temporary, interpreter=INTERPRETER), precision)
            temporary.write_bytes(with_record(flatbuffer, {**metadata, "golden": golden}))
            measured = measure(temporary, excerpts.validation if excerpts else [], expected)
            reports.append(
                ExportResult(
                    precision=precision,
                    path=Path(output),
                    bytes=temporary.stat().st_size,
                    operators=[(operator.name, operator.version, operator.uses) for operator in found],
                    runtime=metadata["runtime"],
                    keras=keras_file,
                    **measured,
                )
            )
    return reports


def export_from_json(
    model: str, outputs: dict[str, str], excerpts: str | None, extensions: dict[str, Any]
) -> list[dict[str, Any]]:
    """Runs `export` with JSON values, for `call_in_process`.

    Args:
        model: the `.keras` file.
        outputs: the file to write by precision.
        excerpts: a folder with `Excerpts` as `.npz` files; None for none.
        extensions: those of the process that exports, from `pack_extensions`.
    """
    unpack_extensions(extensions)
    pieces = None
    if excerpts is not None:
        pieces = Excerpts(*(list(np.load(Path(excerpts) / f"{kind}.npz").values()) for kind in Excerpts._fields))
    return [
        {**asdict(report), "path": str(report.path), "keras": report.keras and str(report.keras)}
        for report in export(model, outputs, pieces)
    ]


def count_weights(model: NoteModel) -> int:
    """The number of weights in matrices and tables, to which a precision applies."""
    return sum(variable.value.shape.num_elements() for variable in model.trainable_variables if variable.ndim > 1)


@contextmanager
def saved_step(model: NoteModel) -> Iterator[str]:
    """Yields a folder with a SavedModel of a model's step, with the single signature "step".

    Keras's `ExportArchive` keeps both the weights and the names; other ways silently lose one or both.
    """
    step = StepModel(model)
    specs = [tf.TensorSpec(array.shape, array.dtype, name=name) for name, array in step.inputs_of_zeros().items()]
    names = [spec.name for spec in specs]

    def endpoint(*arrays: Any) -> dict[str, Any]:
        return step(dict(zip(names, arrays, strict=True)))

    archive = ExportArchive()
    archive.track(step)
    plain = {
        "take": tf.gather,
        "take_along_axis": functools.partial(tf.gather, batch_dims=-1),
        "argmin": functools.partial(tf.argmin, output_type=tf.int32),
        "argmax": functools.partial(tf.argmax, output_type=tf.int32),
        "combine": lambda exact, smooth: exact,
        "kept": tf.floor,
        "apply": apply_function,
    }
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        # The endpoint is traced when it is written.
        with lookup.replaced(**plain):
            archive.add_endpoint(SIGNATURE, endpoint, input_signature=specs)
            archive.write_out(folder, verbose=False)
        yield folder


def apply_function(function: lookup.WholeFunction, x: Any) -> Any:
    """A function of whole numbers without its table.

    Raises:
        KerasMusicError: devices differ by more than the function tolerates.
    """
    if function.tolerance < LEAST_TOLERANCE:
        raise KerasMusicError(
            f"{function}: tolerates errors of {function.tolerance:.1g}, and devices may differ by {LEAST_TOLERANCE:g}"
        )
    if function.function == "sigmoid":
        # XNNPACK's LOGISTIC is off by 8e-6 on 32-bit ARM, and its EXP by 9e-7.
        return tf.floor(function.outer / (1.0 + tf.exp(x * -function.inner)))
    operators = {"sqrt": tf.sqrt, "exp": tf.exp}
    inner = x if function.inner == 1.0 else x * function.inner
    return tf.floor(operators[function.function](inner) * function.outer)


def convert(folder: str, precision: str, model: NoteModel, excerpts: Excerpts | None = None) -> bytes:
    """Converts a saved step to a flatbuffer in the given precision; an exact one is that of `model` itself."""
    if precision == EXACT:
        assert isinstance(model, ExactNoteModel)
        check_sums(model)
        with saved_step(model) as exact:
            return with_exact_weights(convert(exact, "float32", model))
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # One scale per matrix instead of per channel: older runtimes can read it, and the error is the same here.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision in ("float32", "float16"):
        return converter.convert()
    float32 = convert(folder, "float32", model)
    quantized = converter.convert() if precision != CALIBRATED else quantize(converter, float32, model, excerpts)
    rounded = with_gptq_weights(quantized, float32, make_metadata(model, [], "float32"), INTERPRETER)
    return fuse_lookups(rounded)


def quantize(converter: Any, float32: bytes, model: NoteModel, excerpts: Excerpts | None) -> bytes:
    """Quantises the activations that enter matrices too, by their ranges on real music."""
    assert excerpts is not None
    converter.representative_dataset = functools.partial(calibration_inputs, float32, model, excerpts)
    converter._experimental_calibrate_only = True
    # Matrices only: 256 levels are too coarse for probabilities and times.
    others = {operator.name for operator in operators(float32)} - {"FULLY_CONNECTED"}
    quantized: bytes = mlir_quantize(
        keep_matrix_ranges(converter.convert()),
        disable_per_channel_for_dense_layers=True,
        input_data_type=tf.float32,
        output_data_type=tf.float32,
        denylisted_ops=sorted(others),
    )
    return quantized


def calibration_notes(folder: str, model: NoteModel, excerpts: Excerpts | None) -> NDArray[np.int32]:
    """The notes on which an exact model is calibrated: of music, or else of the model's own, as it would play unguided.

    Returns:
        int32 `[pieces, notes + 1, 4]`, each piece after the start note.
    """
    if excerpts and excerpts.calibration:
        pieces = [fields for fields in excerpts.calibration if len(fields) == max(map(len, excerpts.calibration))]
    else:
        with float32_runtime(convert(folder, "float32", model), model) as runtime:
            pieces = [play(runtime, seed) for seed in SEEDS]
    start = np.array([model.codec.start_note], np.int32)
    return np.stack([np.concatenate([start, fields]) for fields in pieces])


def play(runtime: TFLiteRuntime, seed: int) -> NDArray[np.int32]:
    """The fields of a piece by a model's own probabilities, int32 `[notes, 4]`."""
    generator = Generator(runtime, seed=seed, min_p=0.0, speed=None, polyphony=None, loudness=None)
    fields = np.empty((NOTES, len(FIELDS)), np.int32)
    for row in fields:
        next(generator)
        row[:] = runtime.note[0]
    return fields


@contextmanager
def float32_runtime(float32: bytes, model: NoteModel) -> Iterator[TFLiteRuntime]:
    """Yields a runtime of a float32 graph of a model."""
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        path = Path(folder) / "float32.tflite"
        path.write_bytes(with_record(float32, make_metadata(model, [], "float32")))
        yield TFLiteRuntime(path, interpreter=INTERPRETER)


def calibration_inputs(float32: bytes, model: NoteModel, excerpts: Excerpts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the step's inputs for the calibration excerpts, in the form that TFLite's converter takes."""
    with float32_runtime(float32, model) as runtime:
        generator = Generator(runtime, seed=0)
        names = StepModel(model).inputs_of_zeros()
        for fields in excerpts.calibration:
            generator.reset()
            for index, note in enumerate(fields):
                runtime.given[:] = note
                if index % CALIBRATE_EVERY == 0:
                    yield SIGNATURE, {name: np.array(getattr(runtime, name)) for name in names}
                runtime.run()
                runtime.previous[:] = note


def make_metadata(model: NoteModel, found: list[Operator], precision: str) -> dict[str, Any]:
    """The metadata of a model for `kerasmusic.json`."""
    return {
        "kerasmusic": kerasmusic.__version__,
        "preset": model.preset,
        "parameters": model.count_params(),
        "state_size": model.state_size,
        **({"style_size": model.style_size, "styles": model.style_vectors()} if model.style_size else {}),
        "precision": precision,
        "codec": model.codec.to_json(),
        "training": model.record,
        "licence": model.record.get("licence", "not recorded"),
        "runtime": oldest_runtime(found) if found else "",
        "operators": [list(operator) for operator in found],
    }
