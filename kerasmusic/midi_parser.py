"""Parses the bytes of Standard MIDI Files: containers, chunks and the events of each track.

Only events that decide when a key sounds are kept: note-on and note-off, program changes, the controllers that release
or hold keys, and tempo changes. `kerasmusic.midi_channels` turns the events into notes.

Events have variable lengths, so each can be found only after the one before it. A Python loop over the tens of
thousands of events of a MAESTRO file takes some 30 ms. Instead, NumPy computes the length that an event would have at
every byte of a block, and follows sixteen events at a time through this table; Python handles only the rare kinds: meta
events, System Exclusive messages and messages with one data byte. That takes 2 ms.
"""

from __future__ import annotations

import struct
from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import MidiError

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x8, 0x9, 0xB, 0xC
#: The end of a track, which is no message.
TRACK_END = 0xF
DRUM_CHANNEL = 9
SUSTAIN, ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 64, 120, 121, 123
DEFAULT_TEMPO = 500_000
# Bytes of a track that are handled at once; the arrays made of them stay in the processor's cache.
BLOCK = 1 << 16
# 2**4: sixteen events are followed at once.
DOUBLINGS = 4
MAX_TRACKS = 0xFFFF
TRACK_NAME, END_OF_TRACK, TEMPO = 0x03, 0x2F, 0x51

_SIZE = np.zeros(256, np.uint8)
_SIZE[0x00:0x80] = 2  # running status: the two data bytes alone
_SIZE[0x80:0xC0] = _SIZE[0xE0:0xF0] = 3
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_AUDIO = "audio, and MIDI is notes, not sound; a transcription program can make a MIDI file of it"
# The first bytes of files of other kinds, their kind, and the remedy.
_OTHERS = (
    (b"\x1f\x8b", "a gzip archive; unpack it first, such as by gunzip"),
    (b"PK\x03\x04", "a zip archive; unpack it first (of a .mxl or .mscz file, export MIDI from a notation program)"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run: git lfs pull"),
    (b"SMF2CLIP", "a MIDI 2.0 clip; export a Standard MIDI File (.mid) from the program that wrote it"),
    (b"XMF_", "an XMF file; extract the Standard MIDI File in it"),
    (b"ID3", f"MP3 {_AUDIO}"),
    (b"OggS", f"Ogg {_AUDIO}"),
    (b"fLaC", f"FLAC {_AUDIO}"),
    (b"%PDF", "a PDF document; export MIDI from the program that wrote it"),
)


class Track(NamedTuple):
    """The relevant events of one track as columns of equal length, in file order; the last is the track's end."""

    name: str
    tick: NDArray[np.int64]
    status: NDArray[np.uint8]
    data1: NDArray[np.uint8]
    data2: NDArray[np.uint8]
    tempo_tick: list[int]
    #: Microseconds per quarter note.
    tempo: list[int]


class Song(NamedTuple):
    """A parsed file: its tracks and its clock."""

    format: int
    tracks: list[Track]
    #: A tick lasts `tempo / (division * 1e6)` seconds.
    division: float
    #: The constant tempo of a file with SMPTE time, which ignores tempo events; else None.
    fixed_tempo: int | None


def parse(data: bytes, name: str) -> Song:
    """Parses a Standard MIDI File, by itself or in a RIFF container (RMID).

    Args:
        data: the file's bytes.
        name: the file's name in error messages.

    Raises:
        MidiError: the file is of another kind, is cut short or violates the standard.
    """
    data = _unwrapped(data, name)
    if data[:4] != b"MThd":
        raise MidiError(f"{name}: not a MIDI file but {_kind_of(data)}")
    if len(data) < 14:
        raise MidiError(f"{name}: cut short in its header, after {len(data)} bytes; get it again")
    length, kind, _, division = struct.unpack_from(">IHHh", data, 4)
    if length < 6:
        raise MidiError(f"{name}: not a MIDI file that can be read (its header says that it has {length} bytes, not 6)")
    # The header's number of tracks is not needed, and is often wrong. A format above 2 is read as format 1, as the
    # standard allows.
    ticks, tempo = _clock(division, name)
    tracks = []
    for chunk in _tracks(data, 8 + length, name):
        try:
            tracks.append(_track(chunk))
        except ValueError as error:
            raise MidiError(f"{name}: not a MIDI file that can be read (track {len(tracks)}: {error})") from None
    return Song(kind, tracks, ticks, tempo)


def _unwrapped(data: bytes, name: str) -> bytes:
    """The Standard MIDI File in a RIFF container; other data is returned as it is."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return data
    offset = 12
    while offset + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind == b"data":
            return data[offset + 8 : offset + 8 + length]
        # RIFF chunks begin at even offsets.
        offset += 8 + length + length % 2
    raise MidiError(f"{name}: a RIFF container of MIDI without any MIDI in it; get it again")


def _kind_of(data: bytes) -> str:
    """The kind of a file that is not a MIDI file, with the remedy."""
    if not data:
        return "an empty file; get it again"
    if data[:4] == b"RIFF":
        return f"WAVE {_AUDIO}" if data[8:12] == b"WAVE" else "a RIFF file of another kind; name a .mid file"
    for begins, kind in _OTHERS:
        if data.startswith(begins):
            return kind
    if data[0] == 0xFF and len(data) > 1 and data[1] >= 0xE0:
        return f"MP3 {_AUDIO}"
    head = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<score-partwise" in head or b"<score-timewise" in head:
        return "MusicXML; export MIDI from a notation program, such as MuseScore"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a page of HTML, perhaps a server's error; open its address in a browser and download the file itself"
    if head.startswith(b"<"):
        return "an XML file; export MIDI from the program that wrote it"
    if all(byte in b"\t\r\n" or 0x20 <= byte < 0x7F for byte in data[:1000]):
        return "a text; name a .mid file"
    return "something else, which begins with " + data[:4].hex(" ") + " instead of MThd; get it again"


def _clock(division: int, name: str) -> tuple[float, int | None]:
    """Ticks per quarter note and None; for SMPTE time, ticks per second and a tempo of one second."""
    if division > 0:
        return division, None
    frames, ticks = -(division >> 8), division & 0xFF
    if not division or frames not in (24, 25, 29, 30) or not ticks:
        raise MidiError(f"{name}: not a MIDI file that can be read (its division is {division & 0xFFFF:#06x})")
    # 29 stands for the 29.97 frames per second of drop-frame time code.
    return (30_000 / 1_001 if frames == 29 else frames) * ticks, 1_000_000


def _tracks(data: bytes, offset: int, name: str) -> list[bytes]:
    """The contents of a file's track chunks; chunks of other kinds are skipped."""
    chunks: list[bytes] = []
    while offset < len(data):
        kind, length = struct.unpack(">4sI", data[offset : offset + 8].ljust(8, b"\0"))
        # Stray bytes after the last chunk are ignored, but not a track header that is cut short.
        if kind == b"MTrk" or b"MTrk".startswith(data[offset : offset + 4]):
            if offset + 8 + length > len(data):
                raise MidiError(
                    f"{name}: not a MIDI file that can be read (cut short: track {len(chunks)} should have "
                    f"{length:,} bytes, and {max(0, len(data) - offset - 8):,} are there); get it again"
                )
            chunks.append(data[offset + 8 : offset + 8 + length])
            if len(chunks) > MAX_TRACKS:
                raise MidiError(f"{name}: has more than {MAX_TRACKS:,} tracks, which a header cannot count")
        offset += 8 + length
    return chunks


def _track(data: bytes) -> Track:
    """Parses the events of a track chunk.

    Raises:
        ValueError: the chunk violates the standard.
    """
    length = len(data)
    # The padding lets an event be measured at every byte; 0xff begins no event that a block measures.
    padded = np.frombuffer(data + b"\xff" * _Block.MARGIN, np.uint8)
    block = _Block(padded, 0, min(BLOCK, length))
    starts = array("q")
    name, tempo_at, tempos = "", [], []
    # Whether running status is that of a message with one data byte. Python handles these one by one.
    single = False
    offset = 0
    while offset < length:
        if not single:
            if offset >= block.stop:
                starts.frombytes(block.starts().tobytes())
                block = _Block(padded, offset, min(offset + BLOCK, length))
            offset = block.follow(offset)
            if offset >= block.stop:
                continue
        begin, offset = offset, _end_of_delta(data, offset)
        status = data[offset]
        if status in (0xF0, 0xF7, 0xFF):
            size, content = _number(data, offset + (2 if status == 0xFF else 1))
            kind = data[offset + 1] if status == 0xFF else None
            offset = content + size
            if kind == TEMPO and size == 3:
                tempo_at.append(begin)
                tempos.append(int.from_bytes(data[content:offset]))
            elif kind == TRACK_NAME and not name:
                name = _text(data[content:offset])
        elif status >= 0xF0:
            # System messages do not belong in a file; the standard says to ignore undefined ones.
            kind, offset = None, offset + 1 + _SYSTEM_DATA_BYTES.get(status, 0)
        elif 0xC0 <= status < 0xE0:
            kind, offset, single = None, offset + 2, True
        elif status < 0x80 and single:
            kind, offset = None, offset + 1
        else:
            offset, single = begin, False
            continue
        if offset > length:
            raise ValueError(f"cut short in an event at byte {begin}")
        starts.append(begin)
        if kind == END_OF_TRACK:
            break
    if offset > length:
        raise ValueError("cut short in its last event")
    starts.frombytes(block.starts().tobytes())
    # Sorted, since a block's events are appended after those that Python found within it.
    return _columns(padded, np.sort(np.frombuffer(starts, np.int64), kind="stable"), name, tempo_at, tempos)


class _Block:
    """A part of a track, up to `stop`, with the length that an event would have at each byte, and the events found.

    Only messages with two data bytes are measured, with or without a status byte.
    """

    #: Bytes needed past the end of a block, for an event that crosses it and the delta time after that.
    MARGIN = 16

    def __init__(self, data: NDArray[np.uint8], base: int, stop: int) -> None:
        self.base, self.stop = base, stop
        self._heads: list[int] = []
        measured, length = data[base : stop + self.MARGIN], stop - base
        # A delta time has one byte, and one more for each byte with its high bit set, four at most.
        high = measured >= 0x80
        second = high[:-1] & high[1:]
        third = second[:-1] & high[2:]
        width = 1 + high[:length].astype(np.intp) + second[:length] + third[:length]
        jump = np.arange(len(measured))
        size = _SIZE.take(measured.take(jump[:length] + width))
        # Other events, and bytes past the end, jump to themselves, so that following stops there.
        known = (size > 0) & ~(third[:length] & high[3 : length + 3])
        jump[:length] += (width + size) * known
        self._jump = jump
        for _ in range(DOUBLINGS):
            jump = jump.take(jump)
        self._far = jump

    def follow(self, offset: int) -> int:
        """Follows events for as long as they can be measured; returns the offset of the first that cannot."""
        at = offset - self.base
        while (to := self._far.item(at)) != at:
            self._heads.append(at)
            at = to
        return at + self.base

    def starts(self) -> NDArray[np.int64]:
        """The offsets of the events that were followed."""
        rows = [np.array(self._heads, np.int64)]
        for _ in range(2**DOUBLINGS - 1):
            rows.append(self._jump[rows[-1]])
        events = np.stack(rows, axis=1).ravel()
        return events[self._jump[events] != events] + self.base


def _end_of_delta(data: bytes, begin: int) -> int:
    """The offset after a delta time, which is that of the event's status."""
    for offset in range(begin, min(begin + 4, len(data))):
        if data[offset] < 0x80:
            if offset + 1 == len(data):
                raise ValueError(f"cut short before an event, at byte {offset + 1}")
            return offset + 1
    if begin + 4 > len(data):
        raise ValueError(f"cut short in a delta time at byte {begin}")
    raise ValueError(f"a delta time at byte {begin} does not end")


def _number(data: bytes, offset: int) -> tuple[int, int]:
    """A variable-length quantity, and the offset after it."""
    value = 0
    for at in range(offset, min(offset + 4, len(data))):
        value = value << 7 | data[at] & 0x7F
        if data[at] < 0x80:
            return value, at + 1
    raise ValueError(f"a length at byte {offset} does not end")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        # The standard asks for ASCII, and programs that write something else seldom say what.
        return data.decode("latin-1")


def _columns(
    data: NDArray[np.uint8], starts: NDArray[np.int64], name: str, tempo_at: list[int], tempo: list[int]
) -> Track:
    """The columns of the events at offsets `starts`."""
    if not len(starts):
        zero = np.zeros(1, np.uint8)
        return Track(name, np.zeros(1, np.int64), np.full(1, TRACK_END << 4, np.uint8), zero, zero, [], [])
    offset = starts.copy()
    byte = data[offset]
    delta = byte.astype(np.int64) & 0x7F
    longer = np.flatnonzero(byte >= 0x80)
    while len(longer):
        offset[longer] += 1
        byte = data[offset[longer]]
        delta[longer] = delta[longer] << 7 | byte & 0x7F
        longer = longer[byte >= 0x80]
    tick = np.cumsum(delta)
    offset += 1
    status = data[offset]
    # Running status: a message without a status byte has that of the message before it. The standard ends this at a
    # meta event or a System Exclusive message, but some files go on.
    running = np.flatnonzero(status < 0x80)
    if len(running):
        own = np.where((status >= 0x80) & (status < 0xF0), np.arange(len(status)), -1)
        before = np.maximum.accumulate(own)[running]
        if before[0] < 0:
            raise ValueError(f"a message at byte {starts[running[0]]} has no status, nor has any before it")
        status[running] = status[before]
        offset[running] -= 1
    channel = status < 0xF0
    data1, data2 = data[offset + 1], data[offset + 2]
    single = (status >= 0xC0) & (status < 0xE0)
    data2[single] = 0
    wrong = channel & ((data1 | data2) >= 0x80)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"a message at byte {starts[at]} has a data byte over 127")
    kind = status >> 4
    relevant = (kind == NOTE_ON) | (kind == NOTE_OFF) | (kind == PROGRAM)
    relevant |= (kind == CONTROL) & ((data1 == SUSTAIN) | (data1 >= ALL_SOUND_OFF))
    tempo_tick = tick[np.searchsorted(starts, tempo_at)].tolist() if tempo_at else []
    return Track(
        name,
        np.append(tick[relevant], tick[-1]),
        np.append(status[relevant], np.uint8(TRACK_END << 4)),
        np.append(data1[relevant], np.uint8(0)),
        np.append(data2[relevant], np.uint8(0)),
        tempo_tick,
        tempo,
    )
