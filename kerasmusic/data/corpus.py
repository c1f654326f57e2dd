"""Corpus: the fields of many performances in one memory-mapped array, built once from folders or zips of MIDI files.

The corpus of a source is a folder in the user's cache, named by a hash of all that it depends on: the files, the codec
and the pedal rule. It is written atomically. When a source has changed, the fields of unchanged files are copied from
the previous corpus, only the other files are read, and the previous corpus is deleted. Performances are sorted by name,
so that an updated corpus equals one that is built from scratch. The corpus of several sources is a folder with the
concatenated fields of theirs.
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
from kerasmusic.data.composers import composer_name
from kerasmusic.data.reader_pool import encode_files
from kerasmusic.data.sources import SPLITS, Source, SourceListing, join_licences, open_source
from kerasmusic.errors import CorpusError
from kerasmusic.files import atomic_folder
from kerasmusic.midi import read_bytes

FORMAT = 3
# Another process that builds the same corpus may be replacing the folder while this one reads it.
TRIES = 3
# Temporary folders older than this were left by killed builders; a running one writes to its own more often.
LEFTOVER_SECONDS = 24 * 3600
HEADER_BYTES = 128


@dataclass(frozen=True)
class Corpus:
    """Performances as fields, with their splits.

    Args:
        fields: int16 `[n, 4]`, the concatenated performances, memory-mapped.
        bounds: int64 `[pieces + 1]`, the index in `fields` at which each performance begins, and the end of the last.
        names: the file name of each performance.
        splits: "train", "validation" or "test" for each performance.
        codec: the codec that made the fields.
        skipped: the reason for each file that could not be read.
        absent: the files that the source's table lists but that do not exist.
        roots: the folders or zips that it was built from.
        pedal: whether the sustain pedal was applied.
        licence: the licence of models trained on it, if known.
        path: its folder in the cache.
        empty: the reason for each split without performances.
        parts: the corpora of its sources, if it has several.
        composers: the family name of each performance's composer; None where the source names none.
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
    composers: list[str | None]

    def pieces(self, split: str) -> NDArray[np.int64]:
        """int64 `[pieces, 2]`: the range in `fields`, start and end, of each performance of a split."""
        return np.stack([self.bounds[:-1], self.bounds[1:]], axis=1)[self._of(split)]

    def performances(self, split: str) -> Iterator[NDArray[np.int16]]:
        """Yields the fields `[notes, 4]` of each performance of a split."""
        for start, end in self.pieces(split):
            yield self.fields[start:end]

    def composers_of(self, split: str) -> list[str | None]:
        """The composer of each performance of a split, in the order of `pieces`."""
        return [self.composers[index] for index in self._of(split)]

    def notes_by_composer(self, split: str) -> dict[str, int]:
        """The number of notes of each known composer in a split, in the order of their names."""
        notes: Counter[str] = Counter()
        for composer, (start, end) in zip(self.composers_of(split), self.pieces(split).tolist(), strict=True):
            if composer is not None:
                notes[composer] += end - start
        return dict(sorted(notes.items()))

    def styles(self, notes: int) -> list[str]:
        """The composers of whom the training split has this many notes or more; none for 0."""
        return [name for name, count in self.notes_by_composer("train").items() if 0 < notes <= count]

    def _of(self, split: str) -> NDArray[np.int64]:
        """The indices of the performances of a split."""
        if split not in SPLITS:
            raise CorpusError(f"{split}: no such split; there are {', '.join(SPLITS)}")
        return np.array([index for index, each in enumerate(self.splits) if each == split], np.int64)

    def summary(self) -> dict[str, dict[str, float]]:
        """The numbers of performances, notes and hours of each split."""
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
    source: str | os.PathLike[str] | Source | Sequence[str | os.PathLike[str] | Source],
    *,
    codec: NoteCodec | None = None,
    pedal: bool = True,
    cache: str | os.PathLike[str] | None = None,
    rebuild: bool = False,
    strict: bool = False,
) -> Corpus:
    """Opens the corpus of one or several folders or zips of MIDI files; builds it if it is not in the cache.

    Args:
        source: a folder or zip, or a `Source`, or several of them. Each of several keeps its own splits, and its name
            becomes a prefix of the names of its files.
        codec: the codec that encodes the notes; by default `NoteCodec()`.
        pedal: whether the sustain pedal lengthens notes; see `kerasmusic.midi`.
        cache: the folder that holds corpora; by default one in the user's cache folder.
        rebuild: whether to read all files again even if the corpus is in the cache.
        strict: whether to fail if any file cannot be read.

    Raises:
        CorpusError: a source does not exist or is named twice, or none of its files can be read; with `strict`, any
            file cannot be read.
    """
    given = [source] if isinstance(source, str | os.PathLike | Source) else list(source)
    sources = [each if isinstance(each, Source) else open_source(each) for each in given]
    roots = [each.root.resolve() for each in sources]
    if not roots:
        raise CorpusError("no source is named; a corpus is made of a folder or a zip of MIDI files, or of several")
    for index, root in enumerate(roots):
        if root in roots[:index]:
            raise CorpusError(f"{sources[index].root}: named twice; name each source once")
    folder = Path(cache or default_cache())
    parts = [_open_one(each, codec or NoteCodec(), pedal, folder, rebuild, strict) for each in sources]
    return parts[0] if len(parts) == 1 else _open_joined(parts, folder, rebuild)


def _open_one(source: Source, codec: NoteCodec, pedal: bool, cache: Path, rebuild: bool, strict: bool) -> Corpus:
    root, listing = source.root, source.list_files()
    keys = _keys(listing)
    recipe = json.dumps({"format": FORMAT, "codec": codec.to_json(), "pedal": pedal}, sort_keys=True).encode()
    source_id = _digest(recipe, source.identity())[:8]
    folder = cache / f"{source_id}-{_digest(recipe, keys.tobytes())}"
    corpus = None if rebuild else _load(folder, listing, keys)
    for _ in range(TRIES):
        if corpus is None:
            previous = None if rebuild else _read_previous(cache, source_id)
            _build(source, listing, keys, codec, pedal, folder, previous)
            del previous
            _delete_others(folder, source_id)
            corpus = _load(folder, listing, keys)
    if corpus is None:
        raise _damaged(folder)
    if strict and corpus.skipped:
        raise CorpusError(
            f"{root}: {len(corpus.skipped)} of {len(corpus.skipped) + len(corpus.names)} files cannot be read; the "
            f"first: {next(iter(corpus.skipped.values()))}; without --strict the others are used"
        )
    return corpus


def _open_joined(parts: list[Corpus], cache: Path, rebuild: bool) -> Corpus:
    source_id = _digest(*(part.path.name.split("-")[0].encode() for part in parts))[:8]
    folder = cache / f"{source_id}-{_digest(*(part.path.name.encode() for part in parts))}"
    bounds = _bounds_of(np.concatenate([np.diff(part.bounds) for part in parts]))
    fields = None if rebuild else _load_fields(folder, int(bounds[-1]))
    for _ in range(TRIES):
        if fields is None:
            with atomic_folder(folder) as temporary, _FieldsFile(temporary / "fields.npy") as file:
                for part in parts:
                    file.write(part.fields)
            _delete_others(folder, source_id)
            fields = _load_fields(folder, int(bounds[-1]))
    if fields is None:
        raise _damaged(folder)
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
        path=folder,
        empty={
            split: "; ".join(part.empty[split] for part in parts)
            for split in SPLITS
            if all(split in part.empty for part in parts)
        },
        parts=parts,
        composers=[composer for part in parts for composer in part.composers],
    )


def _labels(roots: list[Path]) -> list[str]:
    """A distinct name for each source.

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
    """The folder that holds corpora by default, in the user's cache folder."""
    from platformdirs import user_cache_path

    return user_cache_path("kerasmusic") / "corpora"


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _keys(listing: SourceListing) -> NDArray[np.uint64]:
    """uint64 `[files]`: a hash of each file's name and stamp, which identifies it in a previous corpus.

    The probability of a collision among a million files is 3 in 100 million.
    """
    stamps = memoryview(listing.stamps.tobytes())
    width = listing.stamps.itemsize * 2
    hashes = (
        hashlib.blake2b(os.fsencode(name) + stamps[index * width : (index + 1) * width], digest_size=8).digest()
        for index, name in enumerate(listing.names)
    )
    return np.fromiter((int.from_bytes(each, "little") for each in hashes), np.uint64, len(listing.names))


def _bounds_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _damaged(folder: Path) -> CorpusError:
    return CorpusError(f"{folder}: holds no complete corpus, though it was just built; is the disk faulty?")


@dataclass(frozen=True)
class _Stored:
    """The contents of a corpus's folder.

    Args:
        fields: int16 `[n, 4]`.
        keys: uint64 `[files]`, the keys of all files of the source.
        ends: int64 `[files]`, the end of each file's notes in `fields`; an unreadable file has no notes.
        skipped: the reason for each file that could not be read.
    """

    fields: NDArray[np.int16]
    keys: NDArray[np.uint64]
    ends: NDArray[np.int64]
    skipped: dict[str, str]


def _read_stored(folder: Path) -> _Stored | None:
    """Loads the contents of a folder; None if it does not exist or is damaged."""
    try:
        skipped = json.loads((folder / "corpus.json").read_text())["skipped"]
        index = np.load(folder / "index.npy")
        keys, ends = index[:, 0].copy(), index[:, 1].astype(np.int64)
        fields = _load_fields(folder, int(ends[-1]))
        whole = int((np.diff(ends, prepend=0) == 0).sum()) == len(skipped)
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError):
        return None
    return None if fields is None or not whole else _Stored(fields, keys, ends, skipped)


def _load_fields(folder: Path, notes: int) -> NDArray[np.int16] | None:
    try:
        fields: NDArray[np.int16] = np.load(folder / "fields.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return fields if fields.shape == (notes, len(FIELDS)) else None


def _load(folder: Path, listing: SourceListing, keys: NDArray[np.uint64]) -> Corpus | None:
    """Loads the corpus in a folder; None if it does not exist, is damaged or is of other files."""
    stored = _read_stored(folder)
    if stored is None or not np.array_equal(stored.keys, keys):
        return None
    metadata = json.loads((folder / "corpus.json").read_text())
    lengths = np.diff(stored.ends, prepend=0)
    names = [name for name in listing.names if name not in stored.skipped]
    splits = listing.assign_splits(names)
    return Corpus(
        fields=stored.fields,
        bounds=_bounds_of(lengths[lengths > 0]),
        names=names,
        splits=splits,
        codec=NoteCodec.from_json(metadata["codec"]),
        skipped={**listing.unreadable, **stored.skipped},
        absent=listing.absent,
        roots=[listing.root],
        pedal=metadata["pedal"],
        licence=listing.licence,
        path=folder,
        empty=_why_empty(listing, splits),
        parts=[],
        composers=[composer_name(listing.composers.get(name, "")) for name in names],
    )


def _why_empty(listing: SourceListing, splits: list[str]) -> dict[str, str]:
    """The reason for each empty split."""
    table = listing.table_splits
    listed = Counter() if table is None else Counter(table[name] for name in listing.names)
    found = set(splits)
    reasons = {}
    for split in SPLITS:
        if split in found:
            continue
        if listed[split]:
            reason = f"none of the {listed[split]} files that its csv assigns to it can be read"
        elif table is not None:
            reason = "its csv assigns no file to it"
        elif split == "validation":
            reason = "only one performance can be read, and it is for training"
        else:
            reason = "without a csv, files are for training and validation only"
        reasons[split] = f"{listing.root.resolve().name}: {reason}"
    return reasons


def _read_previous(cache: Path, source_id: str) -> _Stored | None:
    """Loads the previous corpus of the same source, if there is one."""
    return next((stored for folder in sorted(cache.glob(f"{source_id}-*")) if (stored := _read_stored(folder))), None)


def _delete_others(folder: Path, source_id: str) -> None:
    """Deletes previous corpora of the same source, and temporary folders of killed builders.

    Nothing uses them again, and they are as large as the corpus. A process that has one open can still read it.
    """
    for other in folder.parent.glob(f"{source_id}-*"):
        if other != folder and other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
    for leftover in folder.parent.glob(f".{source_id}-*"):
        with suppress(OSError):
            latest = max(file.stat().st_mtime for file in (leftover, *leftover.iterdir()))
            if time.time() - latest > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


class _FieldsFile:
    """Writes fields to an .npy file one performance at a time; the header, with their number, is written last."""

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
    source: Source,
    listing: SourceListing,
    keys: NDArray[np.uint64],
    codec: NoteCodec,
    pedal: bool,
    folder: Path,
    previous: _Stored | None,
) -> None:
    known = _known(keys, previous)
    new = [name for name, index in zip(listing.names, known.tolist(), strict=True) if index < 0]
    outcomes = encode_files(source, new, functools.partial(encode_performance, codec=codec, pedal=pedal))
    # Files are handed out in order, but a short file may be done before a long one that precedes it.
    early: dict[str, NDArray[np.int16] | str] = {}
    ends = np.zeros(len(keys), np.uint64)
    skipped: dict[str, str] = {}
    with atomic_folder(folder) as temporary:
        with _FieldsFile(temporary / "fields.npy") as file, closing(outcomes):
            for index, name in enumerate(listing.names):
                outcome: NDArray[np.int16] | str
                if previous is not None and known[index] >= 0:
                    outcome = previous.skipped.get(name) or _slice(previous, int(known[index]))
                else:
                    while name not in early:
                        finished, early_outcome = next(outcomes)
                        early[finished] = early_outcome
                    outcome = early.pop(name)
                if isinstance(outcome, str):
                    skipped[name] = outcome
                else:
                    file.write(outcome)
                ends[index] = file.notes
        if not file.notes:
            first = next(iter(skipped.values()))
            raise CorpusError(f"{listing.root}: none of its {len(keys)} MIDI files can be read; the first: {first}")
        np.save(temporary / "index.npy", np.stack([keys, ends], axis=1))
        metadata: dict[str, Any] = {"codec": codec.to_json(), "pedal": pedal, "skipped": skipped}
        (temporary / "corpus.json").write_text(json.dumps(metadata))


def _known(keys: NDArray[np.uint64], previous: _Stored | None) -> NDArray[np.int64]:
    """int64 `[files]`: the index of each file in the previous corpus, or -1."""
    if previous is None:
        return np.full(len(keys), -1, np.int64)
    order = np.argsort(previous.keys)
    index = np.minimum(np.searchsorted(previous.keys, keys, sorter=order), len(order) - 1)
    return np.where(previous.keys[order[index]] == keys, order[index], -1)


def _slice(stored: _Stored, index: int) -> NDArray[np.int16]:
    return stored.fields[stored.ends[index - 1] if index else 0 : stored.ends[index]]


def encode_performance(data: bytes, name: str, *, codec: NoteCodec, pedal: bool) -> NDArray[np.int16]:
    """Encodes a MIDI file's bytes as fields, int16 `[n, 4]`, without the silence before the first note."""
    return codec.encode(read_bytes(data, name, pedal=pedal).without_leading_silence()).astype(np.int16)
