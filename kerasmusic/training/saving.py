"""Files that a training run writes as it goes: the model, its checkpoint, and the history of its losses."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from kerasmusic.codec import FIELDS
from kerasmusic.files import atomic_write, errors_naming
from kerasmusic.models.note_model import NoteModel
from kerasmusic.models.precision import computing_in
from kerasmusic.training.budget import Budget
from kerasmusic.training.devices import undistributed

LOSSES = ("loss", *FIELDS)
HISTORY_COLUMNS = ("training_steps", "minutes", "learning_rate", *LOSSES, *(f"val_{name}" for name in LOSSES))
# The key of a checkpoint's metadata that says how far the run is.
PROGRESS = "progress"


def save_model(model: NoteModel, path: Path, *, optimizer: bool = False) -> None:
    """Saves a `.keras` file atomically; without the optimizer's state it has a third of the bytes."""
    # Keras creates variables as it saves. On several hosts it would wait for the other processes to create them too.
    with undistributed():
        if not optimizer:
            weights = model.get_weights()
            with computing_in("float32"):
                model = type(model).from_config(model.get_config())
            model.set_weights(weights)
        with atomic_write(path) as temporary:
            model.save(temporary)


class Checkpoint(keras.callbacks.Callback):
    """Saves the model, its optimizer and the progress of the run in one file, periodically and at the end.

    The progress is kept in the model's metadata, so that the two always belong together.
    """

    def __init__(
        self, path: Path, budget: Budget, validated: Callable[[], dict[str, Any]], every_seconds: float
    ) -> None:
        super().__init__()
        self.path, self.budget, self.validated, self.every_seconds = path, budget, validated, every_seconds
        self.saved_at = time.monotonic()
        #: The step after which the file was last saved; None before the first time.
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
            **self.validated(),
        }
        record = self.model.record
        self.model.record = {**record, PROGRESS: progress}
        try:
            save_model(self.model, self.path, optimizer=True)
        finally:
            self.model.record = record
        self.saved_at, self.saved_step = time.monotonic(), self.budget.steps_done


class History(keras.callbacks.Callback):
    """Appends the logs of each round to a csv file, with the values that earlier callbacks added to them.

    Keras's CSVLogger would load TensorFlow where it is installed, whatever the backend.

    Args:
        path: the file.
        steps_done: steps that earlier sessions of the same run did. Rows of later steps are removed, since their rounds
            are repeated; with 0 the file is replaced.
    """

    def __init__(self, path: Path, *, steps_done: int) -> None:
        super().__init__()
        self.path, self.steps_done = path, steps_done

    def on_train_begin(self, logs: Any = None) -> None:
        rows = []
        if self.steps_done and self.path.exists():
            with self.path.open(newline="") as file:
                # A row that was being written when the process died has no line end.
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
            writer.writerow({name: float(logs.get(name, math.nan)) for name in HISTORY_COLUMNS})
            # On the disk before the next checkpoint: after a power cut there may be a row too many, never one too few.
            file.flush()
            os.fsync(file.fileno())
