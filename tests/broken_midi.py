"""MIDI files that cause trouble for programs, built from bytes, with the number of notes that a reader should find.

`FILES` holds them all by name. Most are valid but unusual; the others violate the standard with wrong lengths or
missing and undefined events, or are not MIDI files at all. The kinds are those of the test files of
jazz-soft, midicomp, mido, midly and muspy, and some more.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
BEAT = 96
END_OF_TRACK = b"\x00\xff\x2f\x00"
DRUMS = 9


class File(NamedTuple):
    """The bytes of a file, and its expected contents.

    Args:
        data: the bytes.
        notes: the number of notes that a reader should find, without drums; None if it should refuse the file.
        drums: the number of drum notes.
    """

    data: bytes
    notes: int | None
    drums: int = 0


def quantity(value: int, length: int = 1) -> bytes:
    """A variable-length quantity, seven bits per byte, in at least `length` bytes."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    digits += [0x80] * (length - len(digits))
    return bytes(reversed(digits))


def header(file_format: int, tracks: int, division: int = BEAT) -> bytes:
    return b"MThd" + struct.pack(">IHHH", 6, file_format, tracks, division & 0xFFFF)


def chunk(content: bytes, kind: bytes = b"MTrk", length: int | None = None) -> bytes:
    """A chunk; its declared length may be wrong."""
    return kind + struct.pack(">I", len(content) if length is None else length) + content


def file(*tracks: bytes, file_format: int | None = None, division: int = BEAT) -> bytes:
    """A file of tracks, each given as the bytes of its events without the end of track."""
    chosen = (len(tracks) > 1) if file_format is None else file_format
    return header(chosen, len(tracks), division) + b"".join(chunk(track + END_OF_TRACK) for track in tracks)


def note(pitch: int, channel: int = 0, ticks: int = BEAT, velocity: int = 64, width: int = 1) -> bytes:
    """A note-on now and a note-off after `ticks`; `width` is that of the delta times, in bytes."""
    on, off = bytes([0x90 | channel, pitch, velocity]), bytes([0x80 | channel, pitch, 64])
    return quantity(0, width) + on + quantity(ticks, width) + off


def notes(pitches: Iterable[int] = SCALE, channel: int = 0, width: int = 1) -> bytes:
    return b"".join(note(pitch, channel, width=width) for pitch in pitches)


def running(pitches: Iterable[int]) -> bytes:
    """Notes whose note-ons of velocity 0 are note-offs, without a status byte before any."""
    return b"".join(bytes([0, pitch, 64, BEAT, pitch, 0]) for pitch in pitches)


def meta(kind: int, content: bytes = b"", delta: int = 0) -> bytes:
    return quantity(delta) + bytes([0xFF, kind]) + quantity(len(content)) + content


def exclusive(content: bytes, delta: int = 0) -> bytes:
    """A system exclusive message of the bytes between its F0 and F7."""
    return quantity(delta) + b"\xf0" + quantity(len(content) + 1) + content + b"\xf7"


def control(*changes: tuple[int, int], channel: int = 0, delta: int = 0) -> bytes:
    return b"".join(quantity(delta) + bytes([0xB0 | channel, number, value]) for number, value in changes)


def program(number: int, channel: int = 0) -> bytes:
    return bytes([0, 0xC0 | channel, number])


def sounds(banks: Iterable[tuple[int, int]], pitches: Iterable[int] = (60, 64, 67, 72)) -> bytes:
    """All programs of several banks in turn, selected by two controllers, with notes in each."""
    played = notes(pitches)
    return b"".join(
        control((0, high), (32, low)) + program(number) + played for high, low in banks for number in range(128)
    )


def chords(channels: Iterable[int]) -> bytes:
    """Eight steps, in each of which every channel plays its note of a chord."""
    parts = list(channels)
    return b"".join(
        b"".join(bytes([0, 0x90 | channel, pitch + 4 * channel, 64]) for channel in parts)
        + b"".join(
            bytes([0 if place else BEAT, 0x80 | channel, pitch + 4 * channel, 64])
            for place, channel in enumerate(parts)
        )
        for pitch in SCALE
    )


def _whole() -> Iterator[tuple[str, File]]:
    """Files that the standard allows."""
    scale, below = notes(), notes(pitch - 12 for pitch in SCALE)
    yield "scale", File(file(scale), 8)
    for file_format in (0, 1, 2):
        yield f"two-tracks-of-format-{file_format}", File(file(scale, below, file_format=file_format), 16)
    yield "chords-of-three-channels-in-one-track", File(file(chords((0, 1, 2))), 24)
    yield "chords-of-three-channels-in-three-tracks", File(file(*(chords((channel,)) for channel in range(3))), 24)
    yield "chords-of-three-channels-in-two-tracks", File(file(chords((0, 1)), chords((2,))), 24)
    yield "channels-that-change-tracks", File(file(notes(SCALE[:4]), notes(SCALE[4:]), notes(range(40, 48), 1)), 16)
    yield "four-channels-at-once", File(file(chords((0, 1, 2, 3))), 32)

    yield "every-program", File(file(sounds([(0, 0)])), 512)
    yield "general-midi-2-banks", File(file(sounds([(121, 0), (121, 1)])), 1024)
    yield "gs-banks", File(file(sounds([(bank, 0) for bank in range(10)])), 5120)
    yield "xg-banks", File(file(sounds([(0, bank) for bank in (0, 1, 3, 6, 8, 64)])), 3072)
    yield "a-bank-that-few-have", File(file(control((0, 0x78), (32, 0x38)) + program(0x4C) + notes(SCALE[:3])), 3)
    yield "every-drum", File(file(notes(range(27, 88), DRUMS)), 0, drums=61)
    yield "a-drum-part-on-another-channel", File(
        file(exclusive(b"\x41\x7f\x42\x12\x40\x11\x15\x02\x18") + notes(SCALE[:4]) + notes(SCALE[4:], DRUMS)),
        4, drums=4,
    )  # fmt: skip

    yield "sustain-pedal", File(file(control((64, 127)) + notes(SCALE[:4]) + control((64, 0)) + notes(SCALE[4:])), 8)
    yield "portamento", File(file(control((5, 64), (65, 127)) + scale + control((65, 0))), 8)
    yield "portamento-from-a-key", File(file(control((5, 64), (37, 0), (84, 48)) + note(60, ticks=480)), 1)
    yield "modes-and-no-notes", File(file(control((124, 0), (125, 0), (126, 1), (127, 0), (123, 0), delta=48)), 0)
    for name, number, values in (("pitch-bend-range", 0, range(0, 25, 6)), ("modulation-range", 5, range(5))):
        bends = b"".join(
            control((101, 0), (100, number), (6, value)) + note(60) + bytes([0, 0xE0, 0, 127, 9, 0xE0, 0, 64])
            for value in values
        )
        yield name, File(file(bends), 5)
    for name, number in (("fine-tuning", 1), ("coarse-tuning", 2)):
        tuned = b"".join(control((101, 0), (100, number), (6, value), (38, 0)) + note(60) for value in range(60, 68))
        yield name, File(file(tuned), 8)
    yield "velocities", File(file(b"".join(note(60, velocity=value) for value in (1, 16, 32, 64, 112, 127))), 6)
    yield "note-ons-of-velocity-0-end-notes", File(file(b"\x00\x90\x3c\x40\x60\x3c\x00" + running(SCALE[1:])), 8)

    yield (
        "exclusive-messages-and-no-notes",
        File(
            file(exclusive(b"\x7e\x7f\x06\x01") + exclusive(b"\x7e\x7f\x09\x01") + exclusive(b"\x7e\x7f\x09\x02", 48)),
            0,
        ),
    )
    yield (
        "exclusive-messages-that-tune",
        File(
            file(
                exclusive(b"\x7f\x7f\x04\x03\x00\x48")
                + exclusive(b"\x7e\x7f\x08\x08" + b"\x7f" * 3 + bytes(12))
                + scale
            ),
            8,
        ),
    )
    long_message = exclusive(bytes(number % 128 for number in range(300)))
    yield "long-exclusive-messages-and-an-empty-track", File(
        header(1, 3, 120) + chunk(meta(0x58, b"\x04\x02\x18\x08") + meta(0x51, b"\x05\xb8\xd8") + END_OF_TRACK)
        + chunk(b"") + chunk(long_message + exclusive(b"") + END_OF_TRACK),
        0,
    )  # fmt: skip
    yield (
        "exclusive-messages-between-notes",
        File(file(meta(0x51, b"\x05\xb8\xd8"), long_message + scale + long_message, below), 16),
    )
    yield (
        "continued-exclusive-message",
        File(
            file(b"\x00\xf0\x03\x43\x12\x00" + b"\x60\xf7\x03\x43\x12\x00" + b"\x60\xf7\x04\x43\x12\x00\xf7" + scale), 8
        ),
    )

    yield "no-events", File(file(b""), 0)
    yield "silence-until-the-end-of-the-track", File(header(0, 1) + chunk(quantity(960) + END_OF_TRACK[1:]), 0)
    yield "silence-until-a-text", File(file(meta(1, b"later", 960)), 0)
    yield "silence-after-the-notes", File(header(0, 1) + chunk(notes((60,)) + quantity(192) + END_OF_TRACK[1:]), 1)
    yield "texts-of-every-kind", File(file(b"".join(meta(kind, b"text") for kind in range(1, 16)) + scale), 8)
    yield (
        "texts-of-no-length",
        File(file(meta(0) + meta(0x21) + meta(0, b"\x00\x01") + meta(0x21, b"\x01") + meta(3) + meta(1)), 0),
    )
    yield "a-name-and-no-notes", File(file(meta(3, b"Test")), 0)
    yield "two-copyrights", File(file(meta(2, b"Mine.") + meta(2, b"And mine too.")), 0)
    yield "texts-in-no-encoding", File(file(meta(3, b"\xff\xfe\x80name") + meta(5, b"\xc3\x28\x00") + scale), 8)
    yield (
        "karaoke",
        File(
            file(
                meta(3, b"Soft karaoke") + meta(1, b"@KMIDI KARAOKE FILE"),
                meta(3, b"Words") + b"".join(meta(1, bytes([0x40 + number]), BEAT) for number in range(29)),
                notes([60 + number % 12 for number in range(29)]),
                division=100,
            ),
            29,
        ),
    )
    yield "offset-in-smpte-frames", File(file(meta(0x54, b"\x00\x01\x00\x00\x00") + scale), 8)
    tempo_changes = b"".join(
        meta(0x51, struct.pack(">I", 60_000_000 // tempo)[1:]) + note(60, ticks=1920) for tempo in (100, 120)
    )
    yield "two-tempos", File(file(tempo_changes, division=480), 2)
    signatures = ((2, 1), (4, 2), (2, 1), (3, 1), (2, 2), (3, 2), (4, 2), (5, 2), (3, 3), (6, 3), (12, 3))
    signed = b"".join(meta(0x58, bytes([above, below, 24, 8])) + note(60) for above, below in signatures)
    yield "time-signatures", File(file(signed, division=480), 11)
    yield "a-tick-for-each-beat", File(file(scale, division=1), 8)
    for width in (2, 3, 4):
        yield f"delta-times-in-{width}-bytes", File(file(notes(width=width)), 8)


def _broken() -> Iterator[tuple[str, File]]:
    """Files that violate the standard or make no sense."""
    scale, whole = notes(), file(notes())
    yield "a-byte-after-the-end", File(whole + b"\x2a", 8)
    yield "a-byte-short", File(whole[:-1], None)
    yield "cut-in-the-middle", File(whole[: len(whole) // 2], None)
    yield "cut-in-the-header", File(whole[:10], None)
    yield "empty", File(b"", None)
    yield "text", File(b"not a MIDI file", None)
    yield (
        "a-pointer-of-git-lfs",
        File(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0123456789abcdef" * 4 + b"\nsize 100002\n",
            None,
        ),
    )
    yield "noise", File(random.Random(0).randbytes(4096), None)
    yield (
        "in-a-riff-container",
        File(b"RIFF" + struct.pack("<I", len(whole) + 12) + b"RMIDdata" + struct.pack("<I", len(whole)) + whole, 8),
    )

    yield "no-tracks", File(header(1, 0), 0)
    yield "no-tracks-of-format-2", File(header(2, 0, 480), 0)
    yield "fewer-tracks-than-it-says", File(header(1, 9) + chunk(scale + END_OF_TRACK), 8)
    yield "an-unknown-format", File(file(scale, file_format=3), 8)
    yield (
        "a-chunk-of-another-kind",
        File(header(0, 1) + chunk(b"no track at all", b"Junk") + chunk(scale + END_OF_TRACK), 8),
    )
    yield "a-track-of-4-gigabytes", File(header(0, 1, 480) + chunk(b"\x00\x90\x3c\x40", length=0xFFFFFFFF), None)
    yield "a-track-that-ends-at-once", File(header(1, 1) + chunk(b"", length=1), None)
    yield "no-end-of-track", File(header(1, 2, 64) + chunk(note(64, ticks=64)) + chunk(note(71, ticks=64)), 2)

    yield "no-ticks-for-a-beat", File(file(scale, division=0), None)
    yield "no-ticks-and-no-tracks", File(header(1, 0, 0), None)
    yield "ticks-below-0", File(header(1, 0, -1), None)
    for frames in (24, 25, 29, 30):
        yield f"time-in-{frames}-frames-per-second", File(file(scale, division=-frames << 8 | 40), 8)

    yield "a-note-never-released", File(file(b"\x00\x90\x3c\x40" + note(62)), 2)
    yield "one-note-on-alone", File(header(1, 1, 120) + chunk(b"\x20\x90\x40\x40"), 1)
    yield "releases-without-notes", File(file(b"\x00\x80\x3c\x40" + note(62) + b"\x00\x90\x40\x00"), 1)
    overlapping = b"\x00\x90\x3c\x40\x60\x90\x3c\x50\x60\x80\x3c\x00\x60\x80\x3c\x00"
    yield "two-notes-at-once-on-a-key", File(file(overlapping), 2)
    yield "notes-of-no-length", File(file(b"".join(note(60 + at, ticks=0) for at in range(5))), 5)
    yield "a-note-of-three-days", File(file(note(60, ticks=0x0FFFFFFF), division=480), None)
    yield "a-pitch-of-255", File(header(1, 1, 120) + chunk(b"\x00\x90\xff\x40"), None)

    yield "a-delta-time-in-5-bytes", File(file(b"\x81\x80\x80\x80\x00" + note(60)[1:], division=480), None)
    yield "a-delta-time-without-end", File(header(1, 1) + chunk(b"\xff" * 6 + END_OF_TRACK), None)
    for length in (0, 2):
        signature = meta(0x59, bytes(length))
        yield (
            f"no-delta-time-after-a-key-of-{length}-bytes",
            File(header(1, 1) + chunk(signature + END_OF_TRACK[1:]), None),
        )
    yield "a-text-longer-than-the-file", File(header(1, 1) + chunk(b"\x00\xff\x03\xff\xff\x7f"), None)
    for name, kind in (("key-signature", 0x59), ("offset", 0x54), ("tempo", 0x51), ("time-signature", 0x58)):
        yield f"a-{name}-of-no-length", File(file(meta(kind) + scale), 8)
        yield f"nothing-but-a-{name}-of-no-length", File(file(meta(kind)), 0)
    for name, sharps in (("sharps", 8), ("flats", 0xF8)):
        signature = meta(0x59, bytes([sharps, 0]))
        yield f"a-key-of-8-{name}", File(file(signature + scale), 8)
        yield f"no-delta-time-after-a-key-of-8-{name}", File(header(1, 1) + chunk(signature + END_OF_TRACK[1:]), None)
    yield "a-tempo-of-0", File(file(meta(0x51, bytes(3)) + scale), 8)

    yield (
        "running-status-after-a-text",
        File(file(b"\x00\x90\x3c\x40\x60\x3c\x00" + running(SCALE[1:4]) + meta(1, b"break") + running(SCALE[4:])), 8),
    )
    yield "running-status-after-an-exclusive-message", File(
        file(note(60) + b"\x00\x90\x3e\x40" + exclusive(b"\x7e\x7f\x06\x01") + b"\x60\x3e\x00" + running(SCALE[2:])),
        8,
    )  # fmt: skip
    yield "running-status-across-tracks", File(file(note(60), running((62,))), None)
    for status, data in (
        (0xF1, 1),
        (0xF2, 2),
        (0xF3, 1),
        (0xF6, 0),
        (0xF8, 0),
        (0xFA, 0),
        (0xFB, 0),
        (0xFC, 0),
        (0xFE, 0),
    ):
        yield f"a-message-{status:x}-that-files-have-not", File(file(bytes([0, status, *[0x7F] * data]) + scale), 8)
    for status in (0xF4, 0xF5, 0xF9, 0xFD):
        yield f"an-undefined-message-{status:x}", File(file(bytes([0, status]) + scale), 8)


FILES: dict[str, File] = dict([*_whole(), *_broken()])
