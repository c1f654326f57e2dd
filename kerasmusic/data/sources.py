"""Where performances come from: the MIDI files of a folder or a zip, and the split each belongs to."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import stat
import zipfile
from array import array
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from kerasmusic.archives import read_member
from kerasmusic.errors import CorpusError, printable
from kerasmusic.midi import MAX_BYTES, SUFFIXES

SPLITS = ("train", "validation", "test")
VALIDATION_SHARE = 0.1
UNKNOWN_LICENCE = "that of the training data, which is not known"
# Weights trained on MAESTRO carry its licence.
MAESTRO_LICENCE = "CC BY-NC-SA 4.0 (trained on MAESTRO, by Google LLC and the International Piano-e-Competition)"


@dataclass(frozen=True)
class SourceListing:
    """The MIDI files of a source, before any of them is read.

    Args:
        root: the folder or the zip file.
        names: of the files within the root, sorted.
        marks: int64 `[names, 2]`, what changes when the file does: size and time, or size and CRC in a zip.
        official: the split of each name where the source's own table decides, else None.
        absent: names that the source's own table lists but that are not there.
        unreadable: for each folder that cannot be listed and each link that leads nowhere, why.
        licence: what models trained on it are under.
    """

    root: Path
    names: list[str]
    marks: NDArray[np.int64]
    official: dict[str, str] | None = None
    absent: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    licence: str = UNKNOWN_LICENCE

    def assign_splits(self, names: Sequence[str]) -> list[str]:
        """The split of each of these files, those of the source that can be read.

        The source's own table decides where it has one. Elsewhere a tenth of them, those whose names' hashes are the
        least, is for validation.
        """
        if self.official is not None:
            return [self.official[name] for name in names]
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
    """Files as they are found. A million names take 200 MB so; as a mapping to tuples they would take twice that."""

    names: list[str] = field(default_factory=list)
    marks: array[int] = field(default_factory=lambda: array("q"))
    tables: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, mark: tuple[int, int]) -> None:
        if name.lower().endswith(".csv"):
            self.tables.append(name)
        else:
            self.names.append(name)
            self.marks.extend(mark)


def list_source(root: str | os.PathLike[str]) -> SourceListing:
    """Finds the MIDI files below a folder or in a zip.

    Where a csv file in it has the columns `midi_filename` and `split`, as MAESTRO's has, files that it does not name
    are left out. Links to folders are followed; a folder that several paths lead to is found once, under its own name
    where it has one.

    Raises:
        CorpusError: the path is not there, is no folder and no zip, cannot be read, or holds no MIDI file.
    """
    root = Path(root)
    if root.is_dir():
        found = _files_of_folder(root)
    elif zipfile.is_zipfile(root):
        found = _files_of_zip(root)
    elif root.exists():
        raise CorpusError(f"{root}: neither a folder nor a zip file of MIDI files")
    else:
        raise CorpusError(f"{root}: no such folder or zip file")
    names = found.names
    if not names:
        reasons = "".join(f"; {reason}" for reason in list(found.unreadable.values())[:1])
        raise CorpusError(f"{root}: holds no MIDI file ({' or '.join(SUFFIXES)}){reasons}")
    official = _official_splits(root, sorted(found.tables)) or None
    order = sorted(range(len(names)), key=names.__getitem__)
    absent: list[str] = []
    if official is not None:
        absent = sorted(official.keys() - set(names))
        order = [index for index in order if names[index] in official]
        if not order:
            raise CorpusError(f"{root}: none of the {len(official)} files that its csv lists is there")
    marks = np.frombuffer(found.marks, np.int64).reshape(-1, 2)[order]
    licence = MAESTRO_LICENCE if any("maestro" in table.lower() for table in found.tables) else UNKNOWN_LICENCE
    return SourceListing(root, [names[index] for index in order], marks, official, absent, found.unreadable, licence)


def join_licences(*licences: str) -> str:
    """The licence of what is made of several, each named once.

    >>> join_licences("CC BY 4.0", "CC0", "CC BY 4.0; and GPL-3")
    'CC BY 4.0; and CC0; and GPL-3'
    """
    return "; and ".join(dict.fromkeys(part for licence in licences for part in licence.split("; and ")))


def read_members(root: Path, names: Iterable[str]) -> Iterable[tuple[str, bytes | str]]:
    """Yields each named file of a source with its bytes, or with the reason why it cannot be read.

    A zip is never unpacked: a member is read into memory, and none of more than `MAX_BYTES`. Members that a careful
    unpacker would not write, links and names that lead outside, are refused here too.
    """
    archive = None if root.is_dir() else zipfile.ZipFile(root)
    with archive or nullcontext():
        for name in names:
            try:
                yield name, _member(archive, name) if archive else _file(root / name)
            except OSError as error:
                yield name, _unreadable(name, error)
            except Exception as error:  # zipfile and what it unpacks with raise many types
                reason = printable(" ".join(str(error).split())) or type(error).__name__
                yield name, f"{printable(name)}: cannot be read ({reason})"


def _file(path: Path) -> bytes:
    # Not by its size, which is 0 for what a device gives.
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    return data


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    # A path of Windows knows both kinds of slash, and drives.
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts:
        raise ValueError("its name leads outside the zip")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError("it is a link")
    return read_member(archive, name, MAX_BYTES)


def _files_of_folder(root: Path) -> _Found:
    found = _Found()
    seen: set[tuple[int, int]] = set()
    # Linked folders come last: what is in the root itself is found under its own name, and a link to it adds nothing.
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
    except OSError as error:  # a link may lead nowhere, or to itself
        found.unreadable[name] = _unreadable(name, error)


def _unreadable(name: str, error: OSError) -> str:
    return f"{printable(name)}: cannot be read ({error.strerror or error})"


def _files_of_zip(root: Path) -> _Found:
    try:
        with zipfile.ZipFile(root) as archive:
            # A name that is there twice means the later member.
            members = {member.filename: (member.file_size, member.CRC) for member in archive.infolist()}
    except OSError:
        raise
    except Exception as error:  # zipfile raises several types
        raise CorpusError(f"{root}: a zip file that cannot be read ({error})") from None
    found = _Found()
    for name, mark in members.items():
        if name.lower().endswith((*SUFFIXES, ".csv")) and not _is_hidden(name):
            found.add(name, mark)
    return found


def _is_hidden(name: str) -> bool:
    """Whether a file is hidden, or of the kind that macOS packs beside every file of a zip."""
    parts = name.split("/")
    return parts[-1].startswith(".") or "__MACOSX" in parts


def _rows(root: Path, table: str, data: bytes) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig", errors="replace"))))
    except csv.Error as error:
        raise CorpusError(f"{root}: its table {table} cannot be read ({error})") from None


def _official_splits(root: Path, tables: list[str]) -> dict[str, str]:
    official: dict[str, str] = {}
    for table, data in read_members(root, tables):
        if isinstance(data, str):
            raise CorpusError(f"{root}: its table {data}")
        rows = _rows(root, table, data)
        if rows and {"midi_filename", "split"} <= rows[0].keys():
            folder = PurePosixPath(table).parent
            for row in rows:
                if row["split"] in SPLITS and row["midi_filename"]:
                    official[str(folder / row["midi_filename"])] = row["split"]
    return official
