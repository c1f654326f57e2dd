"""Steering a model by additions to its logits: a key, a range of pitches, and a density of notes."""

import re

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import PITCHES, NoteCodec
from kerasmusic.errors import ArgumentError
from kerasmusic.pitch_names import ACCIDENTALS, NATURALS, parse_pitch

# Finite, and far below any logit, so that such a pitch is never drawn.
RULED_OUT = -1e4
# Steps up to this one are chords and ornaments: density changes how often they come, not how long they are.
SHORTEST_TICKS = 6
MIDDLE_TICKS = 20
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    # The natural minor, with the raised seventh as well as the natural one.
    "minor": (0, 2, 3, 5, 7, 8, 10, 11),
}


def parse_range(text: str) -> tuple[int, int]:
    """The lowest and the highest pitch of a range such as "C2-C6" or "36-84".

    >>> parse_range("C3-C5")
    (48, 72)
    """
    match = re.fullmatch(r"\s*([A-Ga-g][#b]?-?\d|\d+)\s*-\s*([A-Ga-g][#b]?-?\d|\d+)\s*", text)
    if not match:
        raise ArgumentError(f"{text}: not a range; write two pitches, such as C2-C6 or 36-84")
    low, high = parse_pitch(match[1]), parse_pitch(match[2])
    if low > high:
        raise ArgumentError(f"{text}: a range goes from the lower pitch to the higher")
    return low, high


def parse_key(text: str) -> frozenset[int]:
    """The pitch classes of a key such as "C major", "F# minor", "Bb" or "am".

    >>> sorted(parse_key("G major"))
    [0, 2, 4, 6, 7, 9, 11]
    """
    match = re.fullmatch(r"\s*([A-Ga-g])([#b]?)\s*(major|maj|minor|min|m|)\s*", text)
    if not match:
        raise ArgumentError(f"{text}: no such key; write a note and major or minor, such as 'C major' or 'F# minor'")
    name, accidental, mode = match.groups()
    tonic = NATURALS[name.upper()] + ACCIDENTALS[accidental]
    scale = SCALES["minor" if mode in ("minor", "min", "m") else "major"]
    return frozenset((tonic + degree) % 12 for degree in scale)


def allowed_pitches(key: str | None, pitch_range: str | None) -> NDArray[np.bool_]:
    """Whether each pitch is in a key and a range, bool `[128]`; None allows all.

    Raises:
        ArgumentError: no such key or range, or none of the range's pitches is in the key.
    """
    pitch = np.arange(PITCHES)
    allowed = np.ones(PITCHES, bool)
    if key is not None:
        allowed &= np.isin(pitch % 12, sorted(parse_key(key)))
    if pitch_range is not None:
        low, high = parse_range(pitch_range)
        allowed &= (pitch >= low) & (pitch <= high)
    if not allowed.any():
        raise ArgumentError(f"{pitch_range}: has no pitch of the key {key}; take a wider range")
    return allowed


def bias_of(
    codec: NoteCodec, *, key: str | None = None, pitch_range: str | None = None, density: float = 0.0
) -> NDArray[np.float32]:
    """The step's `bias`, float32 `[V]`, that keeps the pitch within a key and a range and makes the music denser.

    Args:
        codec: the model's.
        key: such as "C major"; see `parse_key`.
        pitch_range: such as "C2-C6"; see `parse_range`.
        density: 0 leaves the model's own; 1 makes a step twice as long half as likely, -1 twice as likely.

    Raises:
        ArgumentError: no such key or range, or none of the range's pitches is in the key.

    >>> bias = bias_of(NoteCodec(), key="C major", pitch_range="C4-B4")
    >>> int((bias[128:256] == 0).sum())
    7
    """
    bias = np.zeros(codec.size, np.float32)
    bias[: codec.sizes.step] = -density * np.log(np.maximum(codec.step_ticks, SHORTEST_TICKS) / MIDDLE_TICKS)
    bias[codec.offsets.pitch : codec.offsets.duration][~allowed_pitches(key, pitch_range)] = RULED_OUT
    return bias
