"""NoteCodec: the only module that knows how seconds and velocities become integers.

A note's four fields are step, pitch, duration and velocity, in this order. Onsets and ends lie on a grid of 10 ms
ticks. Steps and durations are bins of ticks: one tick wide for short times, where the ear is most exact, and wider
above. Wide bins hold an odd number of ticks, so that each decodes to a whole tick, the middle one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, ModelFileError, printable
from kerasmusic.notes import Notes

TICKS_PER_SECOND = 100
PITCHES = 128
LONGEST_TICKS = 24 * 3600 * TICKS_PER_SECOND
# Thirty thousand years; beyond that a float64 cannot tell ticks apart.
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
    """The edges of `bins` bins from `first` on: `fine` bins of width 1, then odd, growing widths up to about `last`.

    Returns:
        `bins + 1` integers: the first value of each bin, and the end of the last.

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
        step_edges: the first tick of each step bin, and the end of the last one.
        duration_edges: the same for durations; the shortest is one tick.
        velocity_edges: the same for MIDI velocities.

    Values beyond the end of a table go into its last bin, so a silence longer than the longest step is shortened.

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
        """The number of values of each field."""
        return Fields(len(self.step_edges) - 1, PITCHES, len(self.duration_edges) - 1, len(self.velocity_edges) - 1)

    @property
    def offsets(self) -> Fields[int]:
        """The offset of each field's values when the four fields are concatenated."""
        return Fields(*np.cumsum([0, *self.sizes[:-1]]).tolist())

    @property
    def size(self) -> int:
        """V: the number of values of all four fields together."""
        return sum(self.sizes)

    @property
    def start_note(self) -> NDArray[np.int32]:
        """int32 `[4]`: the `previous` of the first note: pitch 0, which no piano has, at its softest and shortest."""
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
        """The natural log of the number of ticks in each bin of each field; zeros for pitch and velocity.

        The negative log likelihood of a single tick is that of its bin plus the bin's log width. It can be compared
        between codecs with different tables.
        """
        return Fields(
            np.log(np.diff(self.step_edges)),
            np.zeros(PITCHES),
            np.log(np.diff(self.duration_edges)),
            np.zeros(self.sizes.velocity),
        )

    def encode(self, notes: Notes) -> NDArray[np.int32]:
        """Encodes a performance as fields, int32 `[n, 4]`.

        Onsets and ends are rounded to ticks first, so that notes struck or released together stay together; notes of
        one tick are sorted by pitch. A step is the difference of rounded onsets, so rounding errors do not accumulate.
        After a pause that falls into a wide bin, all later notes are shifted by less than half that bin.

        Raises:
            ArgumentError: a note ends too late for its time to be counted in ticks.
        """
        if notes.seconds > LATEST_SECONDS:
            raise ArgumentError(
                f"a note ends after {notes.seconds:g} seconds, later than the limit of {LATEST_SECONDS:g}"
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
        """Decodes fields `[n, 4]` to notes; the first step counts from time 0.

        Each onset and end is within half a bin of the original's, apart from shifts after long pauses (see `encode`).

        Raises:
            ArgumentError: the values are not fields of this codec.
        """
        step, pitch, duration, velocity = self.checked(fields).T
        return Notes(
            np.cumsum(self.step_ticks[step]) / TICKS_PER_SECOND,
            pitch,
            self.duration_ticks[duration] / TICKS_PER_SECOND,
            self.velocities[velocity],
        )

    def checked(self, fields: NDArray[np.integer]) -> NDArray[np.integer]:
        """Returns fields, int `[n, 4]`, after checking them.

        Raises:
            ArgumentError: the shape is wrong, or values are not integers or out of range.
        """
        fields = np.asarray(fields)
        if not fields.size:
            return np.empty((0, len(FIELDS)), np.int32)
        if fields.ndim != 2 or fields.shape[1] != len(FIELDS) or fields.dtype.kind not in "iu":
            raise ArgumentError(f"fields are whole numbers, four per note, not {fields.dtype} {list(fields.shape)}")
        wrong = (fields < 0) | (fields >= np.array(self.sizes))
        if wrong.any():
            note, field = np.argwhere(wrong)[0]
            value, last = fields[note, field], self.sizes[field] - 1
            raise ArgumentError(f"note {note} has {value} for its {FIELDS[field]}, not within 0 to {last}")
        return fields

    def step_from_ticks(self, ticks: NDArray[np.integer]) -> NDArray[np.int64]:
        """The step values, int64 `[...]`, of times between onsets in ticks, `[...]`."""
        return _bin(self.step_edges, ticks)

    def duration_from_ticks(self, ticks: NDArray[np.integer]) -> NDArray[np.int64]:
        """The duration values, int64 `[...]`, of durations in ticks, `[...]`; the shortest is one tick."""
        return _bin(self.duration_edges, ticks)

    def to_json(self) -> dict[str, Any]:
        """The tables as JSON values."""
        return {
            "ticks_per_second": TICKS_PER_SECOND,
            "step_edges": list(self.step_edges),
            "duration_edges": list(self.duration_edges),
            "velocity_edges": list(self.velocity_edges),
        }

    @classmethod
    def from_json(cls, tables: dict[str, Any]) -> NoteCodec:
        """The codec that `to_json` describes.

        Raises:
            ModelFileError: a table is missing or invalid.

        >>> import json
        >>> NoteCodec.from_json(json.loads(json.dumps(NoteCodec().to_json()))) == NoteCodec()
        True
        """
        try:
            edges = {name: tuple(map(int, tables[name])) for name in cls.__dataclass_fields__}
            # Format 1 has the older name.
            right = tables.get("ticks_per_second", tables.get("ticks_a_second")) == TICKS_PER_SECOND
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the model's codec cannot be read ({printable(str(error))})") from None
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
