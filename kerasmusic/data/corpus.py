"""Corpus: the fields of many performances in one memory-mapped array, built once from folders or zips of MIDI files.

A source's corpus is a folder of its own in the user's cache, named by a hash of everything it was made of: the files,
the codec and the pedal rule. It is built in a folder beside and renamed, so it is whole or not there. Where a source
has changed, the fields of unchanged files are copied from its former corpus, only the other files are read, and the
former corpus is removed. The performances are in the order of their names, so that a grown corpus is the same as one
built anew. The corpus of several sources is a folder too, with the fields of one source after those of another.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, STEP, NoteCodec
from kerasmusic.data.reader_pool import encode_files
from kerasmusic.data.sources import SPLITS, SourceListing, join_licences, list_source
from kerasmusic.errors import CorpusError
from kerasmusic.files import atomic_folder
from kerasmusic.midi import read_bytes

FORMAT = 3
# Another process that builds a corpus of the same source may put its own in the place just when this one looks.
TRIES = 3
# What a killed builder left is as old; one that is at work has written to its own within that time.
LEFTOVER_SECONDS = 24 * 3600
HEADER_BYTES = 128


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
        roots: the folders or zips it was made of.
        pedal: whether the sustain pedal was heard.
        licence: what models trained on it are under, where that is known.
        path: the folder it is kept in.
        empty: for each split without performances, why it has none.
        parts: where it is of several sources, the corpus of each.
    """

    fields: NDArray[np.int16]
    bounds: NDArray[np.int64]
    names: list[str]
    splits: list[str]
    codec: NoteCodec
    skipped: dict[str, str]
    absent: list[str]
    roots: list[Path]
    pedal: bool
    licence: str
    path: Path
    empty: dict[str, str]
    parts: list[Corpus]

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
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    codec: NoteCodec | None = None,
    pedal: bool = True,
    cache: str | os.PathLike[str] | None = None,
    rebuild: bool = False,
    strict: bool = False,
) -> Corpus:
    """Opens the corpus of a folder or a zip of MIDI files, or of several, building what is not in the cache yet.

    Args:
        source: the folder or zip; or several, each of which keeps its own splits. The names of what is in them then
            begin with their own.
        codec: how notes become fields; `NoteCodec()` by default.
        pedal: whether the sustain pedal lengthens notes; see `kerasmusic.midi`.
        cache: the folder that holds built corpora; by default one in the user's cache folder.
        rebuild: build it even if it is there, and read every file.
        strict: take no corpus that lacks a file.

    Raises:
        CorpusError: there is no such source, it is named twice, or no file in it could be read; with `strict`, or any
            could not.
    """
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    roots = [Path(each).resolve() for each in sources]
    if not roots:
        raise CorpusError("no source is named; a corpus is made of a folder or a zip of MIDI files, or of several")
    for index, root in enumerate(roots):
        if root in roots[:index]:
            raise CorpusError(f"{sources[index]}: named twice; name each source once")
    place = Path(cache or default_cache())
    parts = [_open_one(Path(each), codec or NoteCodec(), pedal, place, rebuild, strict) for each in sources]
    return parts[0] if len(parts) == 1 else _open_joined(parts, place, rebuild)


def _open_one(root: Path, codec: NoteCodec, pedal: bool, cache: Path, rebuild: bool, strict: bool) -> Corpus:
    listing = list_source(root)
    keys = _keys(listing)
    recipe = json.dumps({"format": FORMAT, "codec": codec.to_json(), "pedal": pedal}, sort_keys=True).encode()
    kind = _digest(recipe, os.fsencode(root.resolve()))[:8]
    place = cache / f"{kind}-{_digest(recipe, keys.tobytes())}"
    corpus = None if rebuild else _load(place, listing, keys)
    for _ in range(TRIES):
        if corpus is None:
            former = None if rebuild else _former(cache, kind)
            _build(listing, keys, codec, pedal, place, former)
            del former
            _remove_others(place, kind)
            corpus = _load(place, listing, keys)
    if corpus is None:
        raise _unsound(place)
    if strict and corpus.skipped:
        raise CorpusError(
            f"{root}: {len(corpus.skipped)} of {len(corpus.skipped) + len(corpus.names)} files cannot be read; the "
            f"first: {next(iter(corpus.skipped.values()))}; without --strict the others are used"
        )
    return corpus


def _open_joined(parts: list[Corpus], cache: Path, rebuild: bool) -> Corpus:
    kind = _digest(*(part.path.name.split("-")[0].encode() for part in parts))[:8]
    place = cache / f"{kind}-{_digest(*(part.path.name.encode() for part in parts))}"
    bounds = _bounds_of(np.concatenate([np.diff(part.bounds) for part in parts]))
    fields = None if rebuild else _load_fields(place, int(bounds[-1]))
    for _ in range(TRIES):
        if fields is None:
            with atomic_folder(place) as beside, _FieldsFile(beside / "fields.npy") as file:
                for part in parts:
                    file.write(part.fields)
            _remove_others(place, kind)
            fields = _load_fields(place, int(bounds[-1]))
    if fields is None:
        raise _unsound(place)
    labels = _labels([part.roots[0] for part in parts])
    labelled = list(zip(labels, parts, strict=True))
    return Corpus(
        fields=fields,
        bounds=bounds,
        names=[f"{label}/{name}" for label, part in labelled for name in part.names],
        splits=[split for part in parts for split in part.splits],
        codec=parts[0].codec,
        skipped={f"{label}/{name}": f"{label}/{why}" for label, part in labelled for name, why in part.skipped.items()},
        absent=[f"{label}/{name}" for label, part in labelled for name in part.absent],
        roots=[part.roots[0] for part in parts],
        pedal=parts[0].pedal,
        licence=join_licences(*(part.licence for part in parts)),
        path=place,
        empty={
            split: "; ".join(part.empty[split] for part in parts)
            for split in SPLITS
            if all(split in part.empty for part in parts)
        },
        parts=parts,
    )


def _labels(roots: list[Path]) -> list[str]:
    """A name for each source, which no other has.

    >>> _labels([Path("a/music.zip"), Path("b/music.zip"), Path("c")])
    ['music.zip', 'music.zip (2)', 'c']
    """
    labels: list[str] = []
    for root in roots:
        name, number = root.resolve().name, 2
        label = name
        while label in labels:
            label, number = f"{name} ({number})", number + 1
        labels.append(label)
    return labels


def default_cache() -> Path:
    """The folder in the user's cache that holds corpora."""
    from platformdirs import user_cache_path

    return user_cache_path("kerasmusic") / "corpora"


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _keys(listing: SourceListing) -> NDArray[np.uint64]:
    """uint64 `[files]`: a hash of each file's name and mark, by which a former corpus knows it.

    That two of a million files have the same is as likely as 3 in 100 million.
    """
    marks = memoryview(listing.marks.tobytes())
    width = listing.marks.itemsize * 2
    hashes = (
        hashlib.blake2b(os.fsencode(name) + marks[index * width : (index + 1) * width], digest_size=8).digest()
        for index, name in enumerate(listing.names)
    )
    return np.fromiter((int.from_bytes(each, "little") for each in hashes), np.uint64, len(listing.names))


def _bounds_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _unsound(place: Path) -> CorpusError:
    return CorpusError(f"{place}: holds no whole corpus, though it was built just now; is the disk sound?")


@dataclass(frozen=True)
class _Kept:
    """The contents of a corpus's folder.

    Args:
        fields: int16 `[n, 4]`.
        keys: uint64 `[files]`, of all files of the source.
        ends: int64 `[files]`, the index past each file's last note; one that could not be read has none.
        skipped: for each file that could not be read, why.
    """

    fields: NDArray[np.int16]
    keys: NDArray[np.uint64]
    ends: NDArray[np.int64]
    skipped: dict[str, str]


def _read_kept(place: Path) -> _Kept | None:
    """Loads the contents of a folder; None where there is none, or not a whole one."""
    try:
        skipped = json.loads((place / "corpus.json").read_text())["skipped"]
        index = np.load(place / "index.npy")
        keys, ends = index[:, 0].copy(), index[:, 1].astype(np.int64)
        fields = _load_fields(place, int(ends[-1]))
        whole = int((np.diff(ends, prepend=0) == 0).sum()) == len(skipped)
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError):
        return None
    return None if fields is None or not whole else _Kept(fields, keys, ends, skipped)


def _load_fields(place: Path, notes: int) -> NDArray[np.int16] | None:
    try:
        fields: NDArray[np.int16] = np.load(place / "fields.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return fields if fields.shape == (notes, len(FIELDS)) else None


def _load(place: Path, listing: SourceListing, keys: NDArray[np.uint64]) -> Corpus | None:
    """The corpus in a folder; None where there is none, or not a whole one."""
    kept = _read_kept(place)
    if kept is None or not np.array_equal(kept.keys, keys):
        return None
    record = json.loads((place / "corpus.json").read_text())
    lengths = np.diff(kept.ends, prepend=0)
    names = [name for name in listing.names if name not in kept.skipped]
    splits = listing.assign_splits(names)
    return Corpus(
        fields=kept.fields,
        bounds=_bounds_of(lengths[lengths > 0]),
        names=names,
        splits=splits,
        codec=NoteCodec.from_json(record["codec"]),
        skipped={**listing.unreadable, **kept.skipped},
        absent=listing.absent,
        roots=[listing.root],
        pedal=record["pedal"],
        licence=listing.licence,
        path=place,
        empty=_why_empty(listing, splits),
        parts=[],
    )


def _why_empty(listing: SourceListing, splits: list[str]) -> dict[str, str]:
    """For each split that nothing is in, a reason."""
    listed = Counter() if listing.official is None else Counter(listing.official[name] for name in listing.names)
    found = set(splits)
    reasons = {}
    for split in SPLITS:
        if split in found:
            continue
        if listed[split]:
            reason = f"none of the {listed[split]} files that its csv puts there can be read"
        elif listing.official is not None:
            reason = "its csv puts none of its files there"
        elif split == "validation":
            reason = "a single performance can be read, and one alone is not split"
        else:
            reason = "files that no csv splits are for training and validation"
        reasons[split] = f"{listing.root.resolve().name}: {reason}"
    return reasons


def _former(cache: Path, kind: str) -> _Kept | None:
    """Finds the corpus of the same source as it was before."""
    return next((kept for place in sorted(cache.glob(f"{kind}-*")) if (kept := _read_kept(place))), None)


def _remove_others(place: Path, kind: str) -> None:
    """Removes corpora of the same source as it was before, and what killed builders left.

    They are as large as the corpus, and nobody looks for them again; who has one open reads it to the end.
    """
    for other in place.parent.glob(f"{kind}-*"):
        if other != place and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
    for leftover in place.parent.glob(f".{kind}-*"):
        with suppress(OSError):
            latest = max(file.stat().st_mtime for file in (leftover, *leftover.iterdir()))
            if time.time() - latest > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


class _FieldsFile:
    """Writes fields to an .npy file as they come; its header says at the end how many there are."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.file.write(bytes(HEADER_BYTES))
        self.notes = 0

    def write(self, fields: NDArray[np.int16]) -> None:
        self.file.write(np.ascontiguousarray(fields).data.cast("B"))
        self.notes += len(fields)

    def __enter__(self) -> _FieldsFile:
        return self

    def __exit__(self, *raised: object) -> None:
        descr = np.lib.format.dtype_to_descr(np.dtype(np.int16))
        header = repr({"descr": descr, "fortran_order": False, "shape": (self.notes, len(FIELDS))})
        magic = np.lib.format.magic(1, 0)
        length = HEADER_BYTES - len(magic) - 2
        with self.file:
            self.file.seek(0)
            self.file.write(magic + length.to_bytes(2, "little") + f"{header:<{length - 1}}\n".encode())


def _build(
    listing: SourceListing, keys: NDArray[np.uint64], codec: NoteCodec, pedal: bool, place: Path, former: _Kept | None
) -> None:
    known = _known(keys, former)
    new = [name for name, index in zip(listing.names, known.tolist(), strict=True) if index < 0]
    outcomes = encode_files(listing.root, new, functools.partial(encode_performance, codec=codec, pedal=pedal))
    # Files are read in the order of their names, but a short one is done before a long one that came before it.
    early: dict[str, NDArray[np.int16] | str] = {}
    ends = np.zeros(len(keys), np.uint64)
    skipped: dict[str, str] = {}
    with atomic_folder(place) as beside:
        with _FieldsFile(beside / "fields.npy") as file, closing(outcomes):
            for index, name in enumerate(listing.names):
                outcome: NDArray[np.int16] | str
                if former is not None and known[index] >= 0:
                    outcome = former.skipped.get(name) or _slice(former, int(known[index]))
                else:
                    while name not in early:
                        done, what = next(outcomes)
                        early[done] = what
                    outcome = early.pop(name)
                if isinstance(outcome, str):
                    skipped[name] = outcome
                else:
                    file.write(outcome)
                ends[index] = file.notes
        if not file.notes:
            first = next(iter(skipped.values()))
            raise CorpusError(f"{listing.root}: none of its {len(keys)} MIDI files can be read; the first: {first}")
        np.save(beside / "index.npy", np.stack([keys, ends], axis=1))
        record: dict[str, Any] = {"codec": codec.to_json(), "pedal": pedal, "skipped": skipped}
        (beside / "corpus.json").write_text(json.dumps(record))


def _known(keys: NDArray[np.uint64], former: _Kept | None) -> NDArray[np.int64]:
    """int64 `[files]`: where each file is in a former corpus, -1 where it is not."""
    if former is None:
        return np.full(len(keys), -1, np.int64)
    order = np.argsort(former.keys)
    place = np.minimum(np.searchsorted(former.keys, keys, sorter=order), len(order) - 1)
    return np.where(former.keys[order[place]] == keys, order[place], -1)


def _slice(kept: _Kept, index: int) -> NDArray[np.int16]:
    return kept.fields[kept.ends[index - 1] if index else 0 : kept.ends[index]]


def encode_performance(data: bytes, name: str, *, codec: NoteCodec, pedal: bool) -> NDArray[np.int16]:
    """The fields of a MIDI file's bytes, int16 `[n, 4]`, from its first note on."""
    return codec.encode(read_bytes(data, name, pedal=pedal).without_leading_silence()).astype(np.int16)
