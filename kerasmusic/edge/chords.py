"""Chords: a progression whose notes the model prefers, one chord after another."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import PITCHES, TICKS_PER_SECOND
from kerasmusic.errors import ArgumentError
from kerasmusic.pitch_names import ACCIDENTALS, NATURALS

# Semitones above the root by the part of a chord's name that follows the root; the longest names are tried first.
QUALITIES = {
    "": (0, 4, 7), "maj": (0, 4, 7), "m": (0, 3, 7), "min": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8),
    "sus2": (0, 2, 7), "sus4": (0, 5, 7), "5": (0, 7), "6": (0, 4, 7, 9), "m6": (0, 3, 7, 9), "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11), "m7": (0, 3, 7, 10), "m7b5": (0, 3, 6, 10), "dim7": (0, 3, 6, 9), "9": (0, 2, 4, 7, 10),
    "add9": (0, 2, 4, 7), "m9": (0, 2, 3, 7, 10),
}  # fmt: skip
ChordFunction = Callable[[float], str | Collection[int] | None]
# How much less likely a pitch outside the chord is, in nats: few remain, as passing notes.
OUTSIDE = 3.0
CHORD_SECONDS = 2.0
SHORTEST, LONGEST = 0.1, 3600.0


@functools.lru_cache(maxsize=128)
def parse_chord(text: str) -> frozenset[int]:
    """Parses a chord such as "Am", "F#m7", "Bbmaj7" or "C/G" into its pitch classes.

    >>> sorted(parse_chord("Am7"))
    [0, 4, 7, 9]
    """
    match = re.fullmatch(r"([A-G])([#b]?)([a-z0-9]*)(?:/([A-G])([#b]?))?", text.strip())
    if not match or match[3] not in QUALITIES:
        raise ArgumentError(f"{text}: no such chord; write a root and a kind, such as C, Am, F#m7, Bbmaj7 or C/G")
    name, accidental, quality, bass, lowered = match.groups()
    root = NATURALS[name] + ACCIDENTALS[accidental]
    classes = {(root + semitones) % 12 for semitones in QUALITIES[quality]}
    if bass:
        classes.add((NATURALS[bass] + ACCIDENTALS[lowered]) % 12)
    return frozenset(classes)


def parse_chords(text: str) -> tuple[frozenset[int], ...]:
    """Parses a progression such as "Am F C G", with spaces or commas between its chords.

    Raises:
        ArgumentError: a chord is invalid, or there is none.

    >>> [sorted(chord) for chord in parse_chords("Am, F")]
    [[0, 4, 9], [0, 5, 9]]
    """
    names = re.split(r"[\s,]+", text.strip(" ,"))
    if names == [""]:
        raise ArgumentError("no chords; write some, such as 'Am F C G'")
    return tuple(parse_chord(name) for name in names)


class ChordTrack:
    """The chords of a piece by time.

    Args:
        chords: a progression that repeats, such as "Am F C G", or a function from seconds since the piece's beginning
            to a chord's name or its pitch classes, or to None for no chord.
        seconds: how long each chord of a progression lasts.

    Raises:
        ArgumentError: a chord is invalid, or `seconds` is out of range.

    >>> sorted(ChordTrack("Am F", seconds=2.0).at(450))
    [0, 4, 9]
    """

    def __init__(self, chords: str | ChordFunction, seconds: float = CHORD_SECONDS) -> None:
        if not SHORTEST <= seconds <= LONGEST:
            raise ArgumentError(f"{seconds:g}: a chord lasts from {SHORTEST:g} to {LONGEST:g} seconds, such as 2")
        self._function = None if isinstance(chords, str) else chords
        self._progression = parse_chords(chords) if isinstance(chords, str) else ()
        self._ticks = round(seconds * TICKS_PER_SECOND)

    def at(self, tick: int) -> frozenset[int]:
        """The pitch classes of the chord at a time in ticks; empty for no chord."""
        if self._function is None:
            return self._progression[tick // self._ticks % len(self._progression)]
        chord = self._function(tick / TICKS_PER_SECOND)
        return parse_chord(chord) if isinstance(chord, str) and chord else frozenset(chord or ())


@functools.lru_cache(maxsize=128)
def chord_bias(chord: frozenset[int]) -> NDArray[np.float32]:
    """The bias over pitches, float32 `[128]`, that prefers a chord; none for no chord."""
    outside = ~np.isin(np.arange(PITCHES) % 12, sorted(chord))
    return np.where(outside & bool(chord), -OUTSIDE, 0.0).astype(np.float32)
