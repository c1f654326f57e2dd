"""Training: from a corpus to a run's folder with the model, its history and a checkpoint to resume from."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import keras

from kerasmusic.data.corpus import Corpus
from kerasmusic.data.sources import join_licences
from kerasmusic.errors import ArgumentError, KerasMusicError, TrainingError
from kerasmusic.files import atomic_write, remove_leftovers
from kerasmusic.models.growing import grown
from kerasmusic.models.note_model import NoteModel, load_model
from kerasmusic.models.precision import computing_in
from kerasmusic.training.budget import Budget, Schedule
from kerasmusic.training.callbacks import Bar
from kerasmusic.training.devices import Devices, open_devices, undistributed
from kerasmusic.training.run_folder import CHECKPOINT, RunFiles, check_new_run
from kerasmusic.training.saving import PROGRESS, Checkpoint, History, save_model
from kerasmusic.training.settings import Settings
from kerasmusic.training.stopping import StopOnSignal, StopTogether, StopWhereLost, Validation
from kerasmusic.training.windows import Windows

STEPS_PER_ROUND = 25
VALIDATION_NOTES = 50_000
VALIDATION_SEED = 1
# The share of the preset's learning rate that fine-tuning a trained model starts from.
START_SHARE = 0.3


class Ending(Enum):
    """The reason why a run ended."""

    BUDGET_SPENT = "budget spent"
    NO_IMPROVEMENT = "no better validation loss"
    STOPPED = "stopped"


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training run. Where several processes train together, the first writes the files.

    Args:
        run: the run's folder.
        ending: the reason why it ended.
        ended: the same in words, with the signal or the number of validations.
        steps: optimizer steps in all, those before resuming included.
        seconds: seconds of training in all, likewise.
        compiling_seconds: seconds that compiling the step took before them, in this session.
        passes: notes trained on in all, divided by the notes of the training split.
        wrote: whether this process wrote the files.
        files: the files that finishing the run added, where `kerasmusic.train` finished it.
    """

    run: Path
    ending: Ending
    ended: str
    steps: int
    seconds: float
    compiling_seconds: float
    passes: float
    wrote: bool = True
    files: RunFiles | None = None


def train(
    corpus: Corpus, run: str | os.PathLike[str], settings: Settings, *, resume: bool = False, devices: str = "one"
) -> TrainingResult:
    """Trains a model and leaves in the run's folder `model.keras`, `history.csv`, and a checkpoint to resume from.

    `kerasmusic.train` also exports the model and writes a sample of its music. Ctrl-C or SIGTERM ends training after
    the current step with everything saved. A run that was killed, by a power cut or a full disk, resumes from its last
    checkpoint and comes to the same model as one that was not.

    Args:
        corpus: the music to train on.
        run: the folder; made if it is not there.
        settings: how to train.
        resume: carry on from the run's checkpoint.
        devices: "one", or "all" of this host and of those that train with it; see `kerasmusic.training.devices`.

    Raises:
        KerasMusicError: the corpus, the settings or the devices do not serve, or there is nothing to resume.
        TrainingError: the loss is not finite any more; the last checkpoint is kept.
    """
    # Before hosts join, which otherwise would have to agree on a seed of their own.
    keras.utils.set_random_seed(settings.seed)
    opened = open_devices(devices)
    with opened.scope():
        return _train(corpus, Path(run), settings, resume, opened)


def _train(corpus: Corpus, run: Path, settings: Settings, resume: bool, devices: Devices) -> TrainingResult:
    if devices.writes:
        for name in (CHECKPOINT, "model.keras", "history.csv", "run.json"):
            remove_leftovers(run / name)
    with computing_in(settings.precision):
        model, progress = _load_checkpoint(run) if resume else _new_model(corpus, run, settings)
    batch_size = settings.batch_size or model.batch_size
    rows = devices.rows(batch_size)
    windows = _training_windows(corpus, model, settings, batch_size, rows, first_batch=progress["steps"])
    notes_per_step = batch_size * model.labels_per_window
    budget = _budget(settings, windows.notes, notes_per_step, progress)
    if devices.writes:
        _write_start(run, corpus, settings)
    validation = Validation(
        _validation_windows(corpus, model, batch_size, rows), budget, run / "model.keras" if devices.writes else None,
        times=settings.validations, patience=settings.patience, former=progress,
    )  # fmt: skip
    stop = StopOnSignal() if devices.processes == 1 else StopTogether(devices, budget)
    if budget.share < 1.0:
        _fit(model, windows, budget, run, settings, devices, stop, validation)
    if devices.writes:
        _record_outcome(run, budget)
    ending, ended = _ending(stop, budget, settings)
    return TrainingResult(
        run, ending, ended, budget.steps_done, budget.seconds, budget.compiling_seconds,
        passes=budget.steps_done * notes_per_step / windows.notes, wrote=devices.writes,
    )  # fmt: skip


def _fit(
    model: NoteModel, windows: Windows, budget: Budget, run: Path, settings: Settings, devices: Devices,
    stop: StopOnSignal, validation: Validation,
) -> None:  # fmt: skip
    """Trains until the budget is spent or a callback stops it; the first process writes as it goes."""
    schedule = Schedule(budget, _peak_rate(model, settings))
    checkpoint = Checkpoint(run / CHECKPOINT, budget, lambda: validation.progress, settings.checkpoint_seconds)
    bar = Bar(budget, windows.batch_size * model.labels_per_window)
    callbacks: list[keras.callbacks.Callback] = [stop, schedule, StopWhereLost(budget), validation]
    if devices.writes:
        callbacks += [History(run / "history.csv", steps_done=budget.steps_done), checkpoint, bar]
    try:
        # Keras would shuffle the batches of a round, each process in its own way.
        model.fit(windows, epochs=2**31, verbose=0, callbacks=callbacks, shuffle=False)
    except TrainingError as error:
        raise _with_remedy(error, run, checkpoint) from None
    finally:
        # Keras does not tell its callbacks of the end where it is an error.
        stop.restore()
        bar.close()


def _new_model(corpus: Corpus, run: Path, settings: Settings) -> tuple[NoteModel, dict[str, Any]]:
    """A compiled model for a run that begins, and the progress of one: none."""
    check_new_run(run)
    model = _starting_model(corpus, settings)
    model.compile(model.make_optimizer(_peak_rate(model, settings), settings.weight_decay, settings.clip))
    model.record = _training_record(corpus, settings, model.record)
    return model, {"steps": 0, "seconds": 0.0}


def _starting_model(corpus: Corpus, settings: Settings) -> NoteModel:
    if settings.start is None:
        return NoteModel.new(settings.preset, corpus.codec)
    model = load_model(settings.start)
    if model.codec != corpus.codec:
        raise ArgumentError(f"{settings.start}: has another codec than the corpus; open the corpus with the model's")
    return model if settings.preset == model.preset else grown(model, settings.preset)


def _peak_rate(model: NoteModel, settings: Settings) -> float:
    return settings.learning_rate or model.learning_rate * (1.0 if settings.start is None else START_SHARE)


def _load_checkpoint(run: Path) -> tuple[NoteModel, dict[str, Any]]:
    if not (run / CHECKPOINT).exists():
        raise KerasMusicError(f"{run}: holds no checkpoint to resume; start the run anew with 'kerasmusic train'")
    model = load_model(run / CHECKPOINT, compile=True)
    try:
        # Older runs store it in progress.json.
        progress = model.record.pop(PROGRESS, None) or json.loads((run / "progress.json").read_text())
        progress = {"steps": int(progress["steps"]), "seconds": float(progress["seconds"]), **progress}
    except (OSError, ValueError, KeyError, TypeError):
        raise KerasMusicError(f"{run / CHECKPOINT}: does not say how far the run was; start one anew") from None
    return model, progress


def _budget(settings: Settings, notes: int, notes_per_step: int, progress: dict[str, Any]) -> Budget:
    """The budget of the whole run, with what is spent of it; `notes` are those of the training split."""
    steps = None if settings.epochs is None else max(1, math.ceil(settings.epochs * notes / notes_per_step))
    return Budget(minutes=settings.minutes, steps=steps, steps_done=progress["steps"], seconds_done=progress["seconds"])


def _training_windows(
    corpus: Corpus, model: NoteModel, settings: Settings, batch_size: int, rows: slice, *, first_batch: int
) -> Windows:
    return Windows(
        corpus, "train", length=model.window, context=model.context_notes, batch_size=batch_size,
        batches=STEPS_PER_ROUND, seed=_seed_of_windows(settings.seed, model.record), first_batch=first_batch,
        transposition=settings.transposition, stretch=settings.stretch, rows=rows,
    )  # fmt: skip


def _validation_windows(corpus: Corpus, model: NoteModel, batch_size: int, rows: slice) -> Windows | None:
    if not len(corpus.pieces("validation")):
        return None
    batches = max(1, VALIDATION_NOTES // (batch_size * model.window))
    return Windows(
        corpus, "validation", length=model.window, context=model.context_notes, batch_size=batch_size, batches=batches,
        seed=VALIDATION_SEED, transposition=0, stretch=0.0, advance=False, rows=rows,
    )  # fmt: skip


def _training_record(corpus: Corpus, settings: Settings, start: dict[str, Any]) -> dict[str, Any]:
    """The metadata that travels with the model; `start` is that of the model it started from, or empty."""
    return {
        "backend": keras.backend.backend(),
        "data": corpus.summary(),
        "licence": join_licences(*([start["licence"]] if "licence" in start else []), corpus.licence),
        "source": ", ".join(root.resolve().name for root in corpus.roots),
        "pedal": corpus.pedal,
        # The file's name alone: the path may say more about its owner than they want to publish.
        "settings": {**asdict(settings), "start": settings.start and Path(settings.start).name},
        **({"start": start} if start else {}),
    }


def _seed_of_windows(seed: int, record: dict[str, Any]) -> int:
    """A seed that differs with every further training of a model, which would otherwise see the same windows again."""
    trainings = 0
    while record := record.get("start", {}):
        trainings += 1
    return seed + (trainings << 32)


def _record_outcome(run: Path, budget: Budget) -> None:
    """Adds the length of the run to the best model's metadata."""
    with undistributed():
        model = load_model(run / "model.keras")
    model.record = {**model.record, "steps": budget.steps_done, "minutes": round(budget.seconds / 60, 2)}
    save_model(model, run / "model.keras")


def _write_start(run: Path, corpus: Corpus, settings: Settings) -> None:
    """Writes `run.json`: the settings and the data that resuming the run takes."""
    start = {
        "settings": asdict(settings),
        "data": [str(root.resolve()) for root in corpus.roots],
        "pedal": corpus.pedal,
    }
    with atomic_write(run / "run.json") as temporary:
        temporary.write_text(json.dumps(start, indent=1))


def _with_remedy(error: TrainingError, run: Path, checkpoint: Checkpoint) -> TrainingError:
    """The same error with the run, the weights that are kept, and a way out."""
    kept = "no weights were saved before it"
    if checkpoint.saved_step:
        kept = f"the weights of step {checkpoint.saved_step:,} are kept in {run / CHECKPOINT}"
    return TrainingError(f"{run}: {error}; {kept}; try again with a lower --learning-rate")


def _ending(stop: StopOnSignal, budget: Budget, settings: Settings) -> tuple[Ending, str]:
    """The reason why a run ended, and the same in words."""
    if stop.signalled:
        return Ending.STOPPED, f"{Ending.STOPPED.value} by {stop.signalled}"
    if budget.share < 1.0:
        return Ending.NO_IMPROVEMENT, f"{Ending.NO_IMPROVEMENT.value} in {settings.patience} validations"
    return Ending.BUDGET_SPENT, Ending.BUDGET_SPENT.value
