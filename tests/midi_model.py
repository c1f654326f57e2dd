"""Builds MIDI files event by event, and a reference implementation of how a synthesizer plays them, in plain Python.

It is slow and independent of `kerasmusic.midi`; tests compare the two.
"""

import struct
from fractions import Fraction
from typing import NamedTuple

from kerasmusic.notes import Note


class Event(NamedTuple):
    """An event, `delta` ticks after the previous one in its track, with `status` and `data` as in the file."""

    delta: int
    status: int
    data: bytes


def on(delta, key, velocity=64, channel=0):
    return Event(delta, 0x90 | channel, bytes([key, velocity]))


def off(delta, key, channel=0):
    return Event(delta, 0x80 | channel, bytes([key, 0]))


def control(delta, number, value, channel=0):
    return Event(delta, 0xB0 | channel, bytes([number, value]))


def pedal(delta, value, channel=0):
    return control(delta, 64, value, channel)


def program(delta, number, channel=0):
    return Event(delta, 0xC0 | channel, bytes([number]))


def meta(delta, kind, data=b""):
    return Event(delta, 0xFF, bytes([kind]) + number(len(data)) + data)


def tempo(delta, microseconds):
    return meta(delta, 0x51, microseconds.to_bytes(3, "big"))


def exclusive(delta, data, status=0xF0):
    return Event(delta, status, number(len(data)) + data)


def number(value):
    """A variable-length quantity."""
    written = bytes([value & 127])
    while value := value >> 7:
        written = bytes([value & 127 | 128]) + written
    return written


def track_bytes(events, end=0, *, running=False):
    """A track chunk; with `running`, in running status."""
    written, before = b"", None
    for event in events:
        left_out = running and event.status == before and event.status < 0xF0
        written += number(event.delta) + (b"" if left_out else bytes([event.status])) + event.data
        before = event.status
    written += number(end) + b"\xff\x2f\x00"
    return b"MTrk" + struct.pack(">I", len(written)) + written


def file_bytes(*tracks, kind=1, division=480, running=False):
    """A file of tracks, each a list of events, whose quarter note lasts half a second."""
    head = struct.pack(">4sIHHh", b"MThd", 6, kind, len(tracks), division)
    return head + b"".join(track_bytes(events, running=running) for events in tracks)


def random_tracks(random):
    """Up to three tracks of events on few keys, channels and times, so that all interactions occur."""
    tracks = []
    for _ in range(random.integers(1, 4)):
        events = []
        for _ in range(random.integers(0, 60)):
            delta, channel = random.choice([0, 0, 1, 5, 200, 20_000]).item(), random.choice([0, 1, 9]).item()
            key, value = random.integers(60, 62).item(), random.integers(128).item()
            number = random.choice([64, 64, 64, 66, 120, 121, 123, 126]).item()
            events.append(
                [on(delta, key, value, channel), on(delta, key, value, channel), off(delta, key, channel),
                 control(delta, number, value, channel), program(delta, value, channel),
                 tempo(delta, random.choice([0, 300_000, 1_000_000]).item()), meta(delta, 1, bytes(value)),
                 exclusive(delta, bytes(5), 0xF7), Event(delta, 0xD0, b"\x01"), Event(delta, 0xF6, b"")]
                [random.integers(10)]
            )  # fmt: skip
        tracks.append(events)
    return tracks


class _Strike:
    def __init__(self, tick, key, velocity, channel, track):
        self.start, self.key, self.velocity, self.channel, self.track = tick, key, velocity, channel, track
        self.released = self.silent = None


def find_strikes(tracks):
    """The strikes of keys in tracks, in playing order, with their times in ticks."""
    # Unreleased keys are released at the end of their track; a second pass applies the pedal to them.
    never_released = {place for place, strike in enumerate(_played(tracks, set())) if strike.released is None}
    return _played(tracks, never_released)


def _played(tracks, released_at_ends):
    merged = []
    for index, events in enumerate(tracks):
        tick = 0
        for event in events:
            tick += event.delta
            merged.append((tick, index, event))
        merged.append((tick, index, None))
    merged.sort(key=lambda item: item[0])
    strikes, held, sustained, down, last = [], {}, {}, set(), {}

    def release(strike, tick):
        strike.released = tick
        last[strike.channel] = tick
        del held[strike.channel, strike.key]
        if strike.channel in down:
            sustained[strike.channel, strike.key] = strike
        else:
            strike.silent = tick

    def lift(channel, tick):
        down.discard(channel)
        for place in [place for place in sustained if place[0] == channel]:
            sustained.pop(place).silent = tick

    for tick, index, event in merged:
        if event is None:
            for place in released_at_ends:
                if place < len(strikes) and strikes[place].track == index:
                    release(strikes[place], tick)
            continue
        kind, channel = event.status >> 4, event.status & 15
        if event.status >= 0xF0 or kind not in (8, 9, 11):
            continue
        first, second = event.data
        place = (channel, first)
        if kind == 9 and second:
            if place in held:
                release(held[place], tick)
            if place in sustained:
                sustained.pop(place).silent = tick
            held[place] = _Strike(tick, first, second, channel, index)
            strikes.append(held[place])
        elif kind in (8, 9):
            if place in held:
                release(held[place], tick)
        elif first == 64 and second >= 64:
            down.add(channel)
        elif first in (64, 121):
            lift(channel, tick)
        elif first >= 120:
            for strike in [strike for strike in held.values() if strike.channel == channel]:
                release(strike, tick)
            if first == 120:
                for other in [other for other in sustained if other[0] == channel]:
                    sustained.pop(other).silent = tick
    for strike in strikes:
        if strike.silent is None:
            strike.silent = last.get(strike.channel)
    return strikes


def seconds_of(tracks, division, tick):
    """The exact time of a tick."""
    changes = []
    for events in tracks:
        at = 0
        for event in events:
            at += event.delta
            if event.status == 0xFF and event.data[:2] == b"\x51\x03" and any(event.data[2:]):
                changes.append((at, int.from_bytes(event.data[2:], "big")))
    changes.sort(key=lambda change: change[0])
    now, microseconds, seconds = 0, 500_000, Fraction(0)
    for at, new in [*changes, (tick, 0)]:
        until = min(at, tick)
        seconds += Fraction((until - now) * microseconds, division * 1_000_000)
        now, microseconds = until, new
        if at >= tick:
            break
    return seconds


def notes_of(tracks, division=480, *, sustained=True):
    """The notes of all melodic channels without overlaps, sorted by onset and pitch."""
    found = {}
    for strike in find_strikes(tracks):
        if strike.channel == 9:
            continue
        end = strike.silent if sustained else strike.released
        before = found.get((strike.start, strike.key), (0, 0))
        found[strike.start, strike.key] = (max(before[0], end), max(before[1], strike.velocity))
    notes = []
    for (start, key), (end, velocity) in sorted(found.items()):
        later = [at for at, other in found if other == key and at > start]
        begin, close = (seconds_of(tracks, division, tick) for tick in (start, min([end, *later])))
        notes.append(Note(float(begin), key, float(close - begin), velocity))
    return notes
