"""Atomic writes: a reader sees the old file or the new one, never part of either.

A file, or a folder of files, is written under a temporary name in the same folder, flushed to disk and renamed.
Whatever interrupts the writer, the path holds the old contents or the new ones.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, and renames it to `path` when the block ends without an error.

    The temporary name keeps the suffix of `path`, since many writers choose their format by it. When the block raises,
    the temporary file is deleted and `path` is unchanged.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "answer.txt"
    >>> with atomic_write(path) as temporary:
    ...     _ = temporary.write_text("42")
    >>> path.read_text()
    '42'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        with errors_naming(path):
            yield temporary
            _flush(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder, which replaces the folder `path` when the block ends without an error.

    A reader that has a file of the old folder open can read it to the end. If two processes write the same folder at
    once, one of the results is kept.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "answers"
    >>> for answer in ("41", "42"):
    ...     with atomic_folder(path) as temporary:
    ...         _ = (temporary / "answer.txt").write_text(answer)
    >>> (path / "answer.txt").read_text()
    '42'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, previous = (path.with_name(f".{path.name}-{secrets.token_hex(4)}") for _ in range(2))
    temporary.mkdir()
    try:
        with errors_naming(path):
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            # A folder cannot be renamed over one that has files in it.
            if path.is_dir():
                with suppress(FileNotFoundError):
                    path.replace(previous)
            try:
                temporary.replace(path)
            except OSError:
                # Another process may have written the folder in the meantime; its result is as good.
                if not path.is_dir():
                    if previous.is_dir():
                        previous.replace(path)
                    raise
    finally:
        for folder in (temporary, previous):
            shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Deletes temporary files left by killed writers of `path`; each is as large as the file.

    Call it only while no other process is writing `path`: its temporary file would be deleted too.
    """
    path = Path(path)
    for leftover in path.parent.glob(f".{path.stem}-{'[0-9a-f]' * 8}{path.suffix}"):
        leftover.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flushes a file to disk before it is renamed; otherwise a power cut may leave an empty file under the new name."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


@contextmanager
def errors_naming(path: Path) -> Iterator[None]:
    """Re-raises an OSError, such as a full disk, with `path` as its file: users do not know the temporary name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
