"""Runs: trains a model, then exports it and generates a sample of its music."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kerasmusic import midi, plots
from kerasmusic.audio import write_wav
from kerasmusic.errors import KerasMusicError, MissingPackageError
from kerasmusic.export import export_tflite
from kerasmusic.opening import KERAS, RUN_MODEL, TFLITE, open_generator, settle_backend
from kerasmusic.training.run_folder import RunFiles, read_history

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus
    from kerasmusic.notes import Notes
    from kerasmusic.training.settings import Settings
    from kerasmusic.training.train import TrainingResult

SAMPLE_SECONDS = 60.0


def train(
    corpus: Corpus, run: str | os.PathLike[str], settings: Settings, *, resume: bool = False, devices: str = "one"
) -> TrainingResult:
    """Trains a model, then exports it and generates a sample of its music: `kerasmusic train` for Python.

    The run's folder receives `model.keras`, `model.tflite`, `history.csv` and `loss.png`, the sample as `sample.mid`,
    `sample.png` and `sample.wav`, and a checkpoint to resume from. A run that a signal stopped has no export and no
    sample; resume it, or call `kerasmusic.runs.finish`.

    Args:
        corpus: the music to train on, from `open_corpus`.
        run: the run's folder, created if needed.
        settings: the training settings.
        resume: continue from the run's checkpoint.
        devices: "one", or "all" devices of this host and of the hosts that train with it; see
            `kerasmusic.training.devices`.

    Returns:
        The result. Its `files` lists the files written besides the model, and those skipped for want of a package.

    Raises:
        KerasMusicError: the corpus, the settings or the devices are unsuitable, or there is no run to resume.
        TrainingError: the loss is no longer finite; the last checkpoint is kept.

    Example::

        train(open_corpus("my-midi/"), "runs/mine", Settings(preset="tiny", minutes=10))
    """
    settle_backend()
    from kerasmusic.training import train as training

    result = training.train(corpus, run, settings, resume=resume, devices=devices)
    if result.ending is training.Ending.STOPPED or not result.wrote:
        return result
    return dataclasses.replace(result, files=finish(run))


def finish(run: str | os.PathLike[str]) -> RunFiles:
    """Exports a run's model, generates a sample of its music, and plots the sample and the losses.

    Files that need an optional package that is not installed are skipped.

    Args:
        run: the folder of a trained run.

    Returns:
        The files written, and the files skipped with the reasons.

    Raises:
        KerasMusicError: the model cannot be exported or played.

    Example, with a run that was stopped earlier::

        for path, reason in finish("runs/mine").missing.items():
            print(f"{path} not written: {reason}")
    """
    run = Path(run)
    keras_file = run / f"{RUN_MODEL}{KERAS.suffix}"
    written: list[Path] = []
    missing: dict[Path, str] = {}

    def attempt(name: str, write: Callable[[Path], object]) -> None:
        path = run / name
        try:
            write(path)
        except KerasMusicError as error:  # a trained model is not lost because it cannot be exported or drawn
            missing[path] = str(error)
        else:
            written.append(path)

    attempt("loss.png", lambda path: plots.save(plots.loss_curves(read_history(run)), path))
    attempt(f"{RUN_MODEL}{TFLITE.suffix}", lambda path: export_tflite(keras_file, path))
    notes = _sample(run)
    attempt("sample.mid", lambda path: midi.write(notes, path))
    attempt("sample.png", lambda path: plots.save(plots.piano_roll(notes), path))
    attempt("sample.wav", lambda path: write_wav(notes, path))
    return RunFiles(tuple(written), missing)


def _sample(run: Path) -> Notes:
    """The first minute of the piece of seed 0, from the exported file if possible, else from the Keras model."""
    try:
        generator = open_generator(run, prefer=TFLITE, seed=0)
    except MissingPackageError:
        generator = open_generator(run, prefer=KERAS, seed=0)
    return generator.take(seconds=SAMPLE_SECONDS)
