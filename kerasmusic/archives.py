"""Reading members of zip files that anyone may have made, without being made to hold more than was agreed to."""

from __future__ import annotations

import zipfile

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_member(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A member's bytes, `largest` at most.

    `ZipFile.read` unpacks all that is packed and looks afterwards whether it is as long as the archive said.

    Raises:
        KeyError: there is no such member.
        ValueError: it is longer, or packed by a method that cannot be stopped half-way.
        Exception: of many types, where the archive is damaged.
    """
    member = archive.getinfo(name)
    if member.file_size > largest:
        raise ValueError(f"it would unpack to {member.file_size:,} bytes, more than {largest:,}")
    if member.compress_type not in METHODS:
        raise ValueError("it is packed by another method than deflate")
    with archive.open(member) as file:
        # Whose length and checksum are looked at as its last byte is read.
        return file.read(member.file_size)
