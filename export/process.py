"""Exporting from any process, whatever its backend: the work is done in another one, on TensorFlow."""

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

from kerasmusic.errors import ArgumentError, MissingPackageError, closest
from kerasmusic.processes import call_in_process

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus

# "int8" quantises weights, and activations as they come (the "dynamic range" of TFLite); "int8-full" quantises the
# activations that enter matrices by ranges found beforehand on real music.
PRECISIONS = ("float32", "float16", "int8", "int8-full")
CALIBRATED = "int8-full"
PIECES, NOTES = 16, 1_000
# Nats per note that a precision may lose without a warning.
ACCEPTABLE_LOSS = 0.05


class Excerpts(NamedTuple):
    """Beginnings of performances, as fields int32 `[n, 4]` each: to calibrate on, and to measure a loss on."""

    calibration: list[NDArray[np.int32]]
    validation: list[NDArray[np.int32]]

    @classmethod
    def of(cls, corpus: Corpus) -> Excerpts:
        """The first 1,000 notes of 16 performances of each split, spread evenly over it.

        Both are of the training split where it is the only one.
        """
        excerpts = []
        for split in ("train", "validation" if len(corpus.pieces("validation")) else "train"):
            pieces = corpus.pieces(split)
            chosen = pieces[np.unique(np.linspace(0, len(pieces) - 1, PIECES).round().astype(int))]
            excerpts.append([corpus.fields[start : min(end, start + NOTES)].astype(np.int32) for start, end in chosen])
        return cls(*excerpts)


@dataclass(frozen=True)
class ExportResult:
    """What was exported, and what it is worth.

    Args:
        precision: of the weights.
        path: the file.
        bytes: its size.
        operators: name, version and count of each kind in the graph.
        runtime: the oldest release of TFLite that reads it.
        interpreter: what ran it for `microseconds`.
        microseconds: of a step here, the median of many.
        difference: the largest of a log probability from Keras on validation notes; None without excerpts.
        nats_lost: a note, against Keras, on the same notes; None without excerpts.
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

    @property
    def warning(self) -> str | None:
        """What its maker should know before handing it on."""
        if self.nats_lost is None or self.nats_lost <= ACCEPTABLE_LOSS:
            return None
        return (
            f"{self.path}: {self.precision} loses {self.nats_lost:.3f} nats per note, more than {ACCEPTABLE_LOSS}; "
            "prefer another precision"
        )


def export_tflite(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: str = "float32",
    excerpts: Excerpts | None = None,
) -> ExportResult:
    """Exports a `.keras` file made by kerasmusic to a `.tflite` file.

    Args:
        model: the `.keras` file; which backend it was trained on does not matter.
        output: the file to write. It appears whole or not at all.
        precision: of the weights: "float32", "float16", "int8" or "int8-full".
        excerpts: real music, to measure on what the precision costs, and to calibrate "int8-full" on.

    Raises:
        KerasMusicError: the model cannot be exported, with the reason.
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
    """Exports one model in several precisions, `outputs` by precision; see `export_tflite`."""
    for precision in outputs:
        if precision not in PRECISIONS:
            raise ArgumentError(f"{precision}: no such precision; {closest(precision, PRECISIONS)}")
    if CALIBRATED in outputs and not (excerpts and excerpts.calibration):
        raise ArgumentError(f"{CALIBRATED} is calibrated on real music; name some with --data")
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingPackageError("exporting needs TensorFlow; run: pip install 'kerasmusic[tensorflow]'")
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        for kind, pieces in (excerpts._asdict() if excerpts else {}).items():
            np.savez(Path(folder) / f"{kind}.npz", *pieces)
        reports = call_in_process(
            "kerasmusic.export.tflite", "export_as_asked", environment, model=str(model),
            outputs={precision: str(path) for precision, path in outputs.items()},
            excerpts=folder if excerpts else None,
        )  # fmt: skip
    return [ExportResult(**{**report, "path": Path(report["path"])}) for report in reports]
