"""A copy mechanism, longest-match continuation: finds the best earlier match of the latest notes and its continuation.

Music repeats itself, sometimes minutes later and often transposed. A recurrence that compresses the past into a few
hundred numbers cannot recall what came next the last time; a list of the notes can. The state therefore holds the last
notes of a performance and, for each lag in notes, how well the notes at that lag agree with the latest ones. The note
that followed the best match, transposed to continue from the current pitch, is the echo: an additional input, which the
model learns to trust or not. Intervals are compared instead of pitches, so that transposed repeats match too.

The state is exact arithmetic on small integers, identical on every runtime: an agreement rises by 1, up to 16, with
each equal interval, and falls by 1, down to 0, with each different one. Of equal agreements, the most recent lag wins.
"""

from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops

from kerasmusic.codec import DURATION, FIELDS, PITCH, PITCHES, STEP, VELOCITY
from kerasmusic.models.lookup import columns, entries, greatest

#: The largest agreement.
SURE = 16
#: The order of an echo's fields: the pitch, which is transposed, comes last.
ECHO_FIELDS = ("step", "duration", "velocity", "pitch")
# The indices of the other fields, in that order.
OTHERS = [STEP, DURATION, VELOCITY]
# The number of notes replayed to warm up the agreements before a training window; more make no measurable difference.
WARM_UP = 64


class RepeatsState(NamedTuple):
    """The last notes, latest first; zeros stand for no note.

    Args:
        pitch: float32 `[..., 1]`, the pitch of the latest note.
        agreement: float32 `[..., memory]`, the agreement of the latest notes with those 1, 2, 3, ... notes earlier.
        intervals: float32 `[..., memory]`, each note's interval from the note before it, plus 128.
        others: float32 `[..., 3 * memory]`, each note's step, duration and velocity.
    """

    pitch: KerasTensor
    agreement: KerasTensor
    intervals: KerasTensor
    others: KerasTensor


class Echo(NamedTuple):
    """The note that followed the best match.

    Args:
        note: int32 `[..., 4]`, the fields in the order of `ECHO_FIELDS`.
        agreement: float32 `[..., 1]`, that of the match, a whole number from 0 to `SURE`.
    """

    note: KerasTensor
    agreement: KerasTensor

    @property
    def strength(self) -> KerasTensor:
        """The agreement of the match, scaled to 0 to 1."""
        return self.agreement * (1.0 / SURE)


class Repeats:
    """Updates `RepeatsState` and finds echoes.

    Args:
        memory: the number of notes in the state, 2 or more.
    """

    def __init__(self, memory: int) -> None:
        self.memory = memory
        # Keep the batch dimension: otherwise the addition would become a bias, which TFLite supports only for floats.
        self.field = np.arange(len(OTHERS), dtype="int32")[None]
        #: Sizes of the parts of a state.
        self.sizes = (1, memory, memory, len(OTHERS) * memory)

    def note_on(self, state: RepeatsState, note: KerasTensor) -> tuple[RepeatsState, Echo]:
        """The state `[batch, ...]` after a note, int32 `[batch, 4]`, and the echo."""
        note = ops.cast(note, "float32")
        step, pitch, *others = ops.split(note, len(FIELDS), axis=-1)
        interval, sought = _interval(state.pitch, pitch)
        agreement, best, back = _agree(state.agreement, state.intervals, sought)
        intervals = ops.concatenate([interval, state.intervals[:, :-1]], axis=-1)
        others = ops.concatenate([step, *others, state.others[:, : -len(OTHERS)]], axis=-1)
        followed = entries(others, len(OTHERS) * back + self.field)
        echo = _echo(pitch, entries(intervals, back), followed, best)
        return RepeatsState(pitch, agreement, intervals, others), echo

    def scan(self, state: RepeatsState, notes: KerasTensor) -> tuple[RepeatsState, Echo]:
        """The state after all `notes`, int32 `[batch, T, 4]`, and the echo `[batch, T, ...]` after each note."""
        length, memory = notes.shape[1], self.memory
        notes = ops.cast(notes, "float32")
        pitch, others = notes[..., PITCH : PITCH + 1], ops.take(notes, OTHERS, axis=-1)
        before = ops.concatenate([state.pitch[:, None], pitch[:, :-1]], axis=1)
        interval, sought = (part[..., 0] for part in _interval(before, pitch))
        # Latest first, so that the notes before any given note are a slice.
        intervals = ops.concatenate([ops.flip(interval, axis=1), state.intervals], axis=1)
        former = ops.reshape(state.others, (-1, memory, len(OTHERS)))
        others = ops.concatenate([ops.flip(others, axis=1), former], axis=1)

        def compare(index: KerasTensor, found: tuple[KerasTensor, ...]) -> tuple[KerasTensor, ...]:
            agreement, strength, back = found
            earlier = columns(intervals, length - index + ops.arange(memory, dtype="int32"))
            agreement, best, at = _agree(agreement, earlier, columns(sought, ops.reshape(index, (1,))))
            now = ops.arange(length, dtype="int32") == index
            return agreement, ops.where(now, best, strength), ops.where(now, at, back)

        nothing = (ops.zeros_like(interval), ops.zeros_like(interval, dtype="int32"))
        agreement, best, back = ops.fori_loop(0, length, compare, (state.agreement, *nothing))
        source = back + ops.arange(length - 1, -1, -1, dtype="int32")
        followed = ops.take_along_axis(others, source[..., None], axis=1)
        echo = _echo(pitch, entries(intervals, source)[..., None], followed, best[..., None])
        last = RepeatsState(
            pitch[:, -1], agreement, intervals[:, :memory], ops.reshape(others[:, :memory], (-1, len(OTHERS) * memory))
        )
        return last, echo

    def state_after(self, notes: KerasTensor) -> RepeatsState:
        """The state after notes, int32 `[batch, memory, 4]`; zeros at the beginning stand for no notes."""
        warm_up = min(WARM_UP, self.memory - 1)
        fields = ops.cast(notes[:, :-warm_up], "float32")
        pitch = fields[..., PITCH]
        before = ops.pad(pitch[:, :-1], [[0, 0], [1, 0]])
        silence = [[0, 0], [0, warm_up]]
        others = ops.pad(ops.flip(ops.take(fields, OTHERS, axis=-1), axis=1), [*silence, [0, 0]])
        state = RepeatsState(
            pitch[:, -1:],
            ops.zeros((ops.shape(notes)[0], self.memory)),
            ops.pad(ops.flip(_interval(before, pitch)[0], axis=1), silence),
            ops.reshape(others, (-1, len(OTHERS) * self.memory)),
        )
        return self.scan(state, notes[:, -warm_up:])[0]


def _interval(before: KerasTensor, pitch: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """The interval plus 128, 0 if either pitch is missing; and the interval to search for, -1 if one is missing."""
    # Pitch 0 stands for no note, as in the codec's start note.
    both = ops.minimum(before * pitch, 1.0)
    interval = both * (pitch - before + float(PITCHES))
    return interval, interval + both - 1.0


def _agree(
    agreement: KerasTensor, earlier: KerasTensor, sought: KerasTensor
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """The agreements updated by the latest interval, and the best of those that match it, as value and index."""
    # 1 where equal, else 0; a comparison would be slower, since TFLite broadcasts it element by element.
    difference = earlier - sought
    same = ops.relu(1.0 - difference * difference)
    agreement = ops.minimum(ops.relu(agreement + 2.0 * same - 1.0), float(SURE))
    agreeing = agreement * same
    return agreement, ops.max(agreeing, axis=-1, keepdims=True), ops.expand_dims(greatest(agreeing), -1)


def _echo(pitch: KerasTensor, interval: KerasTensor, others: KerasTensor, best: KerasTensor) -> Echo:
    continued = ops.minimum(ops.relu(pitch + interval - float(PITCHES)), PITCHES - 1.0)
    note = ops.concatenate([others, continued], axis=-1)
    return Echo(ops.cast(note, "int32"), best)
