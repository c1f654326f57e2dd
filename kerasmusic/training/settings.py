"""The settings of a training run and their defaults, readable without Keras."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kerasmusic.errors import ArgumentError, check_name
from kerasmusic.models.backend import PRECISIONS

#: What `kerasmusic train` trains, and for how many minutes, unless told otherwise.
PRESET, MINUTES = "small", 10.0


@dataclass(frozen=True)
class Settings:
    """The settings of a training run.

    `minutes` or `epochs` bounds the whole run; None elsewhere takes the model's own value.

    Args:
        minutes: training time in minutes, from the first step on: validation counts, compiling the step does not.
        epochs: training length in passes over as many notes as the training split has.
        batch_size: windows in a batch.
        learning_rate: the peak of the schedule; by default the model's, or 0.3 of it if it was trained before.
        weight_decay, clip: of the model's optimizer; see `NoteModel.make_optimizer`.
        transposition: windows are transposed by up to this many semitones; see `Windows`.
        stretch: the times of a window are scaled by up to this share; see `Windows`.
        style_notes: the styles that a new model learns are the composers of whom the training split has this many notes
            or more; a model that was trained before learns those that it knows; 0 trains no styles.
        precision: of matrix products: "float32", or "bfloat16", at which many processors are faster; weights, sums
            and what is saved are float32 always.
        seed: of the weights and the windows.
        validations: how many times a run evaluates the validation split.
        patience: validations without improvement before the run stops early.
        checkpoint_seconds: seconds between checkpoints.

    Raises:
        ArgumentError: a setting is out of its range, or the length is given twice or not at all.

    >>> Settings(minutes=10).transposition
    5
    """

    minutes: float | None = None
    epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float = 0.01
    clip: float = 1.0
    transposition: int = 5
    stretch: float = 0.0
    style_notes: int = 40_000
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
        if self.style_notes < 0:
            raise ArgumentError(f"{self.style_notes}: a composer's notes are 0, for no styles, or more")
        for name in ("minutes", "epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ArgumentError(f"{value}: {name.replace('_', ' ')} must be more than 0")
        check_name("precision", self.precision, PRECISIONS)
        if self.seed < 0:
            raise ArgumentError(f"{self.seed}: a seed is a whole number from 0 on")
