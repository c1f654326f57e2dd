"""Times reading MIDI files as training data, against a pretty_midi loop: `kerasmusic bench ingest --help`.

Both read the same files from one zip, each in its own process. As in TensorFlow's tutorial, the loop parses a file with
pretty_midi and makes columns of its first instrument's notes. The corpus does more (all instruments, the pedal, the
codec, arrays on disk) and uses all cores.
"""

from __future__ import annotations

import importlib.util
import io
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasmusic.bench import machine, records
from kerasmusic.bench.processes import in_fresh_process, peak_memory
from kerasmusic.errors import MissingPackageError

#: The numbers of files to read; 0 means all.
FILES = (100, 300, 0)
SHORT = (10,)


def measure(data: str, counts: Sequence[int] = FILES) -> dict[str, Any]:
    """The record of reading each number of files of a folder or zip with both readers.

    Raises:
        CorpusError: the source does not exist, or holds no MIDI file.
        MissingPackageError: pretty_midi is not installed.
    """
    if not importlib.util.find_spec("pretty_midi"):
        raise MissingPackageError("the other reader of this benchmark is pretty_midi; run: pip install pretty_midi")
    record = records.new_record("ingest", {"data": Path(data).name, "files": list(counts)})
    record["machine"], record["before"] = machine.describe_machine(), machine.read_sensors()
    record["results"] = [compare_readers(data, count) for count in counts]
    record["after"] = machine.read_sensors()
    # For few files, starting processes takes most of the time, so the target is for the whole corpus.
    record["targets"] = [
        records.target("the whole corpus against a pretty_midi loop, times", result["times_faster"], at_least=40)
        for count, result in zip(counts, record["results"], strict=True)
        if not count
    ]
    return record


def compare_readers(data: str, count: int) -> dict[str, Any]:
    """Seconds and peak memory of both readers, for `count` files spread evenly over the source."""
    from kerasmusic.data.sources import open_source

    source = open_source(data)
    names = source.list_files().names
    names = names[:: max(1, len(names) // count)][:count] if count else names
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        selection = str(Path(folder, "selection.zip"))
        with zipfile.ZipFile(selection, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in source.read(names):
                if isinstance(content, bytes):
                    archive.writestr(name, content)
        corpus = in_fresh_process(__name__, "build_corpus", source=selection, cache=folder)
        loop = in_fresh_process(__name__, "read_with_pretty_midi", source=selection)
    return {
        "files": len(names),
        "corpus_seconds": corpus["seconds"],
        "corpus_memory_bytes": corpus["memory"],
        "corpus_notes": corpus["notes"],
        "pretty_midi_seconds": loop["seconds"],
        "pretty_midi_memory_bytes": loop["memory"],
        "pretty_midi_notes": loop["notes"],
        "times_faster": loop["seconds"] / corpus["seconds"],
    }


def build_corpus(source: str, cache: str) -> dict[str, Any]:
    """Builds the corpus of a zip in the given cache."""
    began = time.perf_counter()
    from kerasmusic.data.corpus import open_corpus

    corpus = open_corpus(source, cache=cache)
    return {"seconds": time.perf_counter() - began, "memory": peak_memory(), "notes": len(corpus.fields)}


def read_with_pretty_midi(source: str) -> dict[str, Any]:
    """Reads the files of a zip one by one, as columns of pitch, start, end, step and duration."""
    began = time.perf_counter()
    import numpy as np
    import pretty_midi

    pieces = []
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            midi = pretty_midi.PrettyMIDI(io.BytesIO(archive.read(name)))
            notes = sorted(midi.instruments[0].notes, key=lambda note: note.start)
            start = np.array([note.start for note in notes])
            end = np.array([note.end for note in notes])
            pitch = np.array([note.pitch for note in notes])
            pieces.append(np.stack([pitch, start, end, np.diff(start, prepend=start[:1]), end - start], axis=1))
    columns = np.concatenate(pieces)
    return {"seconds": time.perf_counter() - began, "memory": peak_memory(), "notes": len(columns)}
