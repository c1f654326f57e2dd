"""Training: from a corpus to a run's folder with the model, its history and a checkpoint to resume from."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import keras

from kerasmusic.data.corpus import Corpus
from kerasmusic.data.sources import join_licences
from kerasmusic.errors import ArgumentError, KerasMusicError, KerasMusicWarning, TrainingError
from kerasmusic.files import remove_leftovers
from kerasmusic.models.contract import require_contract
from kerasmusic.models.note_model import NoteModel, load_model
from kerasmusic.models.precision import check_precision, computing_in
from kerasmusic.training.budget import Budget, Schedule, has_schedule
from kerasmusic.training.callbacks import Bar
from kerasmusic.training.devices import Devices, open_devices, undistributed
from kerasmusic.training.run_folder import CHECKPOINT, RunFiles, check_new_run, locked, write_start
from kerasmusic.training.saving import PROGRESS, Checkpoint, History, save_model
from kerasmusic.training.settings import Settings
from kerasmusic.training.stopping import StopOnSignal, StopTogether, StopWhereLost, Validation
from kerasmusic.training.windows import WITHOUT_STYLE, Windows

STEPS_PER_ROUND = 25
VALIDATION_NOTES = 50_000
VALIDATION_SEED = 1
# The share of a model's learning rate that training it once more starts from.
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
    model: str | NoteModel,
    corpus: Corpus,
    run: str | os.PathLike[str],
    settings: Settings,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    optimizer: keras.optimizers.Optimizer | None = None,
    devices: str = "one",
) -> TrainingResult:
    """Trains a model and leaves in the run's folder `model.keras`, `history.csv`, and a checkpoint to resume from.

    `kerasmusic.train` also exports the model and writes a sample of its music. Ctrl-C or SIGTERM ends training after
    the current step with everything saved. A run that was killed, by a power cut or a full disk, resumes from its last
    checkpoint and comes to the same model as one that was not.

    Args:
        model: a preset's name, for a new model; or a model. A model that was trained before is trained on, from a lower
            learning rate. Training changes a copy: the trained model is in the run's folder.
        corpus: the music to train on, with the model's codec.
        run: the folder; created if needed.
        settings: the training settings.
        callbacks: further Keras callbacks. An epoch is a round of 25 steps. After it, `logs` has `loss` and the losses
            of the fields, `training_steps`, `minutes` and `learning_rate`, and after a validation `val_loss` and so on.
            On several hosts they are called in each process, and must not stop one alone.
        optimizer: a copy of it is used instead of the model's own. Its learning rate is the peak of the schedule; a
            `LearningRateSchedule` takes the place of the schedule.
        devices: "one", or "all" devices of this host and of the hosts that train with it; see
            `kerasmusic.training.devices`.

    Raises:
        KerasMusicError: the model, the corpus, the settings or the devices are unsuitable, or the run's folder holds
            another run or is being trained.
        TrainingError: the loss is no longer finite; the last checkpoint is kept.
    """
    run = Path(run)
    check_precision()
    if optimizer is not None:
        if settings.learning_rate is not None:
            raise ArgumentError(
                f"{settings.learning_rate}: the learning rate is that of the optimizer; leave it out of the settings"
            )
        if not has_schedule(optimizer):
            settings = dataclasses.replace(settings, learning_rate=float(optimizer.learning_rate))
    # Before hosts join, which otherwise would have to agree on a seed of their own.
    keras.utils.set_random_seed(settings.seed)
    opened = open_devices(devices)
    with opened.scope(), _locked(run, opened):
        check_new_run(run)
        trained = _new_model(model, corpus, settings)
        if optimizer is None:
            chosen = trained.make_optimizer(peak_rate(trained, settings), settings.weight_decay, settings.clip)
        else:
            chosen = type(optimizer).from_config(optimizer.get_config())
        trained.exclude_from_decay(chosen)
        trained.compile(chosen)
        return _train(trained, {"steps": 0, "seconds": 0.0}, corpus, run, settings, opened, callbacks)


def resume(
    corpus: Corpus,
    run: str | os.PathLike[str],
    settings: Settings,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    devices: str = "one",
) -> TrainingResult:
    """Continues a run from its checkpoint; see `train`.

    Args:
        corpus: the run's music, as `kerasmusic.training.run_folder.read_start` names it.
        run: the run's folder.
        settings: the run's settings, whose length may differ.
        callbacks: see `train`.
        devices: see `train`.

    Raises:
        KerasMusicError: there is nothing to resume; or see `train`.
        TrainingError: see `train`.
    """
    run = Path(run)
    check_precision()
    keras.utils.set_random_seed(settings.seed)
    opened = open_devices(devices)
    with opened.scope(), _locked(run, opened):
        with computing_in(settings.precision):
            model, progress = _load_checkpoint(run)
        return _train(model, progress, corpus, run, settings, opened, callbacks)


def _locked(run: Path, devices: Devices) -> AbstractContextManager[None]:
    return locked(run) if devices.writes else nullcontext()


def _train(
    model: NoteModel, progress: dict[str, Any], corpus: Corpus, run: Path, settings: Settings, devices: Devices,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingResult:  # fmt: skip
    """Trains a compiled model until its budget is spent; `progress` is that of the sessions before."""
    if model.codec != corpus.codec:
        raise ArgumentError(
            f"{run}: the model has another codec than the corpus; open the corpus with the model's codec"
        )
    if devices.writes:
        for name in (CHECKPOINT, "model.keras", "history.csv", "run.json"):
            remove_leftovers(run / name)
    batch_size = settings.batch_size or model.batch_size
    rows = devices.rows(batch_size)
    windows = _training_windows(corpus, model, settings, batch_size, rows, first_batch=progress["steps"])
    notes_per_step = batch_size * model.labels_per_window
    budget = _budget(settings, windows.notes, notes_per_step, progress)
    if devices.writes:
        write_start(run, corpus, settings, model.preset)
    if "validation" in corpus.empty:
        warnings.warn(
            "no validation, so training ends with its budget and not before; " + corpus.empty["validation"],
            KerasMusicWarning,
            stacklevel=3,
        )
    validation = Validation(
        validation_windows(corpus, model, batch_size, rows), budget, run / "model.keras" if devices.writes else None,
        times=settings.validations, patience=settings.patience, former=progress,
    )  # fmt: skip
    stop = StopOnSignal() if devices.processes == 1 else StopTogether(devices, budget)
    if budget.share < 1.0:
        _fit(model, windows, budget, run, settings, devices, stop, validation, callbacks)
    if devices.writes:
        _record_outcome(run, budget)
    ending, ended = _ending(stop, validation, budget, settings)
    return TrainingResult(
        run, ending, ended, budget.steps_done, budget.seconds, budget.compiling_seconds,
        passes=budget.steps_done * notes_per_step / windows.notes, wrote=devices.writes,
    )  # fmt: skip


def _fit(
    model: NoteModel, windows: Windows, budget: Budget, run: Path, settings: Settings, devices: Devices,
    stop: StopOnSignal, validation: Validation, further: Sequence[keras.callbacks.Callback],
) -> None:  # fmt: skip
    """Trains until the budget is spent or a callback stops it; the first process writes as it goes."""
    schedule = Schedule(budget, None if has_schedule(model.optimizer) else peak_rate(model, settings))
    checkpoint = Checkpoint(run / CHECKPOINT, budget, lambda: validation.progress, settings.checkpoint_seconds)
    bar = Bar(budget, windows.batch_size * model.labels_per_window)
    callbacks: list[keras.callbacks.Callback] = [stop, schedule, StopWhereLost(budget), validation]
    if devices.writes:
        callbacks += [History(run / "history.csv", steps_done=budget.steps_done), checkpoint, bar]
    # Last, so that an error in one of them leaves the round saved.
    callbacks += further
    try:
        # Keras would shuffle the batches of a round, each process in its own way.
        model.fit(
            windows, initial_epoch=budget.steps_done // STEPS_PER_ROUND, epochs=2**31, verbose=0, callbacks=callbacks,
            shuffle=False,
        )  # fmt: skip
    except TrainingError as error:
        raise _with_remedy(error, run, checkpoint) from None
    finally:
        # Keras does not tell its callbacks of the end where it is an error.
        stop.restore()
        bar.close()


def _new_model(model: str | NoteModel, corpus: Corpus, settings: Settings) -> NoteModel:
    """The model of a run that begins: a new one of a preset, or a copy of a model on this run's devices."""
    if not isinstance(model, str | NoteModel):
        raise ArgumentError(f"a {type(model).__name__} is no model; begin with a preset's name or a NoteModel")
    with computing_in(settings.precision):
        if isinstance(model, str):
            made = NoteModel.new(model, corpus.codec, styles=corpus.styles(settings.style_notes))
        else:
            made = _copy(model)
    if not type(made).__module__.startswith("kerasmusic."):
        # In float32, at which a step and a sequence agree.
        require_contract(_copy(made))
    made.record = _training_record(corpus, settings, made.record, made.preset)
    return made


def _copy(model: NoteModel) -> NoteModel:
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def peak_rate(model: NoteModel, settings: Settings) -> float:
    """The peak of the learning rate's schedule."""
    return settings.learning_rate or model.learning_rate * (START_SHARE if "start" in model.record else 1.0)


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
        styles=model.style_names,
        without_style=WITHOUT_STYLE if settings.style_notes else 1.0,
    )  # fmt: skip


def validation_windows(corpus: Corpus, model: NoteModel, batch_size: int, rows: slice | None = None) -> Windows | None:
    """The windows on which a run validates, the same each time; None without such a split."""
    if not len(corpus.pieces("validation")):
        return None
    batches = max(1, VALIDATION_NOTES // (batch_size * model.window))
    return Windows(
        corpus, "validation", length=model.window, context=model.context_notes, batch_size=batch_size, batches=batches,
        seed=VALIDATION_SEED, transposition=0, stretch=0.0, advance=False, rows=rows,
    )  # fmt: skip


def _training_record(corpus: Corpus, settings: Settings, start: dict[str, Any], preset: str) -> dict[str, Any]:
    """The metadata that travels with the model; `start` is that of the model it started from, or empty."""
    return {
        "backend": keras.backend.backend(),
        "data": corpus.summary(),
        "licence": join_licences(*([start["licence"]] if "licence" in start else []), corpus.licence),
        "source": ", ".join(root.resolve().name for root in corpus.roots),
        "pedal": corpus.pedal,
        "settings": {"preset": preset, **asdict(settings)},
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


def _with_remedy(error: TrainingError, run: Path, checkpoint: Checkpoint) -> TrainingError:
    """The same error with the run, the weights that are kept, and a way out."""
    kept = "no weights were saved before it"
    if checkpoint.saved_step:
        kept = f"the weights of step {checkpoint.saved_step:,} are kept in {run / CHECKPOINT}"
    return TrainingError(f"{run}: {error}; {kept}; try again with a lower --learning-rate")


def _ending(stop: StopOnSignal, validation: Validation, budget: Budget, settings: Settings) -> tuple[Ending, str]:
    """The reason why a run ended, and the same in words."""
    if stop.signalled:
        return Ending.STOPPED, f"{Ending.STOPPED.value} by {stop.signalled}"
    if budget.share >= 1.0:
        return Ending.BUDGET_SPENT, Ending.BUDGET_SPENT.value
    if validation.since_best >= settings.patience:
        return Ending.NO_IMPROVEMENT, f"{Ending.NO_IMPROVEMENT.value} in {settings.patience} validations"
    return Ending.STOPPED, f"{Ending.STOPPED.value} by a callback"
