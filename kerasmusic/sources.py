"""Where performances come from: the MIDI files of a folder or a zip, with the split each belongs to."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from kerasmusic.archives import read_member
from kerasmusic.errors import CorpusError, printable
from kerasmusic.midi import LARGEST_BYTES, SUFFIXES

SPLITS = ("train", "validation", "test")
VALIDATION_SHARE = 0.1
UNKNOWN_LICENCE = "that of the training data, which is not known"
# Weights trained on MAESTRO carry its licence.
MAESTRO_LICENCE = "CC BY-NC-SA 4.0 (trained on MAESTRO, by Google LLC and the International Piano-e-Competition)"


@dataclass(frozen=True)
class Listing:
    """The MIDI files of a source, before any of them is read.

    Args:
        root: the folder or the zip file.
        splits: for each file's name within the root, its split, sorted by name.
        marks: for each file, what changes when the file does (size and time, or size and CRC in a zip).
        absent: names that the source's own table lists but that are not there.
        licence: what models trained on it are under.
    """

    root: Path
    splits: dict[str, str]
    marks: dict[str, str]
    absent: list[str] = field(default_factory=list)
    licence: str = UNKNOWN_LICENCE


def list_source(root: str | os.PathLike[str]) -> Listing:
    """Finds the MIDI files below a folder or in a zip, and the split of each.

    Where a csv file in it has the columns `midi_filename` and `split`, as MAESTRO's has, that decides; files that it
    does not name are left out. Elsewhere a tenth of the files, chosen by a hash of their names, is for validation.

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
    names = sorted(name for name in found if name.lower().endswith(SUFFIXES))
    if not names:
        raise CorpusError(f"{root}: holds no MIDI file ({' or '.join(SUFFIXES)})")
    tables = sorted(name for name in found if name.lower().endswith(".csv"))
    official = _official_splits(root, tables)
    if official:
        splits = {name: official[name] for name in names if name in official}
        absent = sorted(official.keys() - found.keys())
        if not splits:
            raise CorpusError(f"{root}: none of the {len(official)} files that its csv lists is there")
    else:
        splits, absent = _split_by_hash(names), []
    licence = MAESTRO_LICENCE if any("maestro" in table.lower() for table in tables) else UNKNOWN_LICENCE
    return Listing(root, splits, {name: found[name] for name in splits}, absent, licence)


def read_members(root: Path, names: Iterable[str]) -> Iterable[tuple[str, bytes | str]]:
    """Yields each named file of a source with its bytes, or with the reason why it cannot be read.

    A zip is never unpacked: a member is read into memory, and none of more than `LARGEST_BYTES`. Members that a careful
    unpacker would not write, links and names that lead outside, are refused here too.
    """
    archive = None if root.is_dir() else zipfile.ZipFile(root)
    with archive or nullcontext():
        for name in names:
            try:
                yield name, _member(archive, name) if archive else _file(root / name)
            except OSError as error:
                yield name, f"{printable(name)}: cannot be read ({error.strerror or error})"
            except Exception as error:  # zipfile and what it unpacks with raise many types
                reason = printable(" ".join(str(error).split())) or type(error).__name__
                yield name, f"{printable(name)}: cannot be read ({reason})"


def _file(path: Path) -> bytes:
    # Not by its size, which is 0 for what a device gives.
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"it has more than {LARGEST_BYTES:,} bytes")
    return data


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    # A path of Windows knows both kinds of slash, and drives.
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts:
        raise ValueError("its name leads outside the zip")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError("it is a link")
    return read_member(archive, name, LARGEST_BYTES)


def _files_of_folder(root: Path) -> dict[str, str]:
    found = {}
    for folder, _, files in os.walk(root):
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            wanted = file.lower().endswith((*SUFFIXES, ".csv")) and not _is_hidden(name)
            if wanted and path.is_file():  # a link may lead nowhere
                status = path.stat()
                found[name] = f"{status.st_size}-{status.st_mtime_ns}"
    return found


def _files_of_zip(root: Path) -> dict[str, str]:
    try:
        with zipfile.ZipFile(root) as archive:
            members = archive.infolist()
    except OSError:
        raise
    except Exception as error:  # zipfile raises several types
        raise CorpusError(f"{root}: a zip file that cannot be read ({error})") from None
    return {
        member.filename: f"{member.file_size}-{member.CRC:08x}"
        for member in members
        if not member.is_dir() and not _is_hidden(member.filename)
    }


def _is_hidden(name: str) -> bool:
    """Whether a file is hidden, or of the kind that macOS packs beside every file of a zip."""
    path = PurePosixPath(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts


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


def _split_by_hash(names: list[str]) -> dict[str, str]:
    by_hash = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    count = round(len(names) * VALIDATION_SHARE) or min(1, len(names) - 1)
    held_out = set(by_hash[:count])
    return {name: "validation" if name in held_out else "train" for name in names}
