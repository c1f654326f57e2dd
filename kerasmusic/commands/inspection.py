"""What a file is, in words, without loading more than it takes to say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic import midi
from kerasmusic.codec import NoteCodec
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import KerasMusicError, ModelFileError, printable
from kerasmusic.general_midi import PROGRAMS
from kerasmusic.midi_channels import Instrument
from kerasmusic.models.keras_file import read_keras_config
from kerasmusic.notes import Notes
from kerasmusic.pitch_names import NAMES, name_of_pitch

FIRST_NOTES = 10


def describe(path: Path) -> list[str]:
    """Lines that say what a `.tflite`, a `.keras` or a MIDI file is.

    Raises:
        KerasMusicError: it is none of these, or cannot be read.
    """
    if not path.exists():
        raise KerasMusicError(f"{path}: no such file")
    if path.suffix == ".tflite":
        lines = _describe_tflite(path)
    elif path.suffix == ".keras":
        lines = _describe_keras(path)
    else:
        # Whatever its name: where it is no MIDI file either, the reader says what it is.
        lines = _describe_midi(path)
    try:
        return [printable(line) for line in lines]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ModelFileError(f"{path}: its record is not one that kerasmusic wrote; export or train it again") from None


def summary(path: Path) -> dict[str, Any]:
    """The same as JSON values: a model file's record, or what a MIDI file's notes come to.

    Raises:
        KerasMusicError: as `describe`.
    """
    describe(path)
    found: dict[str, Any] = {"file": str(path), "bytes": path.stat().st_size}
    if path.suffix == ".tflite":
        record = read_record(read_model_bytes(path), str(path))
        return {**found, **{name: value for name, value in record.items() if name != "golden"}}
    if path.suffix == ".keras":
        name, config = read_keras_config(path)
        return {**found, "class": name, **config}
    notes = midi.read(path)
    return {
        **found,
        "notes": len(notes),
        "seconds": notes.seconds,
        "pitch": [int(notes.pitch.min()), int(notes.pitch.max())],
        "velocity": [int(notes.velocity.min()), int(notes.velocity.max())],
    }


def _describe_tflite(path: Path) -> Iterator[str]:
    data = read_model_bytes(path)
    record = read_record(data, str(path))
    yield f"{path}: a model of notes for TFLite, {len(data):,} bytes, {record['precision']}"
    yield f"preset      {record['preset']}, {record['parameters']:,} parameters, a state of {record['state_size']}"
    yield from _describe_record(record["training"], NoteCodec.from_json(record["codec"]))
    yield f"runtime     TFLite {record.get('runtime', 'unknown')} or newer: ai-edge-litert, tflite-runtime, LiteRT.js"
    operators = record["operators"]
    yield f"operators   {sum(count for _, _, count in operators)} of {len(operators)} kinds: " + ", ".join(
        f"{name} (version {version}) x {count}" for name, version, count in operators
    )


def _describe_keras(path: Path) -> Iterator[str]:
    name, config = read_keras_config(path)
    yield f"{path}: a model of notes for Keras, {path.stat().st_size:,} bytes, {name}"
    yield f"preset      {config['preset']}"
    yield from _describe_record(config["record"], NoteCodec.from_json(config["codec"]))


def _describe_record(record: dict[str, Any], codec: NoteCodec) -> Iterator[str]:
    sizes = ", ".join(f"{field} {size}" for field, size in codec.sizes._asdict().items())
    yield f"codec       values by field: {sizes}"
    if record:
        settings = {name: value for name, value in record.get("settings", {}).items() if value is not None}
        yield f"trained     on {record.get('source')} by {record.get('backend')}, {record.get('steps', 0):,} steps"
        yield "settings    " + ", ".join(f"{name} {value}" for name, value in settings.items())
    yield f"licence     {record.get('licence', 'not recorded')}"


def _describe_midi(path: Path) -> Iterator[str]:
    notes = midi.read(path)
    instruments = midi.read_instruments(path)
    yield f"{path}: {_count(len(notes), 'note')} in {_minutes(notes.seconds)}, with the sustain pedal heard"
    for number, instrument in enumerate(instruments):
        heard = ", not heard" if instrument.is_drum else ""
        pedal = ", with sustain pedal" if instrument.has_pedal else ""
        named = f" '{instrument.name.strip()}'" if instrument.name.strip() else ""
        start = "instruments" if number == 0 else ""
        yield (
            f"{start:<11} {number}: {_program_name(instrument)}{named}, {_count(len(instrument.start), 'note')}"
            f"{pedal}{heard}"
        )
    lowest, highest = int(notes.pitch.min()), int(notes.pitch.max())
    yield f"pitch       {name_of_pitch(lowest)} to {name_of_pitch(highest)} ({lowest} to {highest})"
    yield f"names       {_commonest_names(notes)}"
    yield f"velocity    {notes.velocity.min()} to {notes.velocity.max()}, half of them {_middle_half(notes.velocity)}"
    yield f"duration    {_middle_half(notes.duration, ' s')} for half of the notes"
    yield f"step        {_middle_half(notes.step, ' s')} for half of the notes"
    yield f"{'start [s]':>9} {'step [s]':>8} {'pitch':>9} {'duration [s]':>12} {'velocity':>8}"
    first = notes[:FIRST_NOTES]
    for note, step in zip(first, first.step.tolist(), strict=True):
        pitch = f"{name_of_pitch(note.pitch)} ({note.pitch})"
        yield f"{note.start:>9.3f} {step:>8.3f} {pitch:>9} {note.duration:>12.3f} {note.velocity:>8}"
    if len(notes) > FIRST_NOTES:
        yield f"... and {_count(len(notes) - FIRST_NOTES, 'note')} more"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _minutes(seconds: float) -> str:
    """Seconds, and from a minute on minutes and seconds too.

    >>> _minutes(7.25), _minutes(61.0)
    ('7.2 s', '61.0 s (1:01)')
    """
    whole = round(seconds)
    return f"{seconds:.1f} s" + (f" ({whole // 60}:{whole % 60:02})" if whole >= 60 else "")


def _program_name(instrument: Instrument) -> str:
    return "drums" if instrument.is_drum else PROGRAMS[instrument.program]


def _commonest_names(notes: Notes) -> str:
    """The names of the pitch classes, the commonest first, with their shares."""
    counts = np.bincount(notes.pitch % 12, minlength=12)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{NAMES[index]} {counts[index] / len(notes):.0%}" for index in order if counts[index])


def _middle_half(values: NDArray[Any], unit: str = "") -> str:
    low, high = np.percentile(values, [25, 75])
    digits = 2 if unit else 0
    return f"{low:.{digits}f} to {high:.{digits}f}{unit}"
