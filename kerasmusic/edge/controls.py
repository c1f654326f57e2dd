"""Controls of the pitches, by a bias on the model's logits: a key and a pitch range."""

import re

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import PITCHES
from kerasmusic.errors import ArgumentError
from kerasmusic.pitch_names import ACCIDENTALS, NATURALS, parse_pitch

# Finite, but so far below any logit that the pitch is never drawn.
RULED_OUT = -1e4
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    # The natural minor plus the raised seventh.
    "minor": (0, 2, 3, 5, 7, 8, 10, 11),
}


def parse_range(text: str) -> tuple[int, int]:
    """Parses a range such as "C2-C6" or "36-84" into its lowest and highest pitch.

    >>> parse_range("C3-C5")
    (48, 72)
    """
    match = re.fullmatch(r"\s*([A-Ga-g][#b]?-?\d|\d+)\s*-\s*([A-Ga-g][#b]?-?\d|\d+)\s*", text)
    if not match:
        raise ArgumentError(f"{text}: not a range; write two pitches, such as C2-C6 or 36-84")
    low, high = parse_pitch(match[1]), parse_pitch(match[2])
    if low > high:
        raise ArgumentError(f"{text}: the first pitch is above the second; write the lower pitch first")
    return low, high


def parse_key(text: str) -> frozenset[int]:
    """Parses a key such as "C major", "F# minor", "Bb" or "am" into its pitch classes.

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
    """A mask of the pitches that are in both a key and a range, bool `[128]`; None allows all.

    Raises:
        ArgumentError: the key or range is invalid, or no pitch of the range is in the key.
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


def pitch_bias(*, key: str | None = None, pitch_range: str | None = None) -> NDArray[np.float32]:
    """The part of the step's `bias` that is over pitches, float32 `[128]`, for a key and a range; None allows all.

    Raises:
        ArgumentError: the key or range is invalid, or no pitch of the range is in the key.

    >>> int((pitch_bias(key="C major", pitch_range="C4-B4") == 0).sum())
    7
    """
    return np.where(allowed_pitches(key, pitch_range), np.float32(0), np.float32(RULED_OUT))
