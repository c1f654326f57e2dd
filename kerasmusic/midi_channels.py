"""Turns MIDI events into notes: when each key is struck and released, and when its note falls silent.

Events act as they do on a synthesizer. A channel message acts on its whole channel, whichever track it is in, so the
pedal in one track holds the notes of another. All computation is on the indices of events in playing order, so that of
two simultaneous events the first in the file acts first; indices become seconds at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.midi_parser import (
    ALL_NOTES_OFF,
    ALL_SOUND_OFF,
    CONTROL,
    DEFAULT_TEMPO,
    DRUM_CHANNEL,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM,
    RESET_CONTROLLERS,
    SUSTAIN,
    TRACK_END,
    Song,
)
from kerasmusic.notes import Notes

if TYPE_CHECKING:
    import pretty_midi

#: The least controller value at which the sustain pedal is down.
PEDAL_DOWN = 64


@dataclass(frozen=True)
class Instrument:
    """One instrument of a MIDI file: the strikes of one program in one track and channel, all times in seconds.

    Args:
        name: the name of its track.
        program: its General MIDI program, 0 to 127.
        channel: 0 to 15; for a `PrettyMIDI` object, which has no channels, the instrument's index.
        is_drum: whether it is percussion, which is on the tenth channel.
        has_pedal: whether the sustain pedal is ever down in its channel.
        start: float64 `[n]`, the time at which each key is struck.
        held: float64 `[n]`, the time for which each key is held down.
        sounding: float64 `[n]`, the time for which each note sounds, with the sustain pedal.
        pitch: int32 `[n]`.
        velocity: int32 `[n]`.
    """

    name: str
    program: int
    channel: int
    is_drum: bool
    has_pedal: bool
    start: NDArray[np.float64]
    held: NDArray[np.float64]
    sounding: NDArray[np.float64]
    pitch: NDArray[np.int32]
    velocity: NDArray[np.int32]


class Events(NamedTuple):
    """Events in playing order, as columns of equal length."""

    #: The index of each event's track.
    part: NDArray[np.integer]
    channel: NDArray[np.integer]
    kind: NDArray[np.integer]
    data1: NDArray[np.integer]
    data2: NDArray[np.integer]


class Strikes(NamedTuple):
    """Strikes of keys in playing order, as columns of event indices."""

    struck: NDArray[np.intp]
    released: NDArray[np.intp]
    silent: NDArray[np.intp]


def instruments_from_song(song: Song) -> list[Instrument]:
    """The instruments of a file, in the order of their tracks and, within a track, of their first notes."""
    if song.format != 2:
        return _instruments_played_at_once(song)[0]
    # The tracks of format 2 are separate pieces, one after another, each with its own clock and channels.
    instruments, begin = [], 0.0
    for track in song.tracks:
        played, seconds = _instruments_played_at_once(song._replace(tracks=[track]))
        instruments += [replace(instrument, start=instrument.start + begin) for instrument in played]
        begin += seconds
    return instruments


def _instruments_played_at_once(song: Song) -> tuple[list[Instrument], float]:
    """The instruments of tracks that are played together, and the time in seconds at which the last track ends."""
    tracks = song.tracks
    if not tracks:
        return [], 0.0
    tick, status, data1, data2 = (
        np.concatenate([getattr(track, name) for track in tracks]) for name in ("tick", "status", "data1", "data2")
    )
    part = np.repeat(np.arange(len(tracks), dtype=np.int32), [len(track.tick) for track in tracks])
    if len(tracks) > 1:
        # Of simultaneous events in several tracks, the first track's comes first.
        order = np.argsort(tick, kind="stable")
        tick, status, data1, data2, part = (column[order] for column in (tick, status, data1, data2, part))
    events = Events(part, status & 0x0F, status >> 4, data1, data2)
    strikes = find_strikes(events)
    clock, second = _clock(song, tick)
    program = _programs(events, strikes.struck)
    code = (part[strikes.struck].astype(np.int64) * 16 + events.channel[strikes.struck]) * 128 + program
    has_pedal = set(events.channel[_pedal_down(events)].tolist())
    instruments = []
    for each, chosen in _groups(code):
        channel = each >> 7 & 15
        instruments.append(
            Instrument(
                name=tracks[each >> 11].name,
                program=each & 127,
                channel=channel,
                is_drum=channel == DRUM_CHANNEL,
                has_pedal=channel in has_pedal,
                **_columns(events, Strikes(*(column[chosen] for column in strikes)), clock, second),
            )
        )
    return instruments, float(clock[-1] / second)


def instruments_from_pretty_midi(midi: pretty_midi.PrettyMIDI) -> list[Instrument]:
    """The instruments of a `PrettyMIDI` object, each on a channel of its own.

    Overlapping notes of a key are read as from the file that the object would be written to: the next strike ends the
    first note, whose note-off then ends the second.

    Raises:
        ArgumentError: a note has a value out of range.
    """
    instruments = []
    for number, instrument in enumerate(midi.instruments):
        notes, controls = instrument.notes, instrument.control_changes
        start, end, pitch, velocity = (
            np.array([getattr(note, name) for note in notes], np.float64)
            for name in ("start", "end", "pitch", "velocity")
        )
        Notes(start, pitch, end - start, velocity)  # raises for values out of range
        changes = np.array([(each.time, each.number, each.value) for each in controls], np.float64).reshape(-1, 3)
        kind = np.repeat([NOTE_ON, NOTE_OFF, CONTROL], [len(start), len(start), len(changes)])
        # Equal times that were computed in different ways may differ in their last bits.
        time = np.round(np.concatenate([start, end, changes[:, 0]]), 6)
        data1 = np.concatenate([pitch, pitch, changes[:, 1]]).astype(np.int32)
        data2 = np.concatenate([velocity, np.zeros(len(start)), changes[:, 2]]).astype(np.int32)
        # Of simultaneous events, controllers act first, then releases, strikes, and releases of notes of no length.
        released_last = np.where(end > start, 1, 3)
        rank = np.concatenate([np.full(len(start), 2), released_last, np.zeros(len(changes))])
        order = np.lexsort((rank, time))
        zero = np.zeros(len(order), np.int32)
        events = Events(zero, zero, kind[order], data1[order], data2[order])
        instruments.append(
            Instrument(
                name=instrument.name,
                program=int(instrument.program),
                channel=number,
                is_drum=instrument.is_drum,
                has_pedal=bool(_pedal_down(events).any()),
                **_columns(events, find_strikes(events), time[order], 1.0),
            )
        )
    return instruments


def _columns(events: Events, strikes: Strikes, clock: NDArray[np.float64], second: float) -> dict[str, NDArray[Any]]:
    """The columns of an instrument; `clock` is the time of each event in units of 1 / `second` seconds."""
    start = clock[strikes.struck]
    return {
        "start": start / second,
        # Subtracted before dividing: the difference is exact, so there is only one rounding.
        "held": (clock[strikes.released] - start) / second,
        "sounding": (clock[strikes.silent] - start) / second,
        "pitch": events.data1[strikes.struck].astype(np.int32),
        "velocity": events.data2[strikes.struck].astype(np.int32),
    }


def find_strikes(events: Events) -> Strikes:
    """The strikes of keys, in playing order.

    A key is released by its note-off, its next strike or an All Notes Off in its channel, whichever comes first, and
    otherwise by the end of its track. A key released while the sustain pedal is down sounds until the pedal lifts, the
    key is struck again or its channel has an All Sound Off, and otherwise until the last release in its channel.
    """
    never = len(events.kind)
    on = (events.kind == NOTE_ON) & (events.data2 > 0)
    keys = np.flatnonzero(on | (events.kind == NOTE_ON) | (events.kind == NOTE_OFF))
    code = events.channel[keys].astype(np.int32) * 128 + events.data1[keys]
    # NumPy sorts small integer types with a radix sort, ten times as fast.
    order = np.argsort(code.astype(np.min_scalar_type(code.max(initial=0))), kind="stable")
    keys, code = keys[order], code[order]
    strikes = np.flatnonzero(on[keys])
    struck, code_struck = keys[strikes], code[strikes]

    # The next event of the same key, a note-off or another strike, releases it.
    released = np.append(keys, never)[strikes + 1]
    released[np.append(code, -1)[strikes + 1] != code_struck] = never
    again = np.append(struck[1:], never)
    again[np.append(code_struck[1:], -1) != code_struck] = never

    channel = events.channel[struck]
    is_control = events.kind == CONTROL
    silencing = is_control & (events.data1 == ALL_SOUND_OFF)
    releasing = silencing | (is_control & (events.data1 >= ALL_NOTES_OFF))
    released = np.minimum(released, _next(releasing, events, struck, channel))
    ends = np.zeros(int(events.part.max(initial=0)) + 1, np.intp)
    is_end = events.kind == TRACK_END
    ends[events.part[is_end]] = np.flatnonzero(is_end)
    released = np.where(released == never, ends[events.part[struck]], released)

    silent = _sustained(released, events, channel)
    silent = np.minimum(silent, again)
    silent = np.minimum(silent, _next(silencing, events, struck, channel))
    held_to_the_end = silent == never
    last = np.zeros(int(events.channel.max(initial=0)) + 1, np.intp)
    np.maximum.at(last, channel, released)
    silent[held_to_the_end] = last[channel[held_to_the_end]]
    played = np.argsort(struck)
    return Strikes(struck[played], released[played], silent[played])


def _next(
    chosen: NDArray[np.bool_], events: Events, indices: NDArray[np.intp], channel: NDArray[np.integer]
) -> NDArray[np.intp]:
    """The next chosen event in the channel of each index; one past the last event where there is none."""
    never = len(chosen)
    following = np.full(len(indices), never)
    for each in np.unique(events.channel[chosen]):
        found = np.append(np.flatnonzero(chosen & (events.channel == each)), never)
        mine = channel == each
        following[mine] = found[np.searchsorted(found, indices[mine], side="right").clip(max=len(found) - 1)]
    return following


def _pedal_down(events: Events) -> NDArray[np.bool_]:
    return (events.kind == CONTROL) & (events.data1 == SUSTAIN) & (events.data2 >= PEDAL_DOWN)


def _sustained(released: NDArray[np.intp], events: Events, channel: NDArray[np.integer]) -> NDArray[np.intp]:
    """The event at which the pedal of its channel lets each note end; one past the last where it never lifts."""
    is_down = _pedal_down(events)
    moves = (events.kind == CONTROL) & ((events.data1 == SUSTAIN) | (events.data1 == RESET_CONTROLLERS))
    silent = released.copy()
    for each in np.unique(events.channel[is_down]):
        mine = channel == each
        if not mine.any():
            continue
        pedal = np.flatnonzero(moves & (events.channel == each))
        changes = pedal[np.flatnonzero(np.diff(is_down[pedal], prepend=False))]
        down, up = changes[0::2], changes[1::2]
        if len(up) < len(down):
            up = np.append(up, len(is_down))
        span = np.searchsorted(down, released[mine], side="right") - 1
        held = (span >= 0) & (released[mine] < up[span])
        silent[mine] = np.where(held, up[span], released[mine])
    return silent


def _programs(events: Events, struck: NDArray[np.intp]) -> NDArray[np.int64]:
    """The program of each strike: that of the last program change before it in its channel."""
    programs = np.zeros(len(struck), np.int64)
    changes = np.flatnonzero(events.kind == PROGRAM)
    for each in np.unique(events.channel[changes]):
        own = changes[events.channel[changes] == each]
        mine = np.flatnonzero(events.channel[struck] == each)
        last = np.searchsorted(own, struck[mine]) - 1
        programs[mine] = np.where(last >= 0, events.data1[own[last]], 0)
    return programs


def _groups(by: NDArray[np.int64]) -> list[tuple[int, NDArray[np.intp] | slice]]:
    """The distinct values with the indices of each, by track and then in order of first occurrence."""
    values, first, counts = np.unique(by, return_index=True, return_counts=True)
    if len(values) == 1:
        return [(int(values[0]), slice(None))]
    indices = np.split(np.argsort(by, kind="stable"), np.cumsum(counts[:-1]))
    return [(int(values[at]), indices[at]) for at in np.lexsort((first, values >> 11))]


def _clock(song: Song, tick: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    """The time of each event, and the number of time units per second.

    Where each tick is a whole number of microseconds, as in files written by `kerasmusic.midi.write`, the unit is the
    microsecond, and times are not rounded until they become seconds.
    """
    changes = [(0, DEFAULT_TEMPO if song.fixed_tempo is None else song.fixed_tempo)]
    if song.fixed_tempo is None:
        pairs = [pair for track in song.tracks for pair in zip(track.tempo_tick, track.tempo, strict=True)]
        # A tempo of zero is meaningless; the tempo before it stays.
        changes += sorted((pair for pair in pairs if pair[1]), key=itemgetter(0))
    at, tempo = (np.array(column, np.int64) for column in zip(*changes, strict=True))
    is_whole = not (tempo % song.division).any()
    # The order of these operations decides the last bit of a time, and so how a codec rounds times halfway between two
    # ticks. Changing it would change existing corpora.
    length = tempo / song.division if is_whole else tempo / 1e6 / song.division
    begin = np.concatenate([[0.0], np.cumsum(np.diff(at) * length[:-1])])
    now = np.searchsorted(at, tick, side="right") - 1
    return begin[now] + (tick - at[now]) * length[now], 1e6 if is_whole else 1.0
