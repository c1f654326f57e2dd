"""What a file is, in words, without loading more than it takes to say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasmusic import midi
from kerasmusic.codec import NoteCodec
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import KerasMusicError, ModelFileError, printable
from kerasmusic.runs import read_keras_config

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
    elif path.suffix.lower() in midi.SUFFIXES:
        lines = _describe_midi(path)
    else:
        raise KerasMusicError(f"{path}: neither a model (.tflite, .keras) nor a MIDI file ({', '.join(midi.SUFFIXES)})")
    try:
        return [printable(line) for line in lines]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ModelFileError(f"{path}: its record is not one that kerasmusic wrote; export or train it again") from None


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
    from kerasmusic.pitch_names import name_of_pitch

    notes = midi.read(path)
    lowest, highest = int(notes.pitch.min()), int(notes.pitch.max())
    yield f"{path}: {len(notes):,} notes in {notes.seconds:.1f} s, with the sustain pedal heard"
    yield f"pitch       {name_of_pitch(lowest)} to {name_of_pitch(highest)}"
    yield f"velocity    {notes.velocity.min()} to {notes.velocity.max()}"
    yield f"{'start [s]':>9} {'pitch':>6} {'duration [s]':>12} {'velocity':>8}"
    for note in notes[:FIRST_NOTES]:
        yield f"{note.start:>9.3f} {name_of_pitch(note.pitch):>6} {note.duration:>12.3f} {note.velocity:>8}"
