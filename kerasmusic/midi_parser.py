"""Standard MIDI Files as bytes: their containers, chunks and tracks, as events in the order in which they are played.

No more is parsed than decides when a key sounds: note-on and note-off, program changes, the controllers that release
or hold keys, and the tempo. What the events mean for notes is decided in `kerasmusic.midi_channels`.

A track of a long performance has tens of thousands of events, and where each begins is known only when the one before
it was measured. A loop of Python over them takes some 30 ms for a MAESTRO file. Here NumPy measures an event at every
byte of a block, whether one begins there or not, follows sixteen of these at a time, and leaves to Python only what is
rare: meta events, System Exclusive messages and messages of one data byte. That takes 2 ms.
"""

from __future__ import annotations

import struct
from array import array
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import MidiError

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x8, 0x9, 0xB, 0xC
#: Not a message: where a track ends.
TRACK_END = 0xF
DRUM_CHANNEL = 9
SUSTAIN, ALL_SOUND_OFF, RESET_CONTROLLERS, ALL_NOTES_OFF = 64, 120, 121, 123
DEFAULT_TEMPO = 500_000
# Bytes of a track that are measured at once: what is made of them stays in a processor's cache.
BLOCK = 1 << 16
# Of sixteen events at once: sixteen is two to the fourth.
DOUBLINGS = 4
MAX_TRACKS = 0xFFFF
TRACK_NAME, END_OF_TRACK, TEMPO = 0x03, 0x2F, 0x51

_SIZE = np.zeros(256, np.uint8)
_SIZE[0x00:0x80] = 2  # the two data bytes of a message that goes on under the status before it
_SIZE[0x80:0xC0] = _SIZE[0xE0:0xF0] = 3
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_AUDIO = "audio, and MIDI is notes, not sound; a transcription program can make a MIDI file of it"
# The first bytes of files of other kinds, what they are, and what to do.
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
    """The events of one track that matter: columns of one length, in the order of the track, the track's end last."""

    name: str
    tick: NDArray[np.int64]
    status: NDArray[np.uint8]
    data1: NDArray[np.uint8]
    data2: NDArray[np.uint8]
    tempo_tick: list[int]
    #: Microseconds a quarter note.
    tempo: list[int]


class Song(NamedTuple):
    """A file's tracks and its clock."""

    format: int
    tracks: list[Track]
    #: A tick lasts `tempo / (division * 1e6)` seconds.
    division: float
    #: The one tempo of a file whose time does not follow tempo events.
    fixed_tempo: int | None


def parse(data: bytes, name: str) -> Song:
    """Parses a Standard MIDI File, by itself or in a RIFF container (RMID).

    Args:
        data: the file's bytes.
        name: what errors call it.

    Raises:
        MidiError: it is another kind of file, is cut short or breaks the standard.
    """
    data = _unwrapped(data, name)
    if data[:4] != b"MThd":
        raise MidiError(f"{name}: not a MIDI file but {_kind_of(data)}")
    if len(data) < 14:
        raise MidiError(f"{name}: cut short in its header, after {len(data)} bytes; get it again")
    length, kind, _, division = struct.unpack_from(">IHHh", data, 4)
    if length < 6:
        raise MidiError(f"{name}: not a MIDI file that can be read (its header says that it has {length} bytes, not 6)")
    # The number of tracks in the header is not needed, and often wrong. A format above 2 is read as format 1, which
    # the standard allows.
    ticks, tempo = _clock(division, name)
    tracks = []
    for chunk in _tracks(data, 8 + length, name):
        try:
            tracks.append(_track(chunk))
        except ValueError as error:
            raise MidiError(f"{name}: not a MIDI file that can be read (track {len(tracks)}: {error})") from None
    return Song(kind, tracks, ticks, tempo)


def _unwrapped(data: bytes, name: str) -> bytes:
    """The Standard MIDI File in a RIFF container, or what is there where it is in none."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return data
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"data":
            return data[place + 8 : place + 8 + length]
        # Chunks of RIFF begin at even bytes.
        place += 8 + length + length % 2
    raise MidiError(f"{name}: a RIFF container of MIDI without any MIDI in it; get it again")


def _kind_of(data: bytes) -> str:
    """What a file is that is no MIDI file, and what to do."""
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
    """Ticks a quarter note; or, where ticks are parts of SMPTE frames, ticks per second and a tempo of a second."""
    if division > 0:
        return division, None
    frames, ticks = -(division >> 8), division & 0xFF
    if not division or frames not in (24, 25, 29, 30) or not ticks:
        raise MidiError(f"{name}: not a MIDI file that can be read (its division is {division & 0xFFFF:#06x})")
    # 29 stands for the 29.97 frames a second of drop-frame time code.
    return (30_000 / 1_001 if frames == 29 else frames) * ticks, 1_000_000


def _tracks(data: bytes, place: int, name: str) -> list[bytes]:
    """The contents of a file's track chunks; chunks of other kinds are skipped."""
    chunks: list[bytes] = []
    while place < len(data):
        kind, length = struct.unpack(">4sI", data[place : place + 8].ljust(8, b"\0"))
        # Bytes after the last chunk are no reason to refuse a file; a cut in the head of a track is.
        if kind == b"MTrk" or b"MTrk".startswith(data[place : place + 4]):
            if place + 8 + length > len(data):
                raise MidiError(
                    f"{name}: not a MIDI file that can be read (cut short: track {len(chunks)} should have "
                    f"{length:,} bytes, and {max(0, len(data) - place - 8):,} are there); get it again"
                )
            chunks.append(data[place + 8 : place + 8 + length])
            if len(chunks) > MAX_TRACKS:
                raise MidiError(f"{name}: has more than {MAX_TRACKS:,} tracks, which a header cannot count")
        place += 8 + length
    return chunks


def _track(data: bytes) -> Track:
    """The events of a track chunk.

    Raises:
        ValueError: it breaks the standard.
    """
    length = len(data)
    # So that an event can be measured at every byte; none is taken to begin past the end.
    padded = np.frombuffer(data + b"\xff" * _Block.MARGIN, np.uint8)
    block = _Block(padded, 0, min(BLOCK, length))
    starts = array("q")
    name, tempo_at, tempos = "", [], []
    # Whether a message without a status is of one data byte, for the one before it was. Python takes these in turn.
    single = False
    place = 0
    while place < length:
        if not single:
            if place >= block.stop:
                starts.frombytes(block.starts().tobytes())
                block = _Block(padded, place, min(place + BLOCK, length))
            place = block.follow(place)
            if place >= block.stop:
                continue
        begin, place = place, _end_of_delta(data, place)
        status = data[place]
        if status in (0xF0, 0xF7, 0xFF):
            size, content = _number(data, place + (2 if status == 0xFF else 1))
            kind = data[place + 1] if status == 0xFF else None
            place = content + size
            if kind == TEMPO and size == 3:
                tempo_at.append(begin)
                tempos.append(int.from_bytes(data[content:place]))
            elif kind == TRACK_NAME and not name:
                name = _text(data[content:place])
        elif status >= 0xF0:
            # No file should hold these, and a receiver passes over those that are not defined.
            kind, place = None, place + 1 + _SYSTEM_DATA_BYTES.get(status, 0)
        elif 0xC0 <= status < 0xE0:
            kind, place, single = None, place + 2, True
        elif status < 0x80 and single:
            kind, place = None, place + 1
        else:
            place, single = begin, False
            continue
        if place > length:
            raise ValueError(f"cut short in an event at byte {begin}")
        starts.append(begin)
        if kind == END_OF_TRACK:
            break
    if place > length:
        raise ValueError("cut short in its last event")
    starts.frombytes(block.starts().tobytes())
    # Those of a block come after the ones that Python found in it.
    return _columns(padded, np.sort(np.frombuffer(starts, np.int64), kind="stable"), name, tempo_at, tempos)


class _Block:
    """A part of a track in which an event is measured at every byte, and the events that are found by that.

    Only messages of two data bytes are measured, those without a status too. `stop` is where the part ends.
    """

    #: How far past its end a block looks: at an event that jumps over it, and at the delta time after that.
    MARGIN = 16

    def __init__(self, data: NDArray[np.uint8], base: int, stop: int) -> None:
        self.base, self.stop = base, stop
        self._heads: list[int] = []
        measured, length = data[base : stop + self.MARGIN], stop - base
        # One byte of delta time, and one more for each with its high bit set; after three the fourth has none.
        high = measured >= 0x80
        second = high[:-1] & high[1:]
        third = second[:-1] & high[2:]
        width = 1 + high[:length].astype(np.intp) + second[:length] + third[:length]
        jump = np.arange(len(measured))
        size = _SIZE.take(measured.take(jump[:length] + width))
        # What is no such message leads to itself, and so do the bytes past the end: there all jumps end.
        known = (size > 0) & ~(third[:length] & high[3 : length + 3])
        jump[:length] += (width + size) * known
        self._jump = jump
        for _ in range(DOUBLINGS):
            jump = jump.take(jump)
        self._far = jump

    def follow(self, place: int) -> int:
        """Goes from event to event for as long as they can be measured; returns the place where that ends."""
        at = place - self.base
        while (to := self._far.item(at)) != at:
            self._heads.append(at)
            at = to
        return at + self.base

    def starts(self) -> NDArray[np.int64]:
        """Where the events begin that were gone over."""
        rows = [np.array(self._heads, np.int64)]
        for _ in range(2**DOUBLINGS - 1):
            rows.append(self._jump[rows[-1]])
        events = np.stack(rows, axis=1).ravel()
        return events[self._jump[events] != events] + self.base


def _end_of_delta(data: bytes, begin: int) -> int:
    """The place after a delta time, where an event's status is."""
    for place in range(begin, min(begin + 4, len(data))):
        if data[place] < 0x80:
            if place + 1 == len(data):
                raise ValueError(f"cut short before an event, at byte {place + 1}")
            return place + 1
    if begin + 4 > len(data):
        raise ValueError(f"cut short in a delta time at byte {begin}")
    raise ValueError(f"a delta time at byte {begin} does not end")


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place after it."""
    value = 0
    for at in range(place, min(place + 4, len(data))):
        value = value << 7 | data[at] & 0x7F
        if data[at] < 0x80:
            return value, at + 1
    raise ValueError(f"a length at byte {place} does not end")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        # The standard's is ASCII; what else programs wrote, they seldom say.
        return data.decode("latin-1")


def _columns(
    data: NDArray[np.uint8], starts: NDArray[np.int64], name: str, tempo_at: list[int], tempo: list[int]
) -> Track:
    """The columns of events that begin at `starts`."""
    if not len(starts):
        zero = np.zeros(1, np.uint8)
        return Track(name, np.zeros(1, np.int64), np.full(1, TRACK_END << 4, np.uint8), zero, zero, [], [])
    place = starts.copy()
    byte = data[place]
    delta = byte.astype(np.int64) & 0x7F
    longer = np.flatnonzero(byte >= 0x80)
    while len(longer):
        place[longer] += 1
        byte = data[place[longer]]
        delta[longer] = delta[longer] << 7 | byte & 0x7F
        longer = longer[byte >= 0x80]
    tick = np.cumsum(delta)
    place += 1
    status = data[place]
    # A status holds for the messages after it that have none. The standard ends that at a meta event or a System
    # Exclusive message, but there are files that go on.
    running = np.flatnonzero(status < 0x80)
    if len(running):
        own = np.where((status >= 0x80) & (status < 0xF0), np.arange(len(status)), -1)
        before = np.maximum.accumulate(own)[running]
        if before[0] < 0:
            raise ValueError(f"a message at byte {starts[running[0]]} has no status, nor has any before it")
        status[running] = status[before]
        place[running] -= 1
    channel = status < 0xF0
    data1, data2 = data[place + 1], data[place + 2]
    single = (status >= 0xC0) & (status < 0xE0)
    data2[single] = 0
    wrong = channel & ((data1 | data2) >= 0x80)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"a message at byte {starts[at]} has a data byte over 127")
    kind = status >> 4
    matter = (kind == NOTE_ON) | (kind == NOTE_OFF) | (kind == PROGRAM)
    matter |= (kind == CONTROL) & ((data1 == SUSTAIN) | (data1 >= ALL_SOUND_OFF))
    tempo_tick = tick[np.searchsorted(starts, tempo_at)].tolist() if tempo_at else []
    return Track(
        name,
        np.append(tick[matter], tick[-1]),
        np.append(status[matter], np.uint8(TRACK_END << 4)),
        np.append(data1[matter], np.uint8(0)),
        np.append(data2[matter], np.uint8(0)),
        tempo_tick,
        tempo,
    )
