"""The progress bar of a training run, and its TensorBoard."""

from __future__ import annotations

import math
import os
from typing import Any

import keras

from kerasmusic.progress import progress, report
from kerasmusic.training.budget import STEPS_PER_RATE, Budget


class Bar(keras.callbacks.Callback):
    """Shows the share of the budget that is spent, the loss in nats per note, and notes per second.

    On a terminal it is a live bar; in a log, a line for each validation.
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
            # Time spent compiling must not count in the estimate of the time left.
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
        """Ends the line of the bar, if it was shown."""
        if self.bar is not None:
            self.bar.close()


def tensorboard(folder: str | os.PathLike[str]) -> keras.callbacks.Callback:
    """Keras's callback for TensorBoard, which writes the losses of each round; it needs TensorFlow.

    Args:
        folder: the folder for the event files.
    """
    # The graph of a step says nothing about its training.
    callback: keras.callbacks.Callback = keras.callbacks.TensorBoard(os.fspath(folder), write_graph=False)
    return callback
