"""How fast MIDI files become training data, beside a loop of pretty_midi: `kerasmusic bench ingest --help`.

Both read the same files from one zip, each in a process of its own. The loop does what TensorFlow's tutorial does with
a file: it parses it with pretty_midi and makes columns of its first instrument's notes. The corpus does more (all
instruments, the pedal, the codec, arrays on the disk) and uses all cores.
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

#: How many files; 0 is all there are.
FILES = (100, 300, 0)
SHORT = (10,)


def measure(data: str, counts: Sequence[int] = FILES) -> dict[str, Any]:
    """The record of reading the first so many files of a folder or zip, both ways.

    Raises:
        CorpusError: there is no such source, or it holds no MIDI file.
        MissingPackageError: pretty_midi is not installed.
    """
    if not importlib.util.find_spec("pretty_midi"):
        raise MissingPackageError("the other reader of this benchmark is pretty_midi; run: pip install pretty_midi")
    record = records.new_record("ingest", {"data": Path(data).name, "files": list(counts)})
    record["machine"], record["before"] = machine.describe_machine(), machine.read_sensors()
    record["results"] = [read_both_ways(data, count) for count in counts]
    record["after"] = machine.read_sensors()
    # Of a few files the starting of processes is most of the time: what was hoped for is for the whole.
    record["targets"] = [
        records.target("the whole corpus against a pretty_midi loop, times", result["times_faster"], at_least=40)
        for count, result in zip(counts, record["results"], strict=True)
        if not count
    ]
    return record


def read_both_ways(data: str, count: int) -> dict[str, Any]:
    """Seconds and peak memory of the corpus and of the loop, for so many files that are spread over all."""
    from kerasmusic.sources import list_source, read_members

    listing = list_source(data)
    names = list(listing.splits)
    names = names[:: max(1, len(names) // count)][:count] if count else names
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        some = str(Path(place, "some.zip"))
        with zipfile.ZipFile(some, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in read_members(listing.root, names):
                if isinstance(content, bytes):
                    archive.writestr(name, content)
        ours = in_fresh_process(__name__, "build_corpus", source=some, cache=place)
        theirs = in_fresh_process(__name__, "read_as_the_tutorial_does", source=some)
    return {
        "files": len(names),
        "corpus_seconds": ours["seconds"],
        "corpus_memory_bytes": ours["memory"],
        "corpus_notes": ours["notes"],
        "pretty_midi_seconds": theirs["seconds"],
        "pretty_midi_memory_bytes": theirs["memory"],
        "pretty_midi_notes": theirs["notes"],
        "times_faster": theirs["seconds"] / ours["seconds"],
    }


def build_corpus(source: str, cache: str) -> dict[str, Any]:
    """Builds the corpus of a zip in a cache of its own."""
    began = time.perf_counter()
    from kerasmusic.corpus import open_corpus

    corpus = open_corpus(source, cache=cache)
    return {"seconds": time.perf_counter() - began, "memory": peak_memory(), "notes": len(corpus.fields)}


def read_as_the_tutorial_does(source: str) -> dict[str, Any]:
    """Reads the files of a zip one after another, into columns of pitch, start, end, step and duration."""
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
