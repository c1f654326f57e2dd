"""NoteCodec: the one place that knows how seconds and velocities become integers.

A note's four fields are step, pitch, duration and velocity, in this order. Onsets and releases lie on a grid of 10 ms
ticks. Steps and durations are numbered bins of ticks, one tick each where hearing is finest and wider above; wide bins
hold an odd number of ticks, so that every bin stands for a whole tick, its middle one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.notes import Notes

TICKS_PER_SECOND = 100
PITCHES = 128
LONGEST_TICKS = 24 * 3600 * TICKS_PER_SECOND
# Thirty thousand years: beyond, a float64 does not tell ticks apart.
LATEST_SECONDS = 1e12


Value = TypeVar("Value")


class Fields(NamedTuple, Generic[Value]):
    """One value for each field of a note, in the order in which a model draws them."""

    step: Value
    pitch: Value
    duration: Value
    velocity: Value


FIELDS = Fields._fields
#: The index of each field, where a note's fields are columns.
STEP, PITCH, DURATION, VELOCITY = range(len(FIELDS))


def growing_edges(first: int, fine: int, bins: int, last: int) -> tuple[int, ...]:
    """The first values of `bins` bins from `first` on: `fine` of width 1, then odd widths growing to end near `last`.

    Returns `bins + 1` integers; the last is where the last bin ends.

    >>> growing_edges(first=0, fine=4, bins=7, last=20)
    (0, 1, 2, 3, 4, 7, 10, 19)
    """
    edges = list(range(first, first + fine + 1))
    coarse = bins - fine
    ideal = np.geomspace(edges[-1], last, coarse + 1)[1:]
    for target in ideal:
        width = max(3, int(target) - edges[-1])
        edges.append(edges[-1] + width - (width % 2 == 0))
    return tuple(edges)


@dataclass(frozen=True)
class NoteCodec:
    """Tables that turn `Notes` into fields and back.

    Args:
        step_edges: the first tick of each step bin, and where the last one ends.
        duration_edges: the same for durations; the shortest is one tick.
        velocity_edges: the same for MIDI velocities.

    Values beyond a table's end go into its last bin: a silence longer than the longest step is shortened.

    >>> codec = NoteCodec()
    >>> fields = codec.encode(Notes(start=[0.0, 0.5], pitch=[60, 64], duration=[0.25, 1.0], velocity=[64, 80]))
    >>> fields.tolist()
    [[0, 60, 24, 16], [50, 64, 99, 20]]
    >>> codec.decode(fields).start.tolist()
    [0.0, 0.5]
    """

    step_edges: tuple[int, ...] = growing_edges(first=0, fine=100, bins=128, last=1_200)
    duration_edges: tuple[int, ...] = growing_edges(first=1, fine=160, bins=256, last=2_400)
    velocity_edges: tuple[int, ...] = tuple(range(0, 129, 4))

    @property
    def sizes(self) -> Fields[int]:
        """How many values each field can take."""
        return Fields(len(self.step_edges) - 1, PITCHES, len(self.duration_edges) - 1, len(self.velocity_edges) - 1)

    @property
    def offsets(self) -> Fields[int]:
        """Where each field's values begin when the four are laid end to end."""
        return Fields(*np.cumsum([0, *self.sizes[:-1]]).tolist())

    @property
    def size(self) -> int:
        """V: how many values the four fields have together."""
        return sum(self.sizes)

    @property
    def start_note(self) -> NDArray[np.int32]:
        """int32 `[4]`: the `previous` of the first note. Pitch 0, at its softest and shortest, is on no piano."""
        return np.zeros(len(FIELDS), np.int32)

    @property
    def step_ticks(self) -> NDArray[np.int32]:
        """int32 `[sizes.step]`: the ticks that each step value stands for."""
        return _middles(self.step_edges)

    @property
    def duration_ticks(self) -> NDArray[np.int32]:
        """int32 `[sizes.duration]`: the ticks that each duration value stands for."""
        return _middles(self.duration_edges)

    @property
    def velocities(self) -> NDArray[np.int32]:
        """int32 `[sizes.velocity]`: the MIDI velocity that each velocity value stands for."""
        return np.maximum(1, _middles(self.velocity_edges))

    @property
    def log_widths(self) -> Fields[NDArray[np.float64]]:
        """For each field, the natural log of the number of ticks in each bin, zeros for pitch and velocity.

        Minus a bin's log probability plus its log width is the negative log likelihood of one tick in it, which
        compares between codecs of different tables.
        """
        return Fields(
            np.log(np.diff(self.step_edges)),
            np.zeros(PITCHES),
            np.log(np.diff(self.duration_edges)),
            np.zeros(self.sizes.velocity),
        )

    def encode(self, notes: Notes) -> NDArray[np.int32]:
        """The fields of a performance, int32 `[n, 4]`.

        Onsets and ends are rounded to ticks first, so that notes struck or released together stay together; notes of
        one tick are sorted by pitch. A step is taken between rounded onsets, so that rounding never adds up; where a
        pause falls into a wide bin, everything after it moves by less than half that bin.

        Raises:
            ArgumentError: a note ends so late that its time cannot be counted in ticks.
        """
        if notes.seconds > LATEST_SECONDS:
            raise ArgumentError(
                f"a note ends after {notes.seconds:g} seconds; the latest that can be is {LATEST_SECONDS:g}"
            )
        tick = np.rint(notes.start * TICKS_PER_SECOND).astype(np.int64)
        end = np.rint(notes.end * TICKS_PER_SECOND).astype(np.int64)
        order = np.lexsort((notes.pitch, tick))
        tick, end = tick[order], end[order]
        columns: Fields[NDArray[np.integer]] = Fields(
            step=self.step_from_ticks(np.diff(tick, prepend=0)),
            pitch=notes.pitch[order],
            duration=self.duration_from_ticks(end - tick),
            velocity=_bin(self.velocity_edges, notes.velocity[order]),
        )
        return np.stack(columns, axis=1).astype(np.int32, order="C")

    def decode(self, fields: NDArray[np.integer]) -> Notes:
        """The notes that fields `[n, 4]` stand for, the first step counted from 0.

        Each onset and each end is within half a bin of the encoded note's, pauses in wide bins aside (see `encode`).

        Raises:
            ArgumentError: what is given are no fields of this codec.
        """
        step, pitch, duration, velocity = self.checked(fields).T
        return Notes(
            np.cumsum(self.step_ticks[step]) / TICKS_PER_SECOND,
            pitch,
            self.duration_ticks[duration] / TICKS_PER_SECOND,
            self.velocities[velocity],
        )

    def checked(self, fields: NDArray[np.integer]) -> NDArray[np.integer]:
        """The same fields, int `[n, 4]`.

        Raises:
            ArgumentError: they are of another shape, no whole numbers, or out of their ranges.
        """
        fields = np.asarray(fields)
        if not fields.size:
            return np.empty((0, len(FIELDS)), np.int32)
        if fields.ndim != 2 or fields.shape[1] != len(FIELDS) or fields.dtype.kind not in "iu":
            raise ArgumentError(f"fields are whole numbers, four a note, not {fields.dtype} {list(fields.shape)}")
        wrong = (fields < 0) | (fields >= np.array(self.sizes))
        if wrong.any():
            note, field = np.argwhere(wrong)[0]
            value, last = fields[note, field], self.sizes[field] - 1
            raise ArgumentError(f"note {note} has {value} for its {FIELDS[field]}, not within 0 to {last}")
        return fields

    def step_from_ticks(self, ticks: NDArray[np.integer]) -> NDArray[np.int64]:
        """The step value, int64 `[...]`, of times between onsets in ticks, `[...]`; the last value is of all beyond."""
        return _bin(self.step_edges, ticks)

    def duration_from_ticks(self, ticks: NDArray[np.integer]) -> NDArray[np.int64]:
        """The same for durations; what is shorter than a tick is one tick long."""
        return _bin(self.duration_edges, ticks)

    def to_json(self) -> dict[str, Any]:
        """The tables as plain JSON values."""
        return {
            "ticks_a_second": TICKS_PER_SECOND,
            "step_edges": list(self.step_edges),
            "duration_edges": list(self.duration_edges),
            "velocity_edges": list(self.velocity_edges),
        }

    @classmethod
    def from_json(cls, tables: dict[str, Any]) -> NoteCodec:
        """The codec that `to_json` described.

        >>> import json
        >>> NoteCodec.from_json(json.loads(json.dumps(NoteCodec().to_json()))) == NoteCodec()
        True
        """
        try:
            edges = {name: tuple(map(int, tables[name])) for name in cls.__dataclass_fields__}
            right = tables["ticks_a_second"] == TICKS_PER_SECOND
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the model's codec cannot be read ({error})") from None
        right &= all(len(table) > 1 and all(a < b for a, b in pairwise(table)) for table in edges.values())
        if right:
            steps, durations, velocities = (edges[f"{field}_edges"] for field in ("step", "duration", "velocity"))
            right = min(steps[0], velocities[0]) >= 0 and durations[0] >= 1 and velocities[-1] <= 128
            right &= max(steps[-1], durations[-1]) <= LONGEST_TICKS
        if not right:
            raise ModelFileError("the model's codec has tables that do not ascend or are out of range")
        return cls(**edges)


def _middles(edges: tuple[int, ...]) -> NDArray[np.int32]:
    table = np.asarray(edges, np.int32)
    return (table[:-1] + table[1:] - 1) // 2


def _bin(edges: tuple[int, ...], values: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
