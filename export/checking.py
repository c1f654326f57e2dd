"""Checks a preset before training: the contract of its model, and its export to every precision that needs no music."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kerasmusic.edge.generator import Generator
from kerasmusic.edge.golden import verify
from kerasmusic.edge.runtime import TFLiteRuntime
from kerasmusic.export.process import Excerpts, ExportResult, export_precisions
from kerasmusic.models.contract import Check, ContractError, check_contract, run_check
from kerasmusic.models.keras_runtime import KerasRuntime
from kerasmusic.models.note_model import NoteModel

PRECISIONS = ("float32", "int8")
NOTES = 200
SEED = 1
# The largest deviation of a float32 graph's log probabilities from Keras's, in nats.
TOLERANCE = 1e-3


def check_model(preset: str, keep: Path | None = None) -> Iterator[Check]:
    """Checks a preset's model with random weights: its contract, then its exported files.

    Args:
        preset: the preset's name.
        keep: a folder for the files, `PRECISION.tflite`; by default they are deleted.

    Yields:
        Each check as soon as it is done; the first that does not hold is the last.

    Raises:
        ArgumentError: there is no such preset.
        MissingPackageError: TensorFlow, which exports, is not installed.
    """
    model = NoteModel.new(preset)
    for check in check_contract(model):
        yield check
        if not check.holds:
            return
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as temporary:
        folder = Path(keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        source = Path(temporary) / "model.keras"
        model.save(source)
        music = Generator(KerasRuntime(model), seed=SEED).take(NOTES)
        played = [model.codec.encode(music).astype(np.int32)]
        excerpts = Excerpts(calibration=played, validation=played)
        for precision in PRECISIONS:
            check = run_check(f"{precision} file", _check_file, source, folder, precision, excerpts)
            yield check
            if not check.holds:
                return


def _check_file(source: Path, folder: Path, precision: str, excerpts: Excerpts) -> str:
    path = folder / f"{precision}.tflite"
    (exported,) = export_precisions(source, {precision: path}, excerpts=excerpts)
    assert exported.difference is not None
    if precision == "float32" and not exported.difference <= TOLERANCE:
        raise ContractError(f"its log probabilities differ from Keras's by up to {exported.difference:.2g} nats")
    verdict = verify(TFLiteRuntime(path))
    if not verdict.holds:
        raise ContractError(f"does not play its own passage: {verdict}")
    return _describe(exported)


def _describe(exported: ExportResult) -> str:
    uses = sum(uses for _, _, uses in exported.operators)
    return (
        f"{exported.bytes:,} bytes, {uses} operators of {len(exported.operators)} kinds, TFLite {exported.runtime} or "
        f"newer, {exported.microseconds:.0f} us a note on {exported.interpreter}, within {exported.difference:.1g} "
        "nats of Keras"
    )
