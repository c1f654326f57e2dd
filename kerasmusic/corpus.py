"""Corpus: the fields of many performances in one memory-mapped array, built once from a folder or a zip of MIDI files.

A corpus is a folder of its own in the user's cache, named by a hash of everything it was made of: the files, the codec
and the pedal rule. It is built in a folder beside and renamed, so it is whole or not there.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import STEP, NoteCodec
from kerasmusic.errors import CorpusError
from kerasmusic.files import folder_written_beside
from kerasmusic.midi import read_bytes
from kerasmusic.reading import encode_files
from kerasmusic.sources import SPLITS, Listing, list_source

FORMAT = 2
# Another process that builds the same corpus may put its own in the place just when this one looks.
TRIES = 3


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
                "hours": sum(int(ticks[self.fields[a:b, STEP]].sum()) for a, b in pieces) / 360_000,
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
    strict: bool = False,
) -> Corpus:
    """Opens the corpus of a folder or a zip of MIDI files, building it where it is not in the cache yet.

    Args:
        source: the folder or zip.
        codec: how notes become fields; `NoteCodec()` by default.
        pedal: whether the sustain pedal lengthens notes; see `kerasmusic.midi`.
        cache: the folder that holds built corpora; by default one in the user's cache folder.
        rebuild: build it even if it is there.
        strict: take no corpus that lacks a file.

    Raises:
        CorpusError: there is no such source, or no file in it could be read; with `strict`, or any could not.
    """
    codec = codec or NoteCodec()
    listing = list_source(source)
    recipe = {"format": FORMAT, "codec": codec.to_json(), "pedal": pedal, "splits": listing.splits,
              "marks": listing.marks}  # fmt: skip
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    place = Path(cache or default_cache()) / digest
    corpus = None if rebuild else _load(place, listing)
    for _ in range(TRIES):
        if corpus is None:
            _build(listing, codec, pedal, place)
            corpus = _load(place, listing)
    if corpus is None:
        raise CorpusError(f"{place}: holds no whole corpus, though it was built just now; is the disk sound?")
    if strict and corpus.skipped:
        raise CorpusError(
            f"{source}: {len(corpus.skipped)} of {len(listing.splits)} files cannot be read; the first: "
            f"{next(iter(corpus.skipped.values()))}; without --strict the others are used"
        )
    return corpus


def default_cache() -> Path:
    """The folder in the user's cache that holds corpora."""
    from platformdirs import user_cache_path

    return user_cache_path("kerasmusic") / "corpora"


def _load(place: Path, listing: Listing) -> Corpus | None:
    """The corpus in a folder; None where there is none, or not a whole one."""
    try:
        record = json.loads((place / "corpus.json").read_text())
        fields = np.load(place / "fields.npy", mmap_mode="r")
        bounds = np.load(place / "bounds.npy")
        whole = len(fields) == bounds[-1] and len(bounds) == len(record["names"]) + 1
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError):
        return None
    if not whole:
        return None
    return Corpus(
        fields=fields,
        bounds=bounds,
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
    encode = functools.partial(encode_performance, codec=codec, pedal=pedal)
    outcomes = dict(encode_files(listing.root, names, encode))
    skipped = {name: outcomes[name] for name in names if isinstance(outcomes[name], str)}
    encoded = {name: outcomes[name] for name in names if name not in skipped}
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
    with folder_written_beside(place) as beside:
        np.save(beside / "fields.npy", np.concatenate(list(encoded.values())))
        np.save(beside / "bounds.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        (beside / "corpus.json").write_text(json.dumps(record))


def encode_performance(data: bytes, name: str, *, codec: NoteCodec, pedal: bool) -> NDArray[np.int16]:
    """The fields of a MIDI file's bytes, int16 `[n, 4]`, from its first note on."""
    return codec.encode(read_bytes(data, name, pedal=pedal).from_first()).astype(np.int16)
