"""Runs: trains a model, then exports it and generates a sample of its music."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kerasmusic import midi, plots
from kerasmusic.audio import write_wav
from kerasmusic.data.corpus import open_corpus
from kerasmusic.errors import KerasMusicError, KerasMusicWarning, MissingPackageError
from kerasmusic.export import export_tflite
from kerasmusic.opening import KERAS, RUN_MODEL, TFLITE, codec_of, open_generator, settle_backend
from kerasmusic.training.run_folder import (
    CHECKPOINT,
    RunFiles,
    check_sources,
    locked,
    music_change,
    read_history,
    read_settings,
    read_start,
)

if TYPE_CHECKING:
    from keras.callbacks import Callback
    from keras.optimizers import Optimizer

    from kerasmusic.data.corpus import Corpus
    from kerasmusic.models import NoteModel
    from kerasmusic.notes import Notes
    from kerasmusic.training.settings import Settings
    from kerasmusic.training.train import TrainingResult

SAMPLE_SECONDS = 60.0


def train(
    model: str | NoteModel,
    corpus: Corpus,
    run: str | os.PathLike[str],
    settings: Settings,
    *,
    callbacks: Sequence[Callback] = (),
    optimizer: Optimizer | None = None,
    devices: str = "one",
) -> TrainingResult:
    """Trains a model, then exports it and generates a sample of its music: `kerasmusic train` for Python.

    The run's folder receives `model.keras`, `model.tflite`, `history.csv` and `loss.png`, the sample as `sample.mid`,
    `sample.png` and `sample.wav`, and a checkpoint to resume from. A run that a signal or a callback stopped has no
    export and no sample; `resume` it, or call `kerasmusic.runs.finish`.

    Args:
        model: a preset's name, or a model; see `kerasmusic.training.train.train`, also for the other arguments.
        corpus: the music to train on, from `open_corpus`.
        run: the run's folder, created if needed.
        settings: the training settings.
        callbacks: further Keras callbacks.
        optimizer: a Keras optimizer to use instead of the model's own.
        devices: "one", or "all" devices of this host and of the hosts that train with it.

    Returns:
        The result. Its `files` lists the files written besides the model, and those skipped for want of a package.

    Raises:
        KerasMusicError: the model, the corpus, the settings or the devices are unsuitable, or the folder holds another
            run or is being trained.
        TrainingError: the loss is no longer finite; the last checkpoint is kept.

    Example::

        train("tiny", open_corpus("my-midi/"), "runs/mine", Settings(minutes=10))
    """
    settle_backend()
    from kerasmusic.training import train as training

    return _finished(
        training.train(model, corpus, run, settings, callbacks=callbacks, optimizer=optimizer, devices=devices)
    )


def resume(
    run: str | os.PathLike[str],
    corpus: Corpus | None = None,
    *,
    minutes: float | None = None,
    epochs: float | None = None,
    callbacks: Sequence[Callback] = (),
    devices: str = "one",
) -> TrainingResult:
    """Continues a run that was stopped or killed, or makes it longer; then as `train`.

    Args:
        run: the run's folder.
        corpus: the run's music, if its files have moved; by default it is opened where the run found it.
        minutes: the length of the whole run, instead of its own.
        epochs: the same in passes over the data.
        callbacks: see `train`.
        devices: see `train`.

    Raises:
        KerasMusicError: there is no run to resume, its music is gone, or another process trains it.
        TrainingError: see `train`.

    Example, with a run that was stopped earlier::

        resume("runs/mine", minutes=20)
    """
    start = read_start(run)
    settings = read_settings(start)
    if minutes is not None or epochs is not None:
        settings = dataclasses.replace(settings, minutes=minutes, epochs=epochs)
    settle_backend()
    from kerasmusic.models.precision import check_precision

    check_precision()
    if corpus is None:
        check_sources(start)
        corpus = open_corpus(start["data"], codec=codec_of(Path(run) / CHECKPOINT), pedal=start["pedal"])
    if changed := music_change(start, corpus):
        warnings.warn(changed, KerasMusicWarning, stacklevel=2)
    from kerasmusic.training import train as training

    return _finished(training.resume(corpus, run, settings, callbacks=callbacks, devices=devices))


def _finished(result: TrainingResult) -> TrainingResult:
    if result.ending is result.ending.STOPPED or not result.wrote:
        return result
    return dataclasses.replace(result, files=finish(result.run))


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
    with locked(run):
        return _finish(Path(run))


def _finish(run: Path) -> RunFiles:
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
