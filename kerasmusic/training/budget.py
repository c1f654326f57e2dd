"""The budget of a training run, in minutes or in steps, and the learning-rate schedule that follows it."""

from __future__ import annotations

import math
import time
from typing import Any

import keras

WARM_UP_SHARE = 0.02
FINAL_SHARE = 0.01
STEPS_PER_RATE = 10


class Budget:
    """The share of a run that is done, by minutes or by steps. Minutes count from the end of the first step on.

    Compiling the step takes seconds on one machine and minutes on another, and the model learns nothing meanwhile.

    Args:
        minutes: the length of the whole run, or None.
        steps: the same in steps, or None; exactly one of the two is given.
        steps_done: steps that earlier sessions of the same run did.
        seconds_done: seconds that they took.
    """

    def __init__(
        self, *, minutes: float | None, steps: int | None, steps_done: int = 0, seconds_done: float = 0.0
    ) -> None:
        self.seconds_in_all = None if minutes is None else minutes * 60
        self.steps_in_all = steps
        self.steps_done = steps_done
        #: The seconds spent that several processes have agreed on; None where this process's own clock counts.
        self.agreed_seconds: float | None = None
        self._seconds_done = seconds_done
        self._made = time.monotonic()
        self._began: float | None = None

    def count_step(self) -> None:
        """Counts a step that is done; the first one starts the clock."""
        self.steps_done += 1
        if self._began is None:
            self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, earlier sessions included."""
        return self._seconds_done + (0.0 if self._began is None else time.monotonic() - self._began)

    @property
    def compiling_seconds(self) -> float:
        """Seconds that compiling and running the first step took in this session."""
        return (time.monotonic() if self._began is None else self._began) - self._made

    @property
    def share(self) -> float:
        """The share of the budget that is spent, 0 to 1."""
        if self.seconds_in_all is not None:
            seconds = self.seconds if self.agreed_seconds is None else self.agreed_seconds
            return min(1.0, seconds / self.seconds_in_all)
        assert self.steps_in_all is not None
        return min(1.0, self.steps_done / self.steps_in_all)


def rate_at(share: float, highest: float) -> float:
    """The learning rate when a share of the budget is spent: linear warm-up, then cosine decay to 1 %.

    >>> [round(rate_at(share, 1.0), 2) for share in (0.01, 0.02, 0.51, 1.0)]
    [0.5, 1.0, 0.51, 0.01]
    """
    if share < WARM_UP_SHARE:
        return highest * max(share / WARM_UP_SHARE, 1e-2)
    fallen = (1 + math.cos(math.pi * (share - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2
    return highest * (FINAL_SHARE + (1 - FINAL_SHARE) * fallen)


def has_schedule(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimizer's learning rate is a `LearningRateSchedule`, not a number."""
    return isinstance(optimizer.get_config()["learning_rate"], dict)


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate by the share of the budget spent, counts steps, and stops when the budget is spent.

    Args:
        budget: the budget of the run.
        highest: the peak of the learning rate; None leaves the optimizer's rate alone.
    """

    _model: keras.Model

    def __init__(self, budget: Budget, highest: float | None) -> None:
        super().__init__()
        self.budget, self.highest = budget, highest

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.highest is not None and batch % STEPS_PER_RATE == 0:
            self.model.optimizer.learning_rate = rate_at(self.budget.share, self.highest)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.budget.count_step()
        if self.budget.share >= 1.0:
            self._model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs["training_steps"] = self.budget.steps_done
        logs["minutes"] = self.budget.seconds / 60
        rate = None if self.highest is None else rate_at(self.budget.share, self.highest)
        logs["learning_rate"] = float(self.model.optimizer.learning_rate) if rate is None else rate
