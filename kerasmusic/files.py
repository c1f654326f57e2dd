"""Writing files so that a reader never sees half of one.

A file is written beside its place, flushed to the disk and renamed into it: whatever interrupts the writer, the place
holds the old file or the new one.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
