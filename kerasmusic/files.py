"""Writing files so that a reader never sees half of one.

A file, or a folder of files, is written beside its place, flushed to the disk and renamed into it: whatever interrupts
the writer, the place holds the old file or the new one.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, and renames it to `path` when the block ends well.

    The temporary name keeps the suffix of `path`, since many writers choose their format by it. When the block raises,
    the temporary file is deleted and `path` is left as it was.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "answer.txt"
    >>> with written_beside(place) as temporary:
    ...     _ = temporary.write_text("42")
    >>> place.read_text()
    '42'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        with naming(path):
            yield temporary
            _flush(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder of files: yields a temporary one, which takes the place of `path` and of what is there.

    A file that someone reads in the former folder is read on to its end. Where two write the same folder at once, one
    of both is kept.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "answers"
    >>> for answer in ("41", "42"):
    ...     with folder_written_beside(place) as temporary:
    ...         _ = (temporary / "answer.txt").write_text(answer)
    >>> (place / "answer.txt").read_text()
    '42'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, former = (path.with_name(f".{path.name}-{secrets.token_hex(4)}") for _ in range(2))
    temporary.mkdir()
    try:
        with naming(path):
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            # A folder is not renamed over another.
            if path.is_dir():
                with suppress(FileNotFoundError):
                    path.replace(former)
            try:
                temporary.replace(path)
            except OSError:
                # Another process may have written it meanwhile; then its work serves as well.
                if not path.is_dir():
                    if former.is_dir():
                        former.replace(path)
                    raise
    finally:
        for folder in (temporary, former):
            shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Removes what writers of `path` left beside it that were killed: of no use to anyone, and as large as the file.

    Only for a file that nobody else is writing.
    """
    path = Path(path)
    for leftover in path.parent.glob(f".{path.stem}-{'[0-9a-f]' * 8}{path.suffix}"):
        leftover.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Has the disk hold a file's bytes before its name does: else a power cut may leave the name with none of them."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Has errors of the disk, such as a full one, name the file that was to be written: its user knows of no other."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
