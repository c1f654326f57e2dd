"""Balance: keeps the speed, the polyphony and the loudness of a piece near their targets.

Fed its own output, a model drifts away from the music that it learned from: notes become more, shorter or louder, a
little with each (exposure bias). Three proportional-integral controllers (Åström and Murray, "Feedback Systems", 2008)
oppose this: each measures a running mean of the notes that the model drew, and biases the logits of the field that can
change it. A model that is near its targets plays on undisturbed.

The controllers' numbers are float64 and the biases float32, and both are computed in the same order in the web page,
so a seed gives the same notes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import TICKS_PER_SECOND, NoteCodec
from kerasmusic.errors import ArgumentError, suggest

if TYPE_CHECKING:
    from kerasmusic.notes import Notes

#: A target that a performance has, which the seed chooses.
ANY: Literal["any"] = "any"
# Where a piece without a target begins to measure, near the means of MAESTRO's validation split.
SPEED = 9.0
POLYPHONY = 4.5
LOUDNESS = 64.0
# The least and the most that can be asked for: notes per second, notes sounding at once, velocity.
SPEEDS = (0.5, 30.0)
POLYPHONIES = (0.5, 20.0)
LOUDNESSES = (1.0, 127.0)
# MIDI velocities of the dynamics, as notation programs play them.
DYNAMICS: Mapping[str, float] = MappingProxyType(
    {"ppp": 16.0, "pp": 33.0, "p": 49.0, "mp": 64.0, "mf": 80.0, "f": 96.0, "ff": 112.0, "fff": 126.0}
)
# Steps up to this length form chords, ornaments and quick runs. They are biased alike, so it changes how often they
# occur, but not their relative lengths.
SHORTEST_TICKS = 12
# Logarithms are rounded to this share of a nat, so that those of Python and JavaScript are the same.
LOG_UNITS = 8192
# A velocity is biased by its distance to the middle one, in these units.
MIDDLE_VELOCITY, VELOCITY_UNITS = 64, 32
# A single value counts as at most this many times the target, so that no rest outweighs all the notes of a window.
MOST_TIMES = 64.0
# The limits of what is corrected.
LEAST_RATIO, LARGEST_INTEGRAND, LARGEST_INTEGRAL = 1 / 16, 2.0, 4.0
# The running means begin with so many notes, since the first ones tell how the piece begins.
FIRST_WINDOW = 8
# The number of last notes from which the targets of a primer or a player are taken.
TOLD_BY = 64


class Gains(NamedTuple):
    """The constants of a controller.

    Args:
        window: the number of notes of the running mean, once there were as many.
        tolerance: means between the target divided by it and the target times it are not corrected.
        proportional: the correction by a relative error, in nats for a value e times as large as another.
        integral: the same for each note that the error lasts.
    """

    window: int
    tolerance: float
    proportional: float
    integral: float


STEP_GAINS = Gains(window=64, tolerance=1.0, proportional=3.0, integral=0.01)
# Performances differ in their use of the pedal by a factor of two.
DURATION_GAINS = Gains(window=64, tolerance=1.2, proportional=1.5, integral=0.006)
VELOCITY_GAINS = Gains(window=64, tolerance=1.02, proportional=3.0, integral=0.02)


def parse_loudness(loudness: float | str) -> float:
    """The MIDI velocity of a loudness: a dynamic such as "mf", or a velocity.

    Raises:
        ArgumentError: it is neither.

    >>> parse_loudness("mf")
    80.0
    """
    if isinstance(loudness, str):
        name = loudness.strip()
        if name in DYNAMICS:
            return DYNAMICS[name]
        try:
            loudness = float(name)
        except ValueError:
            known = suggest(name, DYNAMICS)
            raise ArgumentError(f"{name}: no such loudness; write a velocity or a dynamic; {known}") from None
    return within("loudness", loudness, LOUDNESSES, "")


def within(name: str, value: float, limits: tuple[float, float], unit: str) -> float:
    """A target that is within its limits.

    Raises:
        ArgumentError: it is not.
    """
    if not limits[0] <= value <= limits[1]:
        raise ArgumentError(f"{value:g}: a {name} is from {limits[0]:g} to {limits[1]:g}{unit}")
    return float(value)


class Targets(NamedTuple):
    """The targets of a piece.

    Args:
        speed: notes per second.
        polyphony: the number of notes sounding at once, on average over time.
        loudness: the mean velocity.

    None leaves the model its own.
    """

    speed: float | None = None
    polyphony: float | None = None
    loudness: float | None = None

    @classmethod
    def of_seed(cls, seed: int) -> Targets:
        """The targets of one of `PERFORMANCES`.

        >>> Targets.of_seed(64) == Targets.of_seed(0) == PERFORMANCES[0]
        True
        """
        return PERFORMANCES[seed % len(PERFORMANCES)]

    @classmethod
    def of(cls, notes: Notes) -> Targets:
        """The targets that notes keep to, within the limits; None where the notes are too few or too short to tell.

        >>> from kerasmusic.notes import Notes
        >>> Targets.of(Notes(start=[0, 0.5, 1], pitch=[60, 62, 64], duration=[0.5] * 3, velocity=[70] * 3))
        Targets(speed=2.0, polyphony=1.0, loudness=70.0)
        """
        notes = notes[-TOLD_BY:]
        if not len(notes):
            return cls()
        loudness = _clipped(float(notes.velocity.mean()), LOUDNESSES)
        seconds = float(notes.start[-1] - notes.start[0])
        if seconds <= 0:
            return cls(loudness=loudness)
        speed = _clipped((len(notes) - 1) / seconds, SPEEDS)
        return cls(speed, _clipped(speed * float(notes.duration.mean()), POLYPHONIES), loudness)


#: The speed, the polyphony and the loudness of 64 performances of MAESTRO v2's training split, over their first 5,000
#: notes: one performance of each eighth by polyphony of each eighth by speed.
PERFORMANCES = tuple(
    Targets(*map(float, row))
    for row in (
        (5.3, 7.3, 59), (10.8, 5, 62), (8.5, 4.8, 67), (4.1, 5.2, 57), (9.6, 7, 60), (8.6, 2.3, 61),
        (11.3, 1.9, 68), (13.2, 7.9, 72), (10.8, 7.7, 68), (9.4, 6, 65), (6.6, 3, 71), (7.2, 5.3, 67),
        (9.8, 4.4, 57), (10.5, 4, 53), (7, 4.1, 65), (7.3, 2.9, 73), (10.5, 3.2, 66), (7.8, 1.8, 61),
        (18.2, 10, 75), (6.8, 2.5, 68), (9.9, 3.2, 57), (8.5, 6.6, 52), (8.4, 6.2, 58), (7.9, 4.5, 56),
        (13, 11.6, 74), (12.7, 5.2, 71), (7.5, 6.6, 67), (14.2, 3.4, 66), (11.6, 4.4, 75), (11.9, 2.8, 67),
        (4, 4.5, 53), (9.7, 3.7, 63), (10.1, 1.3, 64), (10.1, 6.3, 69), (11.2, 1.6, 68), (12.3, 9.4, 60),
        (16, 7.3, 71), (18.2, 2.1, 66), (12, 6.6, 69), (9.7, 4.1, 64), (6.7, 9.5, 58), (9.4, 6.7, 70),
        (4.5, 4, 53), (10.5, 3.8, 60), (14.1, 1.4, 73), (11.1, 5.8, 61), (12.1, 3.4, 57), (8.9, 2.8, 67),
        (7, 4.5, 57), (9.4, 5.5, 64), (13.7, 3.8, 65), (8.9, 3.6, 61), (5.4, 6.1, 61), (6.1, 4.2, 61),
        (5.3, 3.4, 62), (14.3, 6.7, 67), (13.6, 6.9, 64), (9.2, 2.1, 62), (13.2, 2.7, 69), (18.8, 5.2, 59),
        (20.2, 3.8, 67), (8.4, 5.6, 70), (14.6, 8, 70), (17.6, 4.6, 63),
    )
)  # fmt: skip


def _clipped(value: float, limits: tuple[float, float]) -> float:
    return round(min(max(value, limits[0]), limits[1]), 2)


class Controller:
    """A proportional-integral controller of a running mean.

    Args:
        gains: its constants.
        default: the mean of performances, where the measuring begins without a target.
    """

    def __init__(self, gains: Gains, default: float) -> None:
        self._gains = gains
        self._default = default
        self._target: float | None = None
        self.mean, self.integral, self.window = default, 0.0, FIRST_WINDOW
        #: How strongly larger values are to be avoided: above 0 where the mean is above the target.
        self.correction = 0.0

    def aim(self, target: float | None) -> None:
        """Sets the target; None corrects nothing."""
        self._target = target
        self.correct()

    def reset(self) -> None:
        """Begins to measure as if the music had kept to the target, with no correction."""
        self.integral = 0.0
        self.begin()

    def begin(self) -> None:
        """Begins to measure anew, and keeps the correction that the model needed."""
        self.mean = self._default if self._target is None else self._target
        self.window = FIRST_WINDOW
        self.correct()

    def measure(self, value: float) -> None:
        """Adds a note's value to the mean, and what is left of the error to the integral."""
        usual = self._default if self._target is None else self._target
        self.mean += (min(value, MOST_TIMES * usual) - self.mean) / self.window
        self.window = min(self.window + 1, self._gains.window)
        if self._target is not None:
            # Linear, so that the errors only cancel where the mean of the notes is the target.
            error = min(self._ratio(self._target) - 1.0, LARGEST_INTEGRAND)
            integral = self.integral + self._gains.integral * error
            self.integral = min(max(integral, -LARGEST_INTEGRAL), LARGEST_INTEGRAL)
        self.correct()

    def correct(self) -> None:
        """Computes the correction from the mean and the integral."""
        if self._target is None:
            self.correction = 0.0
            return
        ratio = max(self._ratio(self._target), LEAST_RATIO)
        # About the logarithm of the ratio: twice the target is corrected as strongly as half of it.
        error = (ratio - 1.0 / ratio) / 2.0
        self.correction = self._gains.proportional * min(max(error, -1.0), 1.0) + self.integral

    def _ratio(self, target: float) -> float:
        """The ratio of the mean to the nearest value that is within the tolerance of the target."""
        ratio = self.mean / target
        return ratio / min(max(ratio, 1.0 / self._gains.tolerance), self._gains.tolerance)


class Balance:
    """Three controllers, and the biases on the step's logits by which they act.

    Args:
        codec: the model's codec.
        bias: the step's input, float32 `[1, V]`, into which all is written but the pitches'.
    """

    def __init__(self, codec: NoteCodec, bias: NDArray[np.float32]) -> None:
        offsets = codec.offsets
        rows = (
            bias[0, : codec.sizes.step],
            bias[0, offsets.duration : offsets.velocity],
            bias[0, offsets.velocity : offsets.velocity + codec.sizes.velocity],
        )
        tables = (
            -_logs(np.maximum(codec.step_ticks, SHORTEST_TICKS)),
            -_logs(np.maximum(codec.duration_ticks, 1)),
            ((MIDDLE_VELOCITY - codec.velocities) / VELOCITY_UNITS).astype(np.float32),
        )
        self._step = Controller(STEP_GAINS, TICKS_PER_SECOND / SPEED)
        self._duration = Controller(DURATION_GAINS, POLYPHONY * TICKS_PER_SECOND / SPEED)
        self._velocity = Controller(VELOCITY_GAINS, LOUDNESS)
        self._controllers = (self._step, self._duration, self._velocity)
        self._parts = tuple(zip(self._controllers, tables, rows, strict=True))

    def aim(self, targets: Targets) -> None:
        """Sets the targets from the next note on; before the first one, they count from the beginning."""
        ticks = TICKS_PER_SECOND / (targets.speed or SPEED)
        self._step.aim(None if targets.speed is None else ticks)
        self._duration.aim(None if targets.polyphony is None else targets.polyphony * ticks)
        self._velocity.aim(targets.loudness)
        # Before the first note.
        if self._velocity.window == FIRST_WINDOW:
            self.begin()
        self._apply()

    def reset(self) -> None:
        """Begins as for a new piece."""
        for controller in self._controllers:
            controller.reset()
        self._apply()

    def begin(self) -> None:
        """Begins to measure anew: the notes that were given have set the balance of what follows."""
        for controller in self._controllers:
            controller.begin()
        self._apply()

    def measure(self, step: float | None, duration: float, velocity: float) -> None:
        """Measures a note that the model drew: its duration and its step in ticks, or None where that was given."""
        if step is not None:
            self._step.measure(step)
        self._duration.measure(duration)
        self._velocity.measure(velocity)
        self._apply()

    def _apply(self) -> None:
        """Writes the biases."""
        for controller, table, row in self._parts:
            np.multiply(table, np.float32(controller.correction), row)

    @property
    def state(self) -> tuple[float, ...]:
        """The mean, the integral and the window of each controller; assigning them restores a former balance."""
        return tuple(number for each in self._controllers for number in (each.mean, each.integral, each.window))

    @state.setter
    def state(self, numbers: tuple[float, ...]) -> None:
        triples = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        for controller, (mean, integral, window) in zip(self._controllers, triples, strict=True):
            controller.mean, controller.integral, controller.window = mean, integral, int(window)
            controller.correct()
        self._apply()


def _logs(ticks: NDArray[np.integer]) -> NDArray[np.float32]:
    return (np.rint(LOG_UNITS * np.log(ticks)) / LOG_UNITS).astype(np.float32)
