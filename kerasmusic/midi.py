"""MIDI files to `Notes` and back.

Reading merges all instruments that are not drums into one performance, or takes one of them. The sustain pedal is heard
by default: while it is down, a released note sounds on until the pedal lifts or its key is struck again.

What is not read, since no performance is like that and each has been used to wear a program out: a file of more than
ten million events, one that lasts more than a day, one without notes other than drums', and one whose time is counted
in SMPTE frames instead of quarter notes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, MidiError, MissingPackageError, printable
from kerasmusic.files import written_beside
from kerasmusic.midi_readers import READERS, Instrument, default_reader
from kerasmusic.notes import Notes

SUFFIXES = (".mid", ".midi")
LONGEST_SECONDS = 24 * 3600.0
# No event is shorter than two bytes, so that no file of more than ten million events is read.
LARGEST_BYTES = 20_000_000


def read(
    path: str | os.PathLike[str],
    *,
    instrument: int | None = None,
    pedal: bool = True,
    reader: str | None = None,
) -> Notes:
    """Reads the notes of a MIDI file.

    Args:
        path: the file.
        instrument: take only this instrument, counted from 0 in the order of the file; by default all that are not
            drums, merged.
        pedal: whether the sustain pedal lengthens notes; without it, a note ends when its key is released.
        reader: "symusic" or "pretty_midi"; by default the faster one that is installed.

    Raises:
        MidiError: the file cannot be read, or has no notes.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "note.mid")
    >>> write(Notes([0.0], [60], [0.5], [64]), path)
    >>> read(path).pitch.tolist()
    [60]
    """
    return read_bytes(_bytes_of(path), str(path), instrument=instrument, pedal=pedal, reader=reader)


def read_instruments(path: str | os.PathLike[str], *, reader: str | None = None) -> list[Instrument]:
    """The instruments of a MIDI file as they are in it, drums too, in the order in which `read` counts them.

    Raises:
        MidiError: the file cannot be read.
    """
    return _parse(_bytes_of(path), str(path), reader)


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    path = Path(path)
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise MidiError(f"{path}: no such file") from None
    except OSError as error:
        raise MidiError(f"{path}: cannot be read ({error.strerror})") from None


def read_bytes(
    data: bytes,
    name: str,
    *,
    instrument: int | None = None,
    pedal: bool = True,
    reader: str | None = None,
) -> Notes:
    """Reads the notes of a MIDI file held in memory; `name` is what errors call it. See `read`."""
    instruments = _parse(data, name, reader)
    if instrument is not None:
        if not 0 <= instrument < len(instruments):
            raise MidiError(f"{name}: has no instrument {instrument}, only {len(instruments)} (counted from 0)")
        instruments = [instruments[instrument]]
    try:
        notes = notes_of_instruments(instruments, pedal=pedal, drums=instrument is not None)
    except ArgumentError as error:
        raise MidiError(f"{name}: holds impossible notes ({error})") from None
    if not len(notes):
        drums = sum(len(each.start) for each in instruments if each.is_drum)
        raise MidiError(f"{name}: has no notes" + (f" but {drums} of drums" if drums else ""))
    if notes.seconds > LONGEST_SECONDS:
        raise MidiError(f"{name}: lasts {notes.seconds / 3600:.0f} hours, more than {LONGEST_SECONDS / 3600:.0f}")
    return notes


def _parse(data: bytes, name: str, reader: str | None) -> list[Instrument]:
    reader = reader or default_reader()
    if reader not in READERS:
        raise ArgumentError(f"{reader}: no such reader; there are {', '.join(READERS)}")
    parse = READERS[reader]
    if len(data) > LARGEST_BYTES:
        raise MidiError(f"{name}: has more than {LARGEST_BYTES:,} bytes, and so may have over ten million events")
    if data[:4] == b"MThd" and data[12:13] >= b"\x80":
        raise MidiError(f"{name}: counts its time in SMPTE frames; only files that count in quarter notes are read")
    try:
        return parse(data)
    except ImportError:
        raise MissingPackageError(f"the reader {reader} is not installed; run: pip install {reader}") from None
    except Exception as error:  # each library raises seven types and more, and the next version may raise others
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise MidiError(f"{name}: not a MIDI file that can be read ({reason})") from None


def notes_of_instruments(instruments: list[Instrument], *, pedal: bool, drums: bool = False) -> Notes:
    """Merges instruments into one performance, each with its own sustain pedal; drums only if `drums`."""
    heard = [instrument for instrument in instruments if drums or not instrument.is_drum]
    if not heard:
        return Notes.empty()
    ends = [sustained_ends(instrument) if pedal else instrument.end for instrument in heard]
    start = np.concatenate([instrument.start for instrument in heard])
    notes = Notes(
        start,
        np.concatenate([instrument.pitch for instrument in heard]),
        np.concatenate(ends) - start,
        np.concatenate([instrument.velocity for instrument in heard]),
    )
    return notes.restruck() if pedal else notes


def sustained_ends(instrument: Instrument) -> NDArray[np.float64]:
    """When each note of an instrument falls silent, in seconds, with its sustain pedal (down from 64 on) heard.

    A note released while the pedal is down lasts until the pedal lifts; a pedal that never lifts does so with the last
    release. Strikes of the same key are not looked at here: see `Notes.restruck`.
    """
    end = instrument.end
    is_down = instrument.sustain_value >= 64
    changes = np.flatnonzero(np.diff(is_down, prepend=False))
    if not len(changes) or not len(end):
        return end
    times = instrument.sustain_time[changes]
    down, up = times[0::2], times[1::2]
    if len(up) < len(down):
        up = np.append(up, max(end.max(), down[-1]))
    span = np.searchsorted(down, end, side="right") - 1
    held = (span >= 0) & (end < up[span])
    return np.where(held, up[span], end)


def write(notes: Notes, path: str | os.PathLike[str], *, program: int = 0) -> None:
    """Writes a MIDI file of one instrument, by default the acoustic grand piano, with a tick of one millisecond.

    A key that is struck while it still sounds ends its former note there, since MIDI cannot say otherwise.
    """
    with written_beside(path) as temporary:
        notes.restruck().to_pretty_midi(program).write(str(temporary))
