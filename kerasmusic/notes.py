"""Notes: a piano performance as NumPy columns, the form in which all parts of kerasmusic exchange music."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kerasmusic.errors import ArgumentError

if TYPE_CHECKING:
    import pandas

SHORTEST_SECONDS = 0.001


class Note(NamedTuple):
    """One note: onset [s], MIDI pitch [0-127], duration [s], MIDI velocity [1-127]."""

    start: float
    pitch: int
    duration: float
    velocity: int


@dataclass(frozen=True, eq=False)
class Notes:
    """A performance: `n` notes sorted by onset, then by pitch.

    Args:
        start: float64 `[n]`, onsets in seconds, finite and >= 0.
        pitch: int32 `[n]`, MIDI note numbers, 0 to 127 (60 is middle C).
        duration: float64 `[n]`, seconds, finite and >= 0.
        velocity: int32 `[n]`, MIDI velocities, 1 to 127.

    The notes may be in any order, and the columns may be anything that NumPy converts to an array. They are copied,
    sorted and made read-only.

    Raises:
        ArgumentError: the columns have different lengths, or a value is out of range.

    >>> chord = Notes(start=[0.5, 0.0, 0.5], pitch=[64, 60, 60], duration=[1.0, 0.4, 1.0], velocity=[70, 80, 70])
    >>> chord.pitch.tolist(), chord.step.tolist()
    ([60, 60, 64], [0.0, 0.5, 0.0])
    """

    start: NDArray[np.float64]
    pitch: NDArray[np.int32]
    duration: NDArray[np.float64]
    velocity: NDArray[np.int32]

    def __init__(self, start: ArrayLike, pitch: ArrayLike, duration: ArrayLike, velocity: ArrayLike) -> None:
        given = {"start": start, "pitch": pitch, "duration": duration, "velocity": velocity}
        try:
            # Arrays of integers are checked as they are, without a copy.
            columns = {
                name: column
                if isinstance(column, np.ndarray) and column.dtype.kind in "iu"
                else np.asarray(column, np.float64)
                for name, column in given.items()
            }
        except (ValueError, TypeError, OverflowError) as error:
            raise ArgumentError(f"the columns of notes must be numbers ({error})") from None
        shapes = {name: column.shape for name, column in columns.items()}
        if len(set(shapes.values())) != 1 or columns["start"].ndim != 1:
            raise ArgumentError(f"the columns of notes must be of one length, not {shapes}")
        for name, low, high in (("start", 0, np.inf), ("pitch", 0, 127), ("duration", 0, np.inf), ("velocity", 1, 127)):
            column = columns[name]
            wrong = ~((column >= low) & (column <= high) & np.isfinite(column))
            kind = ""
            if high == 127:
                wrong |= column != np.rint(column)
                kind = "a whole number "
            if wrong.any():
                index = int(np.flatnonzero(wrong)[0])
                raise ArgumentError(f"note {index} has a {name} of {column[index]:g}, not {kind}within {low} to {high}")
        start_of, pitch_of = columns["start"], columns["pitch"]
        ordered = (start_of[1:] > start_of[:-1]) | ((start_of[1:] == start_of[:-1]) & (pitch_of[1:] >= pitch_of[:-1]))
        order = slice(None) if ordered.all() else np.lexsort((pitch_of, start_of))
        for name, column in columns.items():
            # A copy in any case: the caller's array may change.
            sorted_column = column[order].astype(np.int32 if name in ("pitch", "velocity") else np.float64)
            sorted_column.setflags(write=False)
            object.__setattr__(self, name, sorted_column)

    @classmethod
    def from_iterable(cls, notes: Iterable[Note]) -> Notes:
        """Collects `Note` tuples, such as those that a generator yields.

        Raises:
            ArgumentError: a tuple is not a start, a pitch, a duration and a velocity.

        >>> len(Notes.from_iterable([Note(0.0, 60, 0.5, 64)]))
        1
        """
        rows = list(notes)
        for index, row in enumerate(rows):
            if len(row) != len(Note._fields):
                raise ArgumentError(f"note {index} has {len(row)} values, not {len(Note._fields)}: {row}")
        return cls(*zip(*rows, strict=True)) if rows else cls.empty()

    @classmethod
    def empty(cls) -> Notes:
        """A performance without notes."""
        return cls([], [], [], [])

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[Note]:
        columns = (self.start.tolist(), self.pitch.tolist(), self.duration.tolist(), self.velocity.tolist())
        return map(Note._make, zip(*columns, strict=True))

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Note: ...

    @overload
    def __getitem__(self, index: slice | NDArray[np.bool_]) -> Notes: ...

    def __getitem__(self, index: int | np.integer[Any] | slice | NDArray[np.bool_]) -> Note | Notes:
        """One note by its number, or the notes that a slice or a mask selects, with their onsets unchanged."""
        if isinstance(index, (int, np.integer)):
            return Note(*(column[index].item() for column in (self.start, self.pitch, self.duration, self.velocity)))
        return Notes(self.start[index], self.pitch[index], self.duration[index], self.velocity[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Notes):
            return NotImplemented
        return len(self) == len(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("start", "pitch", "duration", "velocity")
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Notes({len(self)} notes, {self.seconds:.2f} s)"

    @property
    def step(self) -> NDArray[np.float64]:
        """float64 `[n]`: seconds since the previous onset; for the first note, since time 0."""
        return np.diff(self.start, prepend=0.0)

    @property
    def end(self) -> NDArray[np.float64]:
        """float64 `[n]`: onset plus duration, in seconds."""
        return self.start + self.duration

    @property
    def seconds(self) -> float:
        """The time in seconds at which the last note ends; 0 without notes."""
        return float(self.end.max()) if len(self) else 0.0

    def shifted(self, seconds: float) -> Notes:
        """The same notes `seconds` later (earlier if negative)."""
        return Notes(self.start + seconds, self.pitch, self.duration, self.velocity)

    def without_leading_silence(self) -> Notes:
        """The same notes, shifted so that the first onset is at 0."""
        return self.shifted(-float(self.start[0])) if len(self) else self

    def without_overlaps(self) -> Notes:
        """The same notes, each ending no later than the next onset of its pitch, as on a piano.

        Notes of one pitch with the same onset become one, with the highest velocity and the longest duration.

        >>> Notes([0.0, 1.0, 1.0], [60, 60, 60], [3.0, 1.0, 2.0], [64, 80, 64]).without_overlaps().duration.tolist()
        [1.0, 2.0]
        """
        if not len(self):
            return self
        # Three million notes must not take much more memory than they have: temporary arrays are few, and short-lived.
        by_key = np.argsort(self.pitch.astype(np.uint8), kind="stable")
        start, pitch = self.start[by_key], self.pitch.astype(np.uint8)[by_key]
        same_pitch = pitch[1:] == pitch[:-1]
        doubled = same_pitch & (start[1:] == start[:-1])
        if doubled.any():
            strikes = np.flatnonzero(np.append(True, ~doubled))
            duration = np.maximum.reduceat(self.duration[by_key], strikes)
            velocity = np.maximum.reduceat(self.velocity[by_key], strikes)
            return Notes(start[strikes], pitch[strikes], duration, velocity).without_overlaps()
        duration = self.duration[by_key]
        overlaps = np.flatnonzero(same_pitch & ((start + duration)[:-1] > start[1:]))
        duration[overlaps] = start[overlaps + 1] - start[overlaps]
        in_order = start
        in_order[by_key] = duration
        del by_key, duration, pitch, same_pitch, doubled, overlaps
        return Notes(self.start, self.pitch, in_order, self.velocity)

    def to_dataframe(self) -> pandas.DataFrame:
        """A DataFrame with the columns pitch, start, end, step and duration of TensorFlow's tutorial, and velocity."""
        import pandas

        columns = {name: getattr(self, name) for name in ("pitch", "start", "end", "step", "duration", "velocity")}
        return pandas.DataFrame(columns)

    @classmethod
    def from_dataframe(cls, frame: pandas.DataFrame, velocity: int = 100) -> Notes:
        """The notes of a DataFrame with the columns pitch, duration and start or step.

        Args:
            frame: the notes; the columns velocity and end are optional.
            velocity: of all notes, where the frame has no such column.

        Raises:
            ArgumentError: a column is missing, a value is out of range, or two columns contradict each other.

        >>> import pandas
        >>> Notes.from_dataframe(pandas.DataFrame({"pitch": [60], "step": [0.5], "duration": [1.0]})).start.tolist()
        [0.5]
        """
        missing = {"pitch", "duration"} - set(frame.columns)
        if missing or not {"start", "step"} & set(frame.columns):
            raise ArgumentError(f"notes need the columns pitch, duration and start or step, not {list(frame.columns)}")
        start = frame["start"] if "start" in frame else np.cumsum(frame["step"])
        velocities = frame["velocity"] if "velocity" in frame else np.full(len(frame), velocity)
        notes = cls(start, frame["pitch"], frame["duration"], velocities)
        step = np.diff(start, prepend=0.0)
        if "step" in frame and len(frame):
            # The first step may count from a note outside the frame; in TensorFlow's tutorial it does.
            step[0] = min(step[0], frame["step"].iloc[0])
        _check_derived(frame, "step", step, "start")
        _check_derived(frame, "end", np.asarray(start) + np.asarray(frame["duration"]), "start and duration")
        return notes


def _check_derived(frame: pandas.DataFrame, name: str, expected: NDArray[np.float64], others: str) -> None:
    """Refuses a frame in which a derived column contradicts the columns that it derives from."""
    if name not in frame:
        return
    given = np.asarray(frame[name], np.float64)
    wrong = ~(np.abs(given - expected) <= 1e-6)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ArgumentError(
            f"row {row} has the {name} {given[row]:g}, but by {others} it is {expected[row]:g}; drop the wrong column, "
            f"such as by frame.drop(columns={name!r})"
        )
