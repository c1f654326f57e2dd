"""Runs: training a model, then exporting it and playing a sample of its music."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kerasmusic import midi, plots
from kerasmusic.audio import write_wav
from kerasmusic.errors import MissingPackageError
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
    """Trains a model, then exports it and plays a sample of its music: `kerasmusic train` for Python.

    The run's folder has `model.keras`, `model.tflite`, `history.csv` and `loss.png`, the sample as `sample.mid`,
    `sample.png` and `sample.wav`, and a checkpoint to resume from. A run that was stopped by a signal is not finished;
    resume it, or call `kerasmusic.runs.finish`.

    Args:
        corpus: the music to train on, from `open_corpus`.
        run: the folder; made if it is not there.
        settings: how to train.
        resume: carry on from the run's checkpoint.
        devices: "one", or "all" of this host and of those that train with it; see `kerasmusic.training.devices`.

    Returns:
        the outcome, whose `files` name the files written besides the model, and those that a missing package prevented.

    Raises:
        KerasMusicError: the corpus, the settings or the devices do not serve, or there is nothing to resume.
        TrainingError: the loss is not finite any more; the last checkpoint is kept.

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
    """Exports the model of a run, plays a sample of its music, and draws both the sample and the losses.

    What an optional package is missing for is left out.

    Args:
        run: the folder of a run that was trained.

    Returns:
        the files that were written, and those that were not, with the reasons.

    Raises:
        KerasMusicError: the model cannot be exported or played.

    Example, with a run that was stopped before::

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
        except MissingPackageError as error:
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
    """The first minute of the piece of seed 0, by the exported file where that is there and can be played."""
    try:
        generator = open_generator(run, prefer=TFLITE, seed=0)
    except MissingPackageError:
        generator = open_generator(run, prefer=KERAS, seed=0)
    return generator.take(seconds=SAMPLE_SECONDS)
