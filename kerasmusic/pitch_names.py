"""Pitches of the piano and their names, C4 being middle C, MIDI pitch 60."""

import re

from kerasmusic.errors import ArgumentError

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}
# The keys of a piano, A0 to C8.
LOWEST_KEY, HIGHEST_KEY = 21, 108
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch, with sharps.

    >>> pitch_name(60), pitch_name(70)
    ('C4', 'A#4')
    """
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def parse_pitch(text: str) -> int:
    """Parses a pitch name or a MIDI number.

    Raises:
        ArgumentError: the text is neither, or is out of range.

    >>> parse_pitch("C4"), parse_pitch("Bb3"), parse_pitch("48")
    (60, 58, 48)
    """
    match = re.fullmatch(r"([A-Ga-g])([#b]?)(-?\d)", text.strip())
    if match:
        name, accidental, octave = match.groups()
        pitch = NATURALS[name.upper()] + ACCIDENTALS[accidental] + 12 * (int(octave) + 1)
    elif text.strip().isdecimal():
        pitch = int(text)
    else:
        raise ArgumentError(f"{text}: not a pitch; write a name such as C4 or F#3, or a MIDI number")
    if not 0 <= pitch <= 127:
        raise ArgumentError(f"{text}: not a MIDI pitch; they range from 0 (C-1) to 127 (G9)")
    return pitch
