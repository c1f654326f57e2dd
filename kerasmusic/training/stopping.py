"""Reasons to end a training run before its budget is spent: no more improvement, a diverged loss, or a signal."""

from __future__ import annotations

import math
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np

from kerasmusic.errors import TrainingError
from kerasmusic.training.budget import Budget
from kerasmusic.training.devices import Devices
from kerasmusic.training.saving import LOSSES, save_model
from kerasmusic.training.windows import Windows


class Validation(keras.callbacks.Callback):
    """Validates periodically, saves the best model, and stops early when it no longer improves.

    Args:
        windows: the same windows of the validation split each time; None without such a split: the last model is kept.
        budget: the budget of the run.
        best_path: the file of the best model so far, without its optimizer; None where another process writes it.
        times: validations in a whole run.
        patience: validations without improvement after which the run stops.
        former: the `progress` of the earlier session, where the run is resumed.
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
        # A resumed run may have been made longer, and so has spent a smaller share than when it stopped.
        self.validated = min(former.get("validated", 0.0), budget.share)

    @property
    def progress(self) -> dict[str, Any]:
        """The state to resume from, as JSON values; None stands for infinity, which JSON lacks."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "since_best": self.since_best, "validated": self.validated}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
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


class StopWhereLost(keras.callbacks.Callback):
    """Ends a run whose loss or weights are no longer finite, before any of them are saved.

    It must come before the callbacks that save. The loss of a step is checked when the next step has begun, so that
    training does not wait for an accelerator. The last loss of a round, and the weights, are checked at its end.
    """

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget
        self._former: Any = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        former, self._former = self._former, (logs or {}).get("loss")
        if former is not None and batch:
            # Keras gives the mean since the round began: once it is not finite it stays so.
            self._check(float(former), self.budget.steps_done - 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._former is not None:
            self._check(float(self._former), self.budget.steps_done)
        for variable in self.model.trainable_variables:
            # NumPy needs no all-reduce: each process has all weights.
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self._stop(self.budget.steps_done, f"the weights of {variable.path} are not finite")

    def _check(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            self._stop(step, f"the loss is {loss:g}")

    def _stop(self, step: int, what: str) -> None:
        raise TrainingError(f"at step {step:,} {what}")


class StopOnSignal(keras.callbacks.Callback):
    """Ends training after the current step on Ctrl-C or SIGTERM, so that the weights can be saved.

    It raises no exception, which in the middle of a step would leave no weights to save. A second signal has its
    former effect.
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
        """Gives signals their former handlers back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signalled = signal.Signals(number).name
        signal.signal(number, self._former[number])


class StopTogether(StopOnSignal):
    """Stops several processes together: after each round they agree, by an all-reduce, on the time and on stopping.

    A process that stopped by its own clock would leave the others waiting, and one that set its learning rate by it
    would diverge from them. The clock of the first process counts, read once a round.
    """

    def __init__(self, devices: Devices, budget: Budget) -> None:
        super().__init__()
        self.devices, self.budget = devices, budget
        self._read_clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._read_clock()
        # A signal that arrives after this counts in the next round: the other processes do not know of it yet.
        told = self.devices.total(self.signalled is not None) > 0
        if told:
            self.signalled = self.signalled or "another process"
        self._model.stop_training |= told or self.budget.share >= 1.0

    def _read_clock(self) -> None:
        self.budget.agreed_seconds = self.devices.total(self.budget.seconds if self.devices.process == 0 else 0.0)
