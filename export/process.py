"""Exports from a process on any backend, by starting another one on TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, MissingPackageError, check_name
from kerasmusic.models.extensions import pack_extensions
from kerasmusic.models.keras_file import read_keras_config
from kerasmusic.processes import call_in_process

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus

# "int8" is TFLite's dynamic-range quantisation: int8 weights, and activations quantised at run time. "int8-full" also
# has fixed ranges for the activations that enter matrices, calibrated on real music. "exact" has int8 weights too, and
# whole-number arithmetic, so that the file plays the very same notes everywhere.
PRECISIONS = ("float32", "float16", "int8", "int8-full", "exact")
CALIBRATED = "int8-full"
EXACT = "exact"
# The model classes of which there are exact files: the one that is quantised, and the one that is the result.
FLOAT_MODEL, EXACT_MODEL = "GatedNoteModel", "ExactNoteModel"
# In calibration, the states of long pieces reach ranges that those of short ones do not.
PIECES, CALIBRATION_NOTES, VALIDATION_NOTES = 16, 3_000, 1_000
# The loss in nats per note above which a precision gets a warning.
ACCEPTABLE_LOSS = 0.05


class Excerpts(NamedTuple):
    """Beginnings of performances for calibration and validation, as fields, int32 `[n, 4]` each."""

    calibration: list[NDArray[np.int32]]
    validation: list[NDArray[np.int32]]

    @classmethod
    def of(cls, corpus: Corpus) -> Excerpts:
        """The first 3,000 and 1,000 notes of 16 performances, spread evenly over each split.

        Calibration is on the training split; so is validation, if there is no other split.
        """
        excerpts = []
        validation = "validation" if len(corpus.pieces("validation")) else "train"
        for split, notes in (("train", CALIBRATION_NOTES), (validation, VALIDATION_NOTES)):
            pieces = corpus.pieces(split)
            chosen = pieces[np.unique(np.linspace(0, len(pieces) - 1, PIECES).round().astype(int))]
            excerpts.append([corpus.fields[start : min(end, start + notes)].astype(np.int32) for start, end in chosen])
        return cls(*excerpts)


@dataclass(frozen=True)
class ExportResult:
    """An exported file, with its measured speed and accuracy.

    Args:
        precision: the precision of the weights.
        path: the file.
        bytes: the size of the file.
        operators: the name, version and number of uses of each kind of operator in the graph.
        runtime: the oldest release of TFLite that can read the file.
        interpreter: the interpreter that was measured.
        microseconds: the median time of a step on this machine.
        difference: the largest deviation of a log probability from Keras on validation notes; None without excerpts.
        nats_lost: the loss against Keras in nats per note, on the same notes; None without excerpts.
        keras: the file with the quantised Keras model that an exact file is the export of; None for others.
    """

    precision: str
    path: Path
    bytes: int
    operators: list[tuple[str, int, int]]
    runtime: str
    interpreter: str
    microseconds: float
    difference: float | None
    nats_lost: float | None
    keras: Path | None = None

    @property
    def warning(self) -> str | None:
        """A warning if the precision loses much; otherwise None."""
        if self.nats_lost is None or self.nats_lost <= ACCEPTABLE_LOSS:
            return None
        return (
            f"{self.path}: {self.precision} loses {self.nats_lost:.3f} nats per note, more than {ACCEPTABLE_LOSS}; "
            "prefer another precision"
        )


def precisions_of(model: str | os.PathLike[str]) -> tuple[str, ...]:
    """The precisions in which a `.keras` file can be exported.

    Raises:
        ModelFileError: the file does not hold a note model.
    """
    name, config, _ = read_keras_config(model)
    if name == EXACT_MODEL:
        return (EXACT,)
    # The range of a style is that of the styles the model knows.
    has_exact_form = (
        name == FLOAT_MODEL
        and config.get("block", "recurrent") == "recurrent"
        and (not config.get("style_size") or bool(config.get("styles")))
    )
    return PRECISIONS if has_exact_form else tuple(each for each in PRECISIONS if each != EXACT)


def exact_keras_file(output: str | os.PathLike[str]) -> Path:
    """The file of the quantised Keras model beside an exact `.tflite` file; never that of the model it comes from.

    >>> exact_keras_file("out/small.tflite").name, exact_keras_file("small-exact.tflite").name
    ('small-exact.keras', 'small-exact.keras')
    """
    path = Path(output)
    return path.with_name(path.stem.removesuffix(f"-{EXACT}") + f"-{EXACT}.keras")


def export_tflite(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: str = "float32",
    excerpts: Excerpts | None = None,
) -> ExportResult:
    """Exports a `.keras` file made by kerasmusic to a `.tflite` file.

    Args:
        model: the `.keras` file, trained on any backend.
        output: the file to write, atomically.
        precision: the precision of the weights: "float32", "float16", "int8", "int8-full" or "exact".
        excerpts: real music on which to measure the precision's loss; "int8-full" and "exact" are calibrated on it too.

    Raises:
        KerasMusicError: the model cannot be exported.
        ArgumentError: the precision is unknown or not one of this model's, or "int8-full" has no excerpts.
        MissingPackageError: TensorFlow is not installed.
    """
    (exported,) = export_precisions(model, {precision: output}, excerpts=excerpts)
    return exported


def export_precisions(
    model: str | os.PathLike[str],
    outputs: Mapping[str, str | os.PathLike[str]],
    *,
    excerpts: Excerpts | None = None,
) -> list[ExportResult]:
    """Exports a model in several precisions; `outputs` has the file of each. See `export_tflite`."""
    for precision in outputs:
        check_name("precision", precision, PRECISIONS)
    if CALIBRATED in outputs and not (excerpts and excerpts.calibration):
        raise ArgumentError(f"{CALIBRATED} is calibrated on real music; name some with --data")
    # Before a process takes its seconds to start.
    offered = precisions_of(model)
    for precision in outputs:
        if precision not in offered:
            raise ArgumentError(f"{model}: cannot be exported as {precision}; choose {' or '.join(offered)}")
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingPackageError("exporting needs TensorFlow; run: pip install 'kerasmusic[tensorflow]'")
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        for kind, pieces in (excerpts._asdict() if excerpts else {}).items():
            np.savez(Path(folder) / f"{kind}.npz", *pieces)
        reports = call_in_process(
            "kerasmusic.export.tflite", "export_from_json", environment, model=str(model),
            outputs={precision: str(path) for precision, path in outputs.items()},
            excerpts=folder if excerpts else None, extensions=pack_extensions(),
        )  # fmt: skip
    paths = [{name: report[name] and Path(report[name]) for name in ("path", "keras")} for report in reports]
    return [ExportResult(**{**report, **found}) for report, found in zip(reports, paths, strict=True)]
