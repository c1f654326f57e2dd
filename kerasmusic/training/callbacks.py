"""What happens beside a training step: the schedule, the bar, validation, checkpoints, and a decent end."""

from __future__ import annotations

import csv
import math
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np

from kerasmusic.codec import FIELDS
from kerasmusic.errors import TrainingError
from kerasmusic.files import atomic_write, errors_naming
from kerasmusic.models.note_model import NoteModel
from kerasmusic.progress import progress, report
from kerasmusic.training.devices import Devices, undistributed
from kerasmusic.training.windows import Windows

WARM_UP_SHARE = 0.02
FINAL_SHARE = 0.01
STEPS_PER_RATE = 10
LOSSES = ("loss", *FIELDS)
# Where a checkpoint's record says how far the run is.
PROGRESS = "progress"
HISTORY_COLUMNS = ("training_steps", "minutes", "learning_rate", *LOSSES, *(f"val_{name}" for name in LOSSES))


class Budget:
    """How much of a training is done: by minutes, or by steps. Minutes count from the end of the first step on.

    Compiling the step takes seconds on one machine and minutes on another, and nothing is learned meanwhile.

    Args:
        minutes: of training in all, or None.
        steps: of training in all, or None; exactly one of the two is given.
        steps_done, seconds_done: what a former session of the same run did.
    """

    def __init__(
        self, *, minutes: float | None, steps: int | None, steps_done: int = 0, seconds_done: float = 0.0
    ) -> None:
        self.seconds_in_all = None if minutes is None else minutes * 60
        self.steps_in_all = steps
        self.steps_done = steps_done
        #: What counts as spent, where several processes must agree on it; None for what the clock says.
        self.agreed_seconds: float | None = None
        self._seconds_done = seconds_done
        self._made = time.monotonic()
        self._began: float | None = None

    def count_step(self) -> None:
        """A step is done; the first one starts the clock."""
        self.steps_done += 1
        if self._began is None:
            self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of former sessions among them."""
        return self._seconds_done + (0.0 if self._began is None else time.monotonic() - self._began)

    @property
    def compiling_seconds(self) -> float:
        """Seconds that compiling the step took in this session, its first run included."""
        return (time.monotonic() if self._began is None else self._began) - self._made

    @property
    def share(self) -> float:
        """How much of the budget is spent, 0 to 1."""
        if self.seconds_in_all is not None:
            seconds = self.seconds if self.agreed_seconds is None else self.agreed_seconds
            return min(1.0, seconds / self.seconds_in_all)
        assert self.steps_in_all is not None
        return min(1.0, self.steps_done / self.steps_in_all)


def rate_at(share: float, highest: float) -> float:
    """The learning rate when a share of the budget is spent: a short linear rise, then half a cosine down.

    >>> [round(rate_at(share, 1.0), 2) for share in (0.01, 0.02, 0.51, 1.0)]
    [0.5, 1.0, 0.51, 0.01]
    """
    if share < WARM_UP_SHARE:
        return highest * max(share / WARM_UP_SHARE, 1e-2)
    fallen = (1 + math.cos(math.pi * (share - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2
    return highest * (FINAL_SHARE + (1 - FINAL_SHARE) * fallen)


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate by the share of the budget spent, counts steps, and stops when the budget is spent."""

    _model: keras.Model

    def __init__(self, budget: Budget, highest: float) -> None:
        super().__init__()
        self.budget, self.highest = budget, highest

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch % STEPS_PER_RATE == 0:
            self.model.optimizer.learning_rate = rate_at(self.budget.share, self.highest)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.budget.count_step()
        if self.budget.share >= 1.0:
            self._model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs["training_steps"] = self.budget.steps_done
        logs["minutes"] = self.budget.seconds / 60
        logs["learning_rate"] = rate_at(self.budget.share, self.highest)


class Validation(keras.callbacks.Callback):
    """Every so often evaluates on fixed windows of the validation split, keeps the best model, and stops without hope.

    Args:
        windows: what to evaluate on; None where there is no validation split, when the last model is the best.
        budget: the run's.
        best_path: where the best model so far is kept, without its optimizer; None where another process keeps it.
        times: how often in a whole run.
        patience: stop after this many validations without a better one.
        former: what a former session of the same run had come to, as `progress` gave it.
    """

    def __init__(
        self,
        windows: Windows | None,
        budget: Budget,
        best_path: Path | None,
        *,
        times: int,
        patience: int,
        former: dict[str, Any],
    ) -> None:
        super().__init__()
        self.windows, self.budget, self.best_path = windows, budget, best_path
        self.times, self.patience = times, patience
        self.best = math.inf if former.get("best") is None else former["best"]
        self.since_best = former.get("since_best", 0)
        # A run that was made longer has less of its budget behind it than when it was stopped.
        self.validated = min(former.get("validated", 0.0), budget.share)

    @property
    def progress(self) -> dict[str, Any]:
        """What it takes to go on as if nothing had been, as JSON values, which have no infinity."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "since_best": self.since_best, "validated": self.validated}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        results = dict.fromkeys(LOSSES, float("nan"))
        due = self.budget.share >= self.validated + 1 / self.times
        if self.windows is not None and (due or self.model.stop_training):
            self.validated = self.budget.share
            stopping = self.model.stop_training
            results = self.model.evaluate(self.windows, verbose=0, return_dict=True)
            self.model.stop_training = stopping
            if results["loss"] < self.best:
                self.best, self.since_best = results["loss"], 0
                if self.best_path is not None:
                    save_model(self.model, self.best_path)
            else:
                self.since_best += 1
                self.model.stop_training |= self.since_best >= self.patience
        logs.update({f"val_{name}": results[name] for name in LOSSES})

    def on_train_end(self, logs: Any = None) -> None:
        if self.best_path is not None and (self.windows is None or not self.best_path.exists()):
            save_model(self.model, self.best_path)


class Checkpoint(keras.callbacks.Callback):
    """Saves the model with its optimizer and how far the run is, in one file, every so many seconds and at the end.

    How far the run is travels in the model's record, so that no moment has the one without the other.
    """

    def __init__(self, path: Path, budget: Budget, validation: Validation, every_seconds: float) -> None:
        super().__init__()
        self.path, self.budget, self.validation, self.every_seconds = path, budget, validation, every_seconds
        self.saved_at = time.monotonic()
        #: The step after which the file was saved; None before the first time.
        self.saved_step: int | None = budget.steps_done or None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if time.monotonic() - self.saved_at >= self.every_seconds:
            self._save()

    def on_train_end(self, logs: Any = None) -> None:
        self._save()

    def _save(self) -> None:
        progress = {
            "steps": self.budget.steps_done,
            "seconds": self.budget.seconds,
            **self.validation.progress,
        }
        record = self.model.record
        self.model.record = {**record, PROGRESS: progress}
        try:
            save_model(self.model, self.path, optimizer=True)
        finally:
            self.model.record = record
        self.saved_at, self.saved_step = time.monotonic(), self.budget.steps_done


class StopWhereLost(keras.callbacks.Callback):
    """Ends a run whose loss or weights are no finite numbers any more, before anything of it is saved.

    It must come before the callbacks that save. The loss of a step is looked at when the next one has begun, so that an
    accelerator is not waited for; a round's last loss, and the weights, before the round's end is told to the others.
    """

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget
        self._former: Any = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        former, self._former = self._former, (logs or {}).get("loss")
        if former is not None and batch:
            # The mean since the round began: once it is no number it stays so.
            self._check(float(former), self.budget.steps_done - 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._former is not None:
            self._check(float(self._former), self.budget.steps_done)
        for variable in self.model.trainable_variables:
            # By NumPy: each process of several has all weights, and need not ask the others.
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self._stop(self.budget.steps_done, f"the weights of {variable.path} are not finite")

    def _check(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            self._stop(step, f"the loss is {loss:g}")

    def _stop(self, step: int, what: str) -> None:
        raise TrainingError(f"at step {step:,} {what}")


class History(keras.callbacks.Callback):
    """Appends a row a round to a csv file: the logs, with what the callbacks before it added to them.

    Not Keras's CSVLogger, which loads TensorFlow where it is installed, whatever the backend.

    Args:
        path: the file.
        steps_done: what a former session of the same run did; rows after that, of rounds that are done anew, are taken
            away. With 0 the file begins anew.
    """

    def __init__(self, path: Path, *, steps_done: int) -> None:
        super().__init__()
        self.path, self.steps_done = path, steps_done

    def on_train_begin(self, logs: Any = None) -> None:
        rows = []
        if self.steps_done and self.path.exists():
            with self.path.open(newline="") as file:
                # A row that was being written as the process died has no end.
                whole = [line for line in file if line.endswith("\n")]
            rows = [row for row in csv.DictReader(whole) if float(row["training_steps"]) <= self.steps_done]
        if not rows:
            self.path.unlink(missing_ok=True)
            return
        with atomic_write(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, HISTORY_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        is_new = not self.path.exists()
        with errors_naming(self.path), self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, HISTORY_COLUMNS, extrasaction="ignore")
            if is_new:
                writer.writeheader()
            writer.writerow({name: float(logs[name]) for name in HISTORY_COLUMNS})
            # On the disk before the checkpoint that follows it: a row may be too many after a power cut, never too few.
            file.flush()
            os.fsync(file.fileno())


class Bar(keras.callbacks.Callback):
    """A live bar on the terminal: how much of the budget is spent, nats per note, and notes per second.

    In a log, a line for each validation.
    """

    def __init__(self, budget: Budget, notes_per_step: int) -> None:
        super().__init__()
        self.budget, self.notes_per_step = budget, notes_per_step
        self.validated = ""
        self.bar: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        # The clock starts when the first step is done.
        self.began, self.first_step = self.budget.seconds, self.budget.steps_done + 1
        self.said = "compiling the step"
        self.bar = progress(
            self.said, "budget", 1.0, initial=self.budget.share, leave=True, mininterval=0.2,
            bar_format="training {percentage:3.0f}% |{bar:30}| {desc}, {remaining} left",
        )  # fmt: skip

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch % STEPS_PER_RATE:
            return
        self.bar.n = self.budget.share
        steps, seconds = self.budget.steps_done - self.first_step, self.budget.seconds - self.began
        if not steps:
            # So that the time which is left is that of steps alone.
            self.bar.unpause()
        speed = f"{steps * self.notes_per_step / seconds:,.0f} notes/s, " if steps else ""
        loss = float((logs or {}).get("loss", math.nan))
        self.said = f"{self.budget.seconds / 60:.1f} min, {speed}loss {loss:.3f}"
        self.bar.set_description_str(self.said + self.validated, refresh=False)
        self.bar.update(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs and not math.isnan(logs.get("val_loss", math.nan)):
            self.validated = f", validation {logs['val_loss']:.3f}"
            report(f"training {self.budget.share:.0%}: {self.said}{self.validated}")

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.n = self.budget.share
        self.bar.refresh()
        self.close()

    def close(self) -> None:
        """Ends the bar's line, where there is one."""
        if self.bar is not None:
            self.bar.close()


class StopOnSignal(keras.callbacks.Callback):
    """Ends training after the present step on Ctrl-C or SIGTERM, so that what was learned can be saved.

    Not by an exception: one that came in the middle of a step would leave no weights to save. A second signal does what
    it did before.
    """

    _model: keras.Model

    def __init__(self) -> None:
        super().__init__()
        self.signalled: str | None = None
        self._former: dict[int, Any] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._handle)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.signalled:
            self._model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        self.restore()

    def restore(self) -> None:
        """Has signals do again what they did before."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signalled = signal.Signals(number).name
        signal.signal(number, self._former[number])


class StopTogether(StopOnSignal):
    """The same where several processes train: after each round they agree how late it is, and whether to stop.

    One that stopped or changed its learning rate by its own clock would leave the others waiting, or apart. The first
    process's clock counts, read once a round.
    """

    def __init__(self, devices: Devices, budget: Budget) -> None:
        super().__init__()
        self.devices, self.budget = devices, budget
        self._read_clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._read_clock()
        # A signal that comes from here on counts in the next round: the others have not heard of it.
        told = self.devices.total(self.signalled is not None) > 0
        if told:
            self.signalled = self.signalled or "another process"
        self._model.stop_training |= told or self.budget.share >= 1.0

    def _read_clock(self) -> None:
        self.budget.agreed_seconds = self.devices.total(self.budget.seconds if self.devices.process == 0 else 0.0)


def save_model(model: NoteModel, path: Path, *, optimizer: bool = False) -> None:
    """Saves a `.keras` file, whole or not at all; without its optimizer it has a third of the bytes."""
    # Keras makes variables of its own as it saves. On several hosts it would wait for the others to make them too.
    with undistributed():
        if not optimizer:
            weights = model.get_weights()
            model = type(model).from_config(model.get_config())
            model.set_weights(weights)
        with atomic_write(path) as temporary:
            model.save(temporary)
