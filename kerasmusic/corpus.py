"""Corpus: the fields of many performances in one memory-mapped array, built once from a folder or a zip of MIDI files.

A corpus is a folder of its own in the user's cache, named by a hash of everything it was made of: the files, the codec
and the pedal rule. It is built in a folder beside and renamed, so it is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import NoteCodec
from kerasmusic.errors import CorpusError, MidiError
from kerasmusic.midi import read_bytes
from kerasmusic.sources import SPLITS, Listing, list_source, read_members

FORMAT = 1
FILES_A_TASK = 24


@dataclass(frozen=True)
class Corpus:
    """Performances as fields, with their splits.

    Args:
        fields: int16 `[n, 4]`, all performances one after another, memory-mapped.
        bounds: int64 `[pieces + 1]`, where each performance begins in `fields`, and where the last one ends.
        names: the file name of each performance.
        splits: "train", "validation" or "test" for each performance.
        codec: what the fields mean.
        skipped: for each file that could not be read, why.
        absent: files that the source's table lists but that were not there.
        root: the folder or zip it was made of.
        pedal: whether the sustain pedal was heard.
        licence: what models trained on it are under, where that is known.
        path: the folder it is kept in.
    """

    fields: NDArray[np.int16]
    bounds: NDArray[np.int64]
    names: list[str]
    splits: list[str]
    codec: NoteCodec
    skipped: dict[str, str]
    absent: list[str]
    root: Path
    pedal: bool
    licence: str
    path: Path

    def pieces(self, split: str) -> NDArray[np.int64]:
        """int64 `[pieces, 2]`: for each performance of a split, its first note's index and the index past its last."""
        if split not in SPLITS:
            raise CorpusError(f"{split}: no such split; there are {', '.join(SPLITS)}")
        chosen = np.array([piece_split == split for piece_split in self.splits], bool)
        return np.stack([self.bounds[:-1], self.bounds[1:]], axis=1)[chosen]

    def performances(self, split: str) -> Iterator[NDArray[np.int16]]:
        """Yields the fields `[notes, 4]` of each performance of a split."""
        for start, end in self.pieces(split):
            yield self.fields[start:end]

    def summary(self) -> dict[str, dict[str, float]]:
        """For each split: its performances, notes and hours."""
        ticks = self.codec.step_ticks
        return {
            split: {
                "performances": len(pieces),
                "notes": int((pieces[:, 1] - pieces[:, 0]).sum()),
                "hours": sum(int(ticks[self.fields[a:b, 0]].sum()) for a, b in pieces) / 360_000,
            }
            for split in SPLITS
            if len(pieces := self.pieces(split))
        }


def open_corpus(
    source: str | os.PathLike[str],
    *,
    codec: NoteCodec | None = None,
    pedal: bool = True,
    cache: str | os.PathLike[str] | None = None,
    rebuild: bool = False,
) -> Corpus:
    """Opens the corpus of a folder or a zip of MIDI files, building it where it is not in the cache yet.

    Args:
        source: the folder or zip.
        codec: how notes become fields; `NoteCodec()` by default.
        pedal: whether the sustain pedal lengthens notes; see `kerasmusic.midi`.
        cache: the folder that holds built corpora; by default one in the user's cache folder.
        rebuild: build it even if it is there.

    Raises:
        CorpusError: there is no such source, or no file in it could be read.
    """
    codec = codec or NoteCodec()
    listing = list_source(source)
    recipe = {"format": FORMAT, "codec": codec.to_json(), "pedal": pedal, "splits": listing.splits,
              "marks": listing.marks}  # fmt: skip
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    place = Path(cache or default_cache()) / digest
    if rebuild or not (place / "corpus.json").exists():
        _build(listing, codec, pedal, place)
    return _load(place, listing)


def default_cache() -> Path:
    """The folder in the user's cache that holds corpora."""
    from platformdirs import user_cache_path

    return user_cache_path("kerasmusic") / "corpora"


def _load(place: Path, listing: Listing) -> Corpus:
    record = json.loads((place / "corpus.json").read_text())
    return Corpus(
        fields=np.load(place / "fields.npy", mmap_mode="r"),
        bounds=np.load(place / "bounds.npy"),
        names=record["names"],
        splits=record["splits"],
        codec=NoteCodec.from_json(record["codec"]),
        skipped=record["skipped"],
        absent=listing.absent,
        root=listing.root,
        pedal=record["pedal"],
        licence=listing.licence,
        path=place,
    )


def _build(listing: Listing, codec: NoteCodec, pedal: bool, place: Path) -> None:
    names = list(listing.splits)
    encoded: dict[str, NDArray[np.int16]] = {}
    skipped: dict[str, str] = {}
    for name, outcome in _encode_all(listing.root, names, codec, pedal):
        if isinstance(outcome, str):
            skipped[name] = outcome
        else:
            encoded[name] = outcome
    if not encoded:
        first = next(iter(skipped.values()))
        raise CorpusError(f"{listing.root}: none of its {len(names)} MIDI files can be read; the first: {first}")
    lengths = [len(fields) for fields in encoded.values()]
    record: dict[str, Any] = {
        "names": list(encoded),
        "splits": [listing.splits[name] for name in encoded],
        "codec": codec.to_json(),
        "pedal": pedal,
        "skipped": skipped,
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
    try:
        np.save(beside / "fields.npy", np.concatenate(list(encoded.values())))
        np.save(beside / "bounds.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        (beside / "corpus.json").write_text(json.dumps(record))
        if place.exists():
            shutil.rmtree(place)
        os.replace(beside, place)
    except OSError:
        # Another process may have built the same corpus meanwhile; then its work serves as well.
        if not (place / "corpus.json").exists():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _encode_all(root: Path, names: Sequence[str], codec: NoteCodec, pedal: bool) -> Iterator[tuple[str, Any]]:
    """Encodes files in as many processes as there are processors, in order; shows a bar on a terminal."""
    from kerasmusic.progress import progress

    tasks = [list(names[i : i + FILES_A_TASK]) for i in range(0, len(names), FILES_A_TASK)]
    workers = min(os.cpu_count() or 1, len(tasks))
    with progress("reading MIDI", "file", len(names)) as bar:
        if workers == 1:
            for task in tasks:
                yield from _encode_files(root, task, codec, pedal)
                bar.update(len(task))
            return
        # Spawned, not forked: a training process may already hold threads that do not survive a fork.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(_encode_files, root, task, codec, pedal) for task in tasks]
            for future in futures:
                results = future.result()
                bar.update(len(results))
                yield from results


def _encode_files(root: Path, names: Sequence[str], codec: NoteCodec, pedal: bool) -> list[tuple[str, Any]]:
    """For each file its fields, int16 `[n, 4]`, or the reason why it could not be read."""
    outcomes: list[tuple[str, Any]] = []
    for name, data in read_members(root, names):
        if isinstance(data, str):
            outcomes.append((name, data))
            continue
        try:
            notes = read_bytes(data, name, pedal=pedal).from_first()
            outcomes.append((name, codec.encode(notes).astype(np.int16)))
        except MidiError as error:
            outcomes.append((name, str(error)))
    return outcomes
