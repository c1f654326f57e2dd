"""Training: from a corpus to a run folder with the model, its history and what it takes to carry on."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from kerasmusic.data.corpus import Corpus
from kerasmusic.data.sources import join_licences
from kerasmusic.errors import ArgumentError, KerasMusicError, TrainingError, suggest
from kerasmusic.files import atomic_write, remove_leftovers
from kerasmusic.models.backend import PRECISIONS, products_in
from kerasmusic.models.growing import grown
from kerasmusic.models.note_model import NoteModel, load_model
from kerasmusic.training.callbacks import (
    PROGRESS,
    Bar,
    Budget,
    Checkpoint,
    History,
    Schedule,
    StopOnSignal,
    StopTogether,
    StopWhereLost,
    Validation,
    save_model,
)
from kerasmusic.training.devices import Devices, open_devices, undistributed
from kerasmusic.training.run_folder import CHECKPOINT, check_new_run
from kerasmusic.training.windows import TRANSPOSITION, Windows

STEPS_PER_ROUND = 25
VALIDATION_NOTES = 50_000
VALIDATION_SEED = 1
# Of the preset's learning rate, for a model that is trained already.
START_SHARE = 0.3


@dataclass(frozen=True)
class Settings:
    """How to train. `minutes` or `epochs` bounds the whole run; the rest has the preset's values where it is None.

    Args:
        preset: the architecture; with a model to start from, that of the model or a wider one (see `grown`).
        start: the `.keras` file of a trained model to start from; None starts from random weights.
        minutes: of training from the first step on, validating included and compiling the step not.
        epochs: passes over as many notes as the training split has.
        batch_size: windows in a batch.
        learning_rate: the highest of the schedule; by default the preset's, or a part of it with a model to start from.
        weight_decay, clip: of the preset's optimizer; see `NoteModel.make_optimizer`.
        transposition, stretch: how far windows are moved in pitch and tempo; see `Windows`.
        precision: of matrix products. On PyTorch they may be in bfloat16, at which many processors are faster;
            weights and sums are float32 always.
        seed: of the weights and the windows.
        validations: how often the validation split is looked at in a run.
        patience: validations without a better one before the run ends early.
        checkpoint_seconds: between checkpoints.
    """

    preset: str = "small"
    start: str | None = None
    minutes: float | None = None
    epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float = 0.01
    clip: float = 1.0
    transposition: int = TRANSPOSITION
    stretch: float = 0.0
    precision: str = "float32"
    seed: int = 0
    validations: int = 10
    patience: int = 5
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise ArgumentError("say how long to train, in minutes or in epochs, not both")
        if not 0 <= self.stretch < 1:
            raise ArgumentError(f"{self.stretch}: a stretch is from 0 to below 1, such as 0.05 for up to 5 %")
        if self.transposition < 0:
            raise ArgumentError(f"{self.transposition}: a transposition is by 0 semitones or more")
        for name in ("minutes", "epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ArgumentError(f"{value}: {name.replace('_', ' ')} must be more than 0")
        if self.precision not in PRECISIONS:
            raise ArgumentError(f"{self.precision}: no such precision; {suggest(self.precision, PRECISIONS)}")
        if self.precision != "float32" and keras.backend.backend() != "torch":
            raise ArgumentError(
                f"{self.precision}: not on {keras.backend.backend()}; add --backend torch, or train in float32"
            )
        if self.seed < 0:
            raise ArgumentError(f"{self.seed}: a seed is a whole number from 0 on")


@dataclass(frozen=True)
class Trained:
    """What a training left. Where several processes train together, the first writes the files.

    Args:
        run: the run's folder.
        ended: why it ended.
        steps, seconds: of training in all.
        compiling_seconds: that compiling the step took before them, in this session.
        passes: over as many notes as the training split has, in all.
        wrote: whether this process wrote the files.
    """

    run: Path
    ended: str
    steps: int
    seconds: float
    compiling_seconds: float
    passes: float
    wrote: bool = True


def train(
    corpus: Corpus, run: str | os.PathLike[str], settings: Settings, *, resume: bool = False, devices: str = "one"
) -> Trained:
    """Trains a model and leaves in the run's folder `model.keras`, `history.csv`, and a checkpoint to resume from.

    Ctrl-C or SIGTERM ends it after the present step, with everything saved. What was killed, by a power cut or a full
    disk, is carried on from the last checkpoint, as if nothing had been.

    Args:
        corpus: what to train on.
        run: the folder; made if it is not there.
        settings: how to train.
        resume: carry on from the run's checkpoint.
        devices: "one", or "all" of this host and of those that train with it; see `kerasmusic.training.devices`.

    Raises:
        KerasMusicError: the corpus, the settings or the devices do not serve, or there is nothing to resume.
        TrainingError: the loss is not a number any more; the last checkpoint is kept.
    """
    # Before hosts join, which otherwise would have to agree on a seed of their own.
    keras.utils.set_random_seed(settings.seed)
    opened = open_devices(devices)
    with opened.scope():
        return _train(corpus, Path(run), settings, resume, opened)


def _train(corpus: Corpus, run: Path, settings: Settings, resume: bool, devices: Devices) -> Trained:
    progress: dict[str, Any] = {"steps": 0, "seconds": 0.0}
    if devices.writes:
        for name in (CHECKPOINT, "model.keras", "history.csv", "run.json"):
            remove_leftovers(run / name)
    if resume:
        model, progress = _load_checkpoint(run)
    else:
        check_new_run(run)
        model = _starting_model(corpus, settings)
        model.compile(model.make_optimizer(_highest_rate(model, settings), settings.weight_decay, settings.clip))
        model.record = _training_record(corpus, settings, model.record)
    batch_size = settings.batch_size or model.batch_size
    notes_per_step = batch_size * model.labels_per_window
    rows = devices.rows(batch_size)
    windows = Windows(
        corpus, "train", length=model.window, context=model.context_notes, batch_size=batch_size,
        batches=STEPS_PER_ROUND, seed=_seed_of_windows(settings.seed, model.record), first_batch=progress["steps"],
        transposition=settings.transposition, stretch=settings.stretch, rows=rows,
    )  # fmt: skip
    total_steps = None
    if settings.epochs is not None:
        total_steps = max(1, math.ceil(settings.epochs * windows.notes / notes_per_step))
    budget = Budget(
        minutes=settings.minutes, steps=total_steps, steps_done=progress["steps"], seconds_done=progress["seconds"]
    )
    if devices.writes:
        with atomic_write(run / "run.json") as temporary:
            started = {
                "settings": asdict(settings),
                "data": [str(root.resolve()) for root in corpus.roots],
                "pedal": corpus.pedal,
            }
            temporary.write_text(json.dumps(started, indent=1))

    validation = Validation(
        _validation_windows(corpus, model, batch_size, rows), budget, run / "model.keras" if devices.writes else None,
        times=settings.validations, patience=settings.patience, former=progress,
    )  # fmt: skip
    stop = StopOnSignal() if devices.processes == 1 else StopTogether(devices, budget)
    schedule = Schedule(budget, _highest_rate(model, settings))
    checkpoint = Checkpoint(run / CHECKPOINT, budget, validation, settings.checkpoint_seconds)
    bar = Bar(budget, notes_per_step)
    callbacks: list[keras.callbacks.Callback] = [stop, schedule, StopWhereLost(budget), validation]
    if devices.writes:
        callbacks += [History(run / "history.csv", steps_done=progress["steps"]), checkpoint, bar]
    if budget.share < 1.0:
        try:
            # Keras would shuffle the batches of a round, each process in its own way.
            with products_in(settings.precision):
                model.fit(windows, epochs=2**31, verbose=0, callbacks=callbacks, shuffle=False)
        except TrainingError as error:
            kept = f"the weights of step {checkpoint.saved_step:,} are kept in {run / CHECKPOINT}"
            raise TrainingError(
                f"{run}: {error}; {kept if checkpoint.saved_step else 'no weights were saved before it'}; "
                "try again with a lower --learning-rate"
            ) from None
        finally:
            # Keras does not tell its callbacks of the end where it is an error.
            stop.restore()
            bar.close()
    if devices.writes:
        _record_outcome(run, budget)
    ended = "budget spent"
    if stop.signalled:
        ended = f"stopped by {stop.signalled}"
    elif budget.share < 1.0:
        ended = f"no better validation loss in {settings.patience} validations"
    return Trained(
        run, ended, budget.steps_done, budget.seconds, budget.compiling_seconds,
        passes=budget.steps_done * notes_per_step / windows.notes, wrote=devices.writes,
    )  # fmt: skip


def _starting_model(corpus: Corpus, settings: Settings) -> NoteModel:
    if settings.start is None:
        return NoteModel.new(settings.preset, corpus.codec)
    model = load_model(settings.start)
    if model.codec != corpus.codec:
        raise ArgumentError(f"{settings.start}: has another codec than the corpus; open the corpus with the model's")
    return model if settings.preset == model.preset else grown(model, settings.preset)


def _highest_rate(model: NoteModel, settings: Settings) -> float:
    return settings.learning_rate or model.learning_rate * (1.0 if settings.start is None else START_SHARE)


def _load_checkpoint(run: Path) -> tuple[NoteModel, dict[str, Any]]:
    if not (run / CHECKPOINT).exists():
        raise KerasMusicError(f"{run}: holds no checkpoint to resume; start the run anew with 'kerasmusic train'")
    model = load_model(run / CHECKPOINT, compile=True)
    try:
        # Runs of before have it in a file beside.
        progress = model.record.pop(PROGRESS, None) or json.loads((run / "progress.json").read_text())
        progress = {"steps": int(progress["steps"]), "seconds": float(progress["seconds"]), **progress}
    except (OSError, ValueError, KeyError, TypeError):
        raise KerasMusicError(f"{run / CHECKPOINT}: does not say how far the run was; start one anew") from None
    return model, progress


def _validation_windows(corpus: Corpus, model: NoteModel, batch_size: int, rows: slice) -> Windows | None:
    if not len(corpus.pieces("validation")):
        return None
    batches = max(1, VALIDATION_NOTES // (batch_size * model.window))
    return Windows(
        corpus, "validation", length=model.window, context=model.context_notes, batch_size=batch_size, batches=batches,
        seed=VALIDATION_SEED, transposition=0, stretch=0.0, advance=False, rows=rows,
    )  # fmt: skip


def _training_record(corpus: Corpus, settings: Settings, start: dict[str, Any]) -> dict[str, Any]:
    """What travels with the model; `start` is the record of the model that it started from, or is empty."""
    return {
        "backend": keras.backend.backend(),
        "data": corpus.summary(),
        "licence": join_licences(*([start["licence"]] if "licence" in start else []), corpus.licence),
        "source": ", ".join(root.resolve().name for root in corpus.roots),
        "pedal": corpus.pedal,
        # The file's name alone: where it stood is nobody else's business.
        "settings": {**asdict(settings), "start": settings.start and Path(settings.start).name},
        **({"start": start} if start else {}),
    }


def _seed_of_windows(seed: int, record: dict[str, Any]) -> int:
    """Another one for each training of a model that was trained before: it would hear the same windows again."""
    trainings = 0
    while record := record.get("start", {}):
        trainings += 1
    return seed + (trainings << 32)


def _record_outcome(run: Path, budget: Budget) -> None:
    """Adds to the best model's record how long the run was."""
    with undistributed():
        model = load_model(run / "model.keras")
    model.record = {**model.record, "steps": budget.steps_done, "minutes": round(budget.seconds / 60, 2)}
    save_model(model, run / "model.keras")
