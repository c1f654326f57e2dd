"""Descriptions of model and MIDI files, read without loading weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic import midi
from kerasmusic.codec import NoteCodec
from kerasmusic.commands.command import length
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import ArgumentError, KerasMusicError, ModelFileError, printable
from kerasmusic.general_midi import PROGRAMS
from kerasmusic.midi_channels import Instrument
from kerasmusic.models.keras_file import read_keras_config
from kerasmusic.notes import Notes
from kerasmusic.opening import KERAS, KINDS, TFLITE
from kerasmusic.pitch_names import NAMES, pitch_name

FIRST_NOTES = 10


def describe(path: Path, instrument: int | None = None) -> list[str]:
    """Describes a `.tflite`, a `.keras` or a MIDI file in lines of text; of a MIDI file, `instrument` alone.

    Raises:
        KerasMusicError: it is none of these, or cannot be read.
    """
    if not path.exists():
        raise KerasMusicError(f"{path}: no such file")
    kind = KINDS.get(path.suffix)
    if instrument is not None and kind:
        raise ArgumentError(f"{instrument}: --instrument is for MIDI files, and {path} is a model")
    if kind is TFLITE:
        lines = _describe_tflite(path)
    elif kind is KERAS:
        lines = _describe_keras(path)
    else:
        # Whatever its name: if it is no MIDI file either, the reader's error says so.
        lines = _describe_midi(path, instrument)
    try:
        return [printable(line) for line in lines]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ModelFileError(f"{path}: its record is not one that kerasmusic wrote; export or train it again") from None


def summary(path: Path, instrument: int | None = None) -> dict[str, Any]:
    """Describes a file in JSON values: a model file's metadata, or a summary of a MIDI file's notes and instruments.

    Raises:
        KerasMusicError: as `describe`.
    """
    kind = KINDS.get(path.suffix)
    if kind is None:
        return _summary_of_midi(path, instrument)
    describe(path, instrument)
    found: dict[str, Any] = {"file": str(path), "bytes": path.stat().st_size}
    if kind is TFLITE:
        record = read_record(read_model_bytes(path), str(path))
        return {**found, **{name: value for name, value in record.items() if name != "golden"}}
    keras_file = read_keras_config(path)
    return {**found, "class": keras_file.model, **keras_file.config}


def _summary_of_midi(path: Path, instrument: int | None) -> dict[str, Any]:
    data = midi.file_bytes(path)
    instruments = midi.parse_instruments(data, str(path))
    notes = midi.select_notes(instruments, str(path), instrument=instrument)
    return {
        "file": str(path),
        "bytes": len(data),
        "notes": len(notes),
        "seconds": notes.seconds,
        "pitch": [int(notes.pitch.min()), int(notes.pitch.max())],
        "velocity": [int(notes.velocity.min()), int(notes.velocity.max())],
        "pedal": any(each.has_pedal for each in _melodic(instruments, instrument)),
        "instruments": [
            {
                "instrument": number,
                "program": _program_name(each),
                "program_number": each.program,
                "track": each.name,
                "channel": each.channel + 1,
                "drums": each.is_drum,
                "pedal": each.has_pedal,
                "notes": len(each.start),
            }
            for number, each in enumerate(instruments)
        ],
    }


def _melodic(instruments: list[Instrument], instrument: int | None) -> list[Instrument]:
    """The instruments that are described: the chosen one, or all but drums."""
    return [each for each in instruments if not each.is_drum] if instrument is None else [instruments[instrument]]


def _describe_tflite(path: Path) -> Iterator[str]:
    data = read_model_bytes(path)
    record = read_record(data, str(path))
    yield f"{path}: a model of notes for TFLite, {len(data):,} bytes, {record['precision']}"
    yield f"preset      {record['preset']}, {record['parameters']:,} parameters, a state of {record['state_size']}"
    yield from _describe_styles(record.get("styles", {}))
    yield from _describe_record(record["training"], NoteCodec.from_json(record["codec"]))
    yield f"runtime     TFLite {record.get('runtime', 'unknown')} or newer: ai-edge-litert, tflite-runtime, LiteRT.js"
    operators = record["operators"]
    yield f"operators   {sum(count for _, _, count in operators)} of {len(operators)} kinds: " + ", ".join(
        f"{name} (version {version}) x {count}" for name, version, count in operators
    )


def _describe_keras(path: Path) -> Iterator[str]:
    name, config, _ = read_keras_config(path)
    yield f"{path}: a model of notes for Keras, {path.stat().st_size:,} bytes, {name}"
    yield f"preset      {config['preset']}"
    yield from _describe_styles(config.get("styles", ()))
    yield from _describe_record(config["record"], NoteCodec.from_json(config["codec"]))


def _describe_styles(names: Collection[str]) -> Iterator[str]:
    if names:
        yield f"styles      {', '.join(names)}"


def _describe_record(record: dict[str, Any], codec: NoteCodec) -> Iterator[str]:
    sizes = ", ".join(f"{field} {size}" for field, size in codec.sizes._asdict().items())
    yield f"codec       values by field: {sizes}"
    if record:
        known = [f", {record[unit]:,} {unit}" for unit in ("passes", "steps", "notes", "minutes") if unit in record]
        yield f"trained     on {record.get('source')} by {record.get('backend')}{''.join(known)}"
        settings = [f"{name} {value}" for name, value in record.get("settings", {}).items() if value is not None]
        if settings:
            yield f"settings    {', '.join(settings)}"
    yield f"licence     {record.get('licence', 'not recorded')}"


def _describe_midi(path: Path, instrument: int | None) -> Iterator[str]:
    instruments = midi.read_instruments(path)
    notes = midi.select_notes(instruments, str(path), instrument=instrument)
    chosen = _melodic(instruments, instrument)
    applied = ", the sustain pedal applied" if any(each.has_pedal for each in chosen) else ""
    yield f"{path}: {_count(len(notes), 'note')} in {length(notes.seconds)}{applied}"
    for number, each in enumerate(instruments):
        named = f" '{each.name.strip()}'" if each.name.strip() else ""
        pedal = ", sustain pedal" if each.has_pedal else ""
        left_out = "" if any(each is one for one in chosen) else ", left out"
        start = "instruments" if number == 0 else ""
        yield (
            f"{start:<11} {number}: {_program_name(each)}{named}, channel {each.channel + 1}, "
            f"{_count(len(each.start), 'note')}{pedal}{left_out}"
        )
    lowest, highest = int(notes.pitch.min()), int(notes.pitch.max())
    yield f"pitch       {pitch_name(lowest)} to {pitch_name(highest)} ({lowest} to {highest})"
    yield f"names       {_commonest_names(notes)}"
    yield f"velocity    {notes.velocity.min()} to {notes.velocity.max()}, half of them {_middle_half(notes.velocity)}"
    yield f"duration    {_middle_half(notes.duration, ' s')} for half of the notes"
    yield f"step        {_middle_half(notes.step, ' s')} for half of the notes"
    yield f"{'start [s]':>9} {'step [s]':>8} {'pitch':>9} {'duration [s]':>12} {'velocity':>8}"
    first = notes[:FIRST_NOTES]
    for note, step in zip(first, first.step.tolist(), strict=True):
        pitch = f"{pitch_name(note.pitch)} ({note.pitch})"
        yield f"{note.start:>9.3f} {step:>8.3f} {pitch:>9} {note.duration:>12.3f} {note.velocity:>8}"
    if len(notes) > FIRST_NOTES:
        yield f"... and {_count(len(notes) - FIRST_NOTES, 'note')} more"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _program_name(instrument: Instrument) -> str:
    return "drums" if instrument.is_drum else PROGRAMS[instrument.program]


def _commonest_names(notes: Notes) -> str:
    """The names of the pitch classes and their shares, the most common first."""
    counts = np.bincount(notes.pitch % 12, minlength=12)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{NAMES[index]} {counts[index] / len(notes):.0%}" for index in order if counts[index])


def _middle_half(values: NDArray[Any], unit: str = "") -> str:
    low, high = np.percentile(values, [25, 75])
    digits = 2 if unit else 0
    return f"{low:.{digits}f} to {high:.{digits}f}{unit}"
