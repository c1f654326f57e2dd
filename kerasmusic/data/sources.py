"""Sources of music: lists and reads the MIDI files of a folder or a zip, and assigns each to a split."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from kerasmusic.archives import read_member
from kerasmusic.data.composers import COLUMNS
from kerasmusic.errors import CorpusError, printable
from kerasmusic.midi import MAX_BYTES, SUFFIXES

SPLITS = ("train", "validation", "test")
VALIDATION_SHARE = 0.1
UNKNOWN_LICENCE = "that of the training data, which is not known"
# Weights trained on MAESTRO carry its licence.
MAESTRO_LICENCE = "CC BY-NC-SA 4.0 (trained on MAESTRO, by Google LLC and the International Piano-e-Competition)"


@dataclass(frozen=True)
class SourceListing:
    """The MIDI files of a source, listed but not yet read.

    Args:
        root: the folder or the zip file.
        names: the sorted names of the files within the root.
        stamps: int64 `[names, 2]`, values that change with the file: size and time, or size and CRC in a zip.
        table_splits: the split of each name if the source has a table of splits, else None.
        absent: the names in that table of files that do not exist.
        unreadable: the reason for each folder that cannot be listed and each broken link.
        licence: the licence of models trained on the source.
        composers: the composer of each name, as the source writes it; names without one may be left out.
    """

    root: Path
    names: list[str]
    stamps: NDArray[np.int64]
    table_splits: dict[str, str] | None = None
    absent: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    licence: str = UNKNOWN_LICENCE
    composers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.names:
            raise CorpusError(f"{self.root}: holds no MIDI file")
        if len(set(self.names)) < len(self.names):
            raise CorpusError(f"{self.root}: lists a file twice; list each name once")
        stamps = np.asarray(self.stamps)
        if stamps.dtype != np.int64 or stamps.shape != (len(self.names), 2):
            raise CorpusError(
                f"{self.root}: has stamps of {stamps.dtype} {list(stamps.shape)}, not int64 [{len(self.names)}, 2]"
            )
        if self.table_splits is not None and not {self.table_splits.get(name) for name in self.names} <= {*SPLITS}:
            raise CorpusError(f"{self.root}: has a table that does not give each file one of {', '.join(SPLITS)}")

    def assign_splits(self, names: Sequence[str]) -> list[str]:
        """The split of each of the given files, which should be all readable files of the source.

        The source's table decides if it has one. Otherwise the tenth of the files with the least hashes of their names
        is for validation, and the rest is for training.
        """
        if self.table_splits is not None:
            return [self.table_splits[name] for name in names]
        hashes = (hashlib.sha256(os.fsencode(name)).digest()[:8] for name in names)
        order = np.argsort(
            np.fromiter((int.from_bytes(each, "big") for each in hashes), np.uint64, len(names)), kind="stable"
        )
        splits = ["train"] * len(names)
        for index in order[: round(len(names) * VALIDATION_SHARE) or min(1, len(names) - 1)].tolist():
            splits[index] = "validation"
        return splits


@dataclass
class _Found:
    """The files found so far. A million names take 200 MB in this form, and twice that as a mapping to tuples."""

    names: list[str] = field(default_factory=list)
    stamps: array[int] = field(default_factory=lambda: array("q"))
    tables: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, stamp: tuple[int, int]) -> None:
        if name.lower().endswith(".csv"):
            self.tables.append(name)
        else:
            self.names.append(name)
            self.stamps.extend(stamp)


def join_licences(*licences: str) -> str:
    """The licence of a combination, which names each distinct part once.

    >>> join_licences("CC BY 4.0", "CC0", "CC BY 4.0; and GPL-3")
    'CC BY 4.0; and CC0; and GPL-3'
    """
    return "; and ".join(dict.fromkeys(part for licence in licences for part in licence.split("; and ")))


class Source(ABC):
    """A place with MIDI files: a folder, a zip, or a kind of one's own, of which docs/extending.md has an example.

    The processes that read the files get a copy of it by pickle.

    Args:
        root: the name of the source in messages, and of its corpus in the cache for this class.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def identity(self) -> bytes:
        """Distinguishes the source from all others in the cache of corpora."""
        return f"{type(self).__module__}.{type(self).__qualname__}:".encode() + os.fsencode(self.root.resolve())

    @abstractmethod
    def list_files(self) -> SourceListing:
        """Lists the files.

        Raises:
            CorpusError: the source cannot be read, or holds no MIDI file.
        """

    @abstractmethod
    def open_reader(self) -> AbstractContextManager[Callable[[str], bytes]]:
        """A context that gives a function from a file's name to its bytes, at most `MAX_BYTES`, or any exception."""

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | str]]:
        """Yields each named file with its bytes, or with the reason why it cannot be read."""
        with self.open_reader() as read:
            for name in names:
                try:
                    yield name, read(name)
                except OSError as error:
                    yield name, _unreadable(name, error)
                except Exception as error:  # zipfile and its decompressors raise many types
                    reason = printable(" ".join(str(error).split())) or type(error).__name__
                    yield name, f"{printable(name)}: cannot be read ({reason})"


def open_source(root: str | os.PathLike[str]) -> Source:
    """The source that a path names, a folder or a zip.

    Raises:
        CorpusError: the path does not exist, or is neither a folder nor a zip.
    """
    root = Path(root)
    if root.is_dir():
        return FolderSource(root)
    if zipfile.is_zipfile(root):
        return ZipSource(root)
    if root.exists():
        raise CorpusError(f"{root}: neither a folder nor a zip file of MIDI files")
    raise CorpusError(f"{root}: no such folder or zip file")


class _FileSource(Source):
    """Files under names with slashes, and among them csv tables.

    If a table has the columns `midi_filename` and `split`, as MAESTRO's has, it decides the splits, and files that it
    does not name are left out. Its column `canonical_composer` or `composer`, if there is one, names the composers.
    """

    def identity(self) -> bytes:
        """The path alone, since a path is either a folder or a zip."""
        return os.fsencode(self.root.resolve()) if type(self) in (FolderSource, ZipSource) else super().identity()

    def list_files(self) -> SourceListing:
        """Lists the MIDI files in the order of their names, with the splits and the composers of their tables."""
        root, found = self.root, self._find()
        names = found.names
        if not names:
            reasons = "".join(f"; {reason}" for reason in list(found.unreadable.values())[:1])
            raise CorpusError(f"{root}: holds no MIDI file ({' or '.join(SUFFIXES)}){reasons}")
        rows = self._read_tables(sorted(found.tables))
        splits = {name: row["split"] for name, row in rows.items()} or None
        composers = {name: row[column] for name, row in rows.items() for column in COLUMNS if row.get(column)}
        order = sorted(range(len(names)), key=names.__getitem__)
        absent: list[str] = []
        if splits is not None:
            absent = sorted(splits.keys() - set(names))
            order = [index for index in order if names[index] in splits]
            if not order:
                raise CorpusError(f"{root}: none of the {len(splits)} files that its csv lists exists")
        stamps = np.frombuffer(found.stamps, np.int64).reshape(-1, 2)[order]
        licence = MAESTRO_LICENCE if any("maestro" in table.lower() for table in found.tables) else UNKNOWN_LICENCE
        return SourceListing(
            root, [names[index] for index in order], stamps, splits, absent, found.unreadable, licence, composers
        )

    @abstractmethod
    def _find(self) -> _Found:
        """Finds the files, in any order."""

    def _read_tables(self, tables: list[str]) -> dict[str, dict[str, str]]:
        """The row of each file that the tables list."""
        listed: dict[str, dict[str, str]] = {}
        for table, data in self.read(tables):
            if isinstance(data, str):
                raise CorpusError(f"{self.root}: its table {data}")
            rows = _rows(self.root, table, data)
            if rows and {"midi_filename", "split"} <= rows[0].keys():
                folder = PurePosixPath(table).parent
                for row in rows:
                    if row["split"] in SPLITS and row["midi_filename"]:
                        listed[str(folder / row["midi_filename"])] = row
        return listed


class FolderSource(_FileSource):
    """The MIDI files below a folder.

    Links to folders are followed. A folder that can be reached by several paths is listed once, by a path without links
    if there is one.
    """

    def _find(self) -> _Found:
        return _files_of_folder(self.root)

    def open_reader(self) -> AbstractContextManager[Callable[[str], bytes]]:
        """A function that reads a file by its name."""
        return nullcontext(lambda name: _file(self.root / name))


class ZipSource(_FileSource):
    """The MIDI files in a zip, which is never extracted to disk.

    Members that would be unsafe to extract, which are links and names that lead outside, are refused.
    """

    def _find(self) -> _Found:
        return _files_of_zip(self.root)

    @contextmanager
    def open_reader(self) -> Iterator[Callable[[str], bytes]]:
        """A function that reads a member by its name, while the zip is open."""
        with zipfile.ZipFile(self.root) as archive:
            yield functools.partial(_member, archive)


def _file(path: Path) -> bytes:
    # The size of a device is 0, so the limit is on what is read.
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    return data


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    # A Windows path covers both kinds of slash, and drives.
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts:
        raise ValueError("its name leads outside the zip")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError("it is a link")
    return read_member(archive, name, MAX_BYTES)


def _files_of_folder(root: Path) -> _Found:
    found = _Found()
    seen: set[tuple[int, int]] = set()
    # Linked folders come last, so that a folder within the root is found under its own name rather than a link's.
    folders, linked = [""], list[str]()
    while folders or linked:
        folder = folders.pop() if folders else linked.pop(0)
        try:
            status = (root / folder).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    _add_entry(entry, folder, found, folders, linked)
        except OSError as error:
            if not folder:
                raise
            found.unreadable[folder] = _unreadable(folder, error)
        linked.sort()
    return found


def _add_entry(entry: os.DirEntry[str], folder: str, found: _Found, folders: list[str], linked: list[str]) -> None:
    name = folder + entry.name
    try:
        if entry.is_dir():
            (linked if entry.is_symlink() else folders).append(f"{name}/")
        elif name.lower().endswith((*SUFFIXES, ".csv")) and not _is_hidden(name):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                found.add(name, (status.st_size, status.st_mtime_ns))
    except OSError as error:  # a link may be broken or lead to itself
        found.unreadable[name] = _unreadable(name, error)


def _unreadable(name: str, error: OSError) -> str:
    return f"{printable(name)}: cannot be read ({error.strerror or error})"


def _files_of_zip(root: Path) -> _Found:
    try:
        with zipfile.ZipFile(root) as archive:
            # If a name occurs twice, the later member counts.
            members = {member.filename: (member.file_size, member.CRC) for member in archive.infolist()}
    except OSError:
        raise
    except Exception as error:  # zipfile raises several types
        raise CorpusError(f"{root}: a zip file that cannot be read ({printable(str(error))})") from None
    found = _Found()
    for name, stamp in members.items():
        if name.lower().endswith((*SUFFIXES, ".csv")) and not _is_hidden(name):
            found.add(name, stamp)
    return found


def _is_hidden(name: str) -> bool:
    """Whether a file is hidden, or is the metadata that macOS adds to a zip for each file."""
    parts = name.split("/")
    return parts[-1].startswith(".") or "__MACOSX" in parts


def _rows(root: Path, table: str, data: bytes) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig", errors="replace"))))
    except csv.Error as error:
        raise CorpusError(f"{root}: its table {table} cannot be read ({printable(str(error))})") from None
