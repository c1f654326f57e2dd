"""Reads MIDI files as `Notes`, and writes them.

Reading merges all melodic instruments into one performance, or takes one of them. The sustain pedal is applied by
default: while it is down, a released note sounds on until the pedal lifts or its key is merged again. The documentation
has a page on MIDI files that lists the events and how each is read.

`read` refuses files that no performance needs and that could exhaust a program: those of more than 20 million bytes or
three million notes, and those longer than a day. It also refuses a file without melodic notes. `write` has the same
limits.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, MidiError, MissingPackageError
from kerasmusic.files import atomic_write
from kerasmusic.midi_channels import Instrument, instruments_from_pretty_midi, instruments_from_song
from kerasmusic.midi_parser import DEFAULT_TEMPO, NOTE_ON, PROGRAM, parse
from kerasmusic.notes import SHORTEST_SECONDS, Notes
from kerasmusic.quiet import import_silently

if TYPE_CHECKING:
    from pretty_midi import PrettyMIDI

#: The suffixes by which MIDI files are found in a folder or a zip. A file named by the user may have any.
SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
#: The suffixes of files that may be written.
WRITTEN_SUFFIXES = (".mid", ".midi")
LONGEST_SECONDS = 24 * 3600.0
# An event has at least two bytes, so this bounds a file to ten million events.
MAX_BYTES = 20_000_000
# With three bytes per event and millisecond ticks, a day with this many notes stays below MAX_BYTES.
MAX_NOTES = 3_000_000
TICKS_PER_SECOND = 1000


def read(path: str | os.PathLike[str], *, instrument: int | None = None, pedal: bool = True) -> Notes:
    """Reads the notes of a MIDI file.

    Args:
        path: the file.
        instrument: the index of the only instrument to read, in the order of `read_instruments`; by default all
            melodic instruments are merged.
        pedal: whether the sustain pedal lengthens notes; without it, a note ends when its key is released.

    Raises:
        MidiError: the file cannot be read, or has no notes.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "note.mid")
    >>> write(Notes([0.0], [60], [0.5], [64]), path)
    >>> read(path).pitch.tolist()
    [60]
    """
    return read_bytes(file_bytes(path), str(path), instrument=instrument, pedal=pedal)


def read_instruments(path: str | os.PathLike[str]) -> list[Instrument]:
    """The instruments of a MIDI file, including drums: one for each track, channel and program, in track order.

    Raises:
        MidiError: the file cannot be read.
    """
    return parse_instruments(file_bytes(path), str(path))


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a MIDI file or a pipe, at most one more than `MAX_BYTES`. A pipe can be read only once.

    Raises:
        MidiError: the file cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MidiError(f"{path}: no such file") from None
    except OSError as error:
        raise MidiError(f"{path}: cannot be read ({error.strerror})") from None


def read_bytes(data: bytes, name: str, *, instrument: int | None = None, pedal: bool = True) -> Notes:
    """Reads the notes of a MIDI file in memory, which error messages call `name`; see `read`."""
    return select_notes(parse_instruments(data, name), name, instrument=instrument, pedal=pedal)


def select_notes(
    instruments: list[Instrument], name: str, *, instrument: int | None = None, pedal: bool = True
) -> Notes:
    """Selects and merges a file's instruments as `read` does."""
    if instrument is not None:
        if not 0 <= instrument < len(instruments):
            raise MidiError(f"{name}: has no instrument {instrument}, only {len(instruments)} (counted from 0)")
        instruments = [instruments[instrument]]
    # Checked before notes are made: very late times are beyond the precision of a float.
    seconds = max((_latest_end(each.start, each.sounding) for each in instruments), default=0.0)
    if seconds > LONGEST_SECONDS:
        raise MidiError(f"{name}: lasts {seconds / 3600:.0f} hours, more than {LONGEST_SECONDS / 3600:.0f}")
    count = sum(len(each.start) for each in instruments)
    if count > MAX_NOTES:
        raise MidiError(f"{name}: has {count:,} notes, more than {MAX_NOTES:,}")
    notes = merge_instruments(instruments, pedal=pedal, drums=instrument is not None)
    if not len(notes):
        drums = sum(len(each.start) for each in instruments if each.is_drum)
        raise MidiError(f"{name}: has no notes" + (f" but {drums} of drums" if drums else ""))
    return notes


def parse_instruments(data: bytes, name: str) -> list[Instrument]:
    """The instruments of a MIDI file in memory, which error messages call `name`; see `read_instruments`."""
    if len(data) > MAX_BYTES:
        raise MidiError(f"{name}: has more than {MAX_BYTES:,} bytes, and so may have over ten million events")
    return instruments_from_song(parse(data, name))


def merge_instruments(instruments: list[Instrument], *, pedal: bool, drums: bool = False) -> Notes:
    """Merges instruments into one performance; drums only if `drums`."""
    chosen = [instrument for instrument in instruments if drums or not instrument.is_drum]
    if not chosen:
        return Notes.empty()
    return Notes(
        np.concatenate([instrument.start for instrument in chosen]),
        np.concatenate([instrument.pitch for instrument in chosen]),
        np.concatenate([instrument.sounding if pedal else instrument.held for instrument in chosen]),
        np.concatenate([instrument.velocity for instrument in chosen]),
    ).without_overlaps()


def _latest_end(start: NDArray[np.float64], duration: NDArray[np.float64]) -> float:
    """The time in seconds at which the last note ends; in a file each note lasts at least one tick."""
    return float((start + np.maximum(duration, 1 / TICKS_PER_SECOND)).max(initial=0.0))


def write(notes: Notes, path: str | os.PathLike[str], *, program: int = 0) -> None:
    """Writes a MIDI file with one instrument, by default an acoustic grand piano, and ticks of one millisecond.

    MIDI cannot hold overlapping notes of one key: a note ends where its key is merged again, and simultaneous notes of
    a key become one, with the highest velocity and the latest end. Each note lasts at least one tick. Notes whose times
    are whole milliseconds are read back exactly.

    Raises:
        ArgumentError: the notes last more than a day, there are more than three million, or `program` is not 0 to 127.
    """
    data = to_bytes(notes, program=program)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def to_bytes(notes: Notes, *, program: int = 0) -> bytes:
    """The contents of the file that `write` writes.

    >>> to_bytes(Notes([0.0], [60], [0.5], [64]))[:4]
    b'MThd'
    """
    if not 0 <= program <= 127:
        raise ArgumentError(f"{program}: a program is within 0 to 127")
    if len(notes) > MAX_NOTES:
        raise ArgumentError(f"{len(notes):,} notes are more than a MIDI file may have, which is {MAX_NOTES:,}")
    if (seconds := _latest_end(notes.start, notes.duration)) > LONGEST_SECONDS:
        raise ArgumentError(
            f"the notes last {seconds / 3600:.1f} hours, and a MIDI file may last {LONGEST_SECONDS / 3600:.0f}; "
            "write them in parts"
        )
    on = np.rint(notes.start * TICKS_PER_SECOND)
    off = np.maximum(on + 1, np.rint(notes.end * TICKS_PER_SECOND))
    # In ticks, so that strikes rounded to the same tick are merged.
    merged = Notes(on, notes.pitch, off - on, notes.velocity).without_overlaps()
    tick = np.concatenate([merged.start, merged.end]).astype(np.int64)
    # A note-on of velocity 0 is a release; all events then share one running status.
    velocity = np.concatenate([merged.velocity, np.zeros(len(merged), np.int32)])
    pitch = np.concatenate([merged.pitch, merged.pitch])
    # A key is released before it is merged again.
    order = np.lexsort((velocity > 0, tick))
    delta = np.diff(tick[order], prepend=0)
    rows = np.empty((len(delta), 6), np.uint8)
    for column, shift in enumerate((21, 14, 7, 0)):
        rows[:, column] = delta >> shift & 0x7F | (0x80 if shift else 0)
    rows[:, 4], rows[:, 5] = pitch[order], velocity[order]
    written = np.ones(rows.shape, bool)
    for column, shift in enumerate((21, 14, 7)):
        written[:, column] = delta >> shift > 0
    events = rows[written].tobytes()
    if len(notes):
        first = int(written[0, :4].sum())
        events = events[:first] + bytes([NOTE_ON << 4]) + events[first:]
    tempo = b"\x00\xff\x51\x03" + DEFAULT_TEMPO.to_bytes(3, "big")
    track = tempo + bytes([0, PROGRAM << 4, program]) + events + b"\x00\xff\x2f\x00"
    division = TICKS_PER_SECOND * DEFAULT_TEMPO // 1_000_000
    return struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, division, b"MTrk", len(track)) + track


def from_pretty_midi(midi: PrettyMIDI, *, pedal: bool = True) -> Notes:
    """The merged notes of all melodic instruments of a `PrettyMIDI` object; see `read`."""
    return merge_instruments(instruments_from_pretty_midi(midi), pedal=pedal)


def to_pretty_midi(notes: Notes, program: int = 0) -> PrettyMIDI:
    """A `PrettyMIDI` object with one instrument, by default an acoustic grand piano.

    Raises:
        MissingPackageError: pretty_midi is not installed.
    """
    try:
        pretty_midi = import_silently("pretty_midi")
    except ImportError:
        raise MissingPackageError("pretty_midi is not installed; run: pip install pretty_midi") from None
    instrument = pretty_midi.Instrument(program=program)
    instrument.notes = [
        # pretty_midi would write a note of no length as one that never ends.
        pretty_midi.Note(note.velocity, note.pitch, note.start, note.start + max(note.duration, SHORTEST_SECONDS))
        for note in notes.without_overlaps()
    ]
    midi: PrettyMIDI = pretty_midi.PrettyMIDI(resolution=500)
    midi.instruments.append(instrument)
    return midi
