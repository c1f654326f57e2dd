"""Reads members of untrusted zip files, with a limit on the memory that they take."""

from __future__ import annotations

import zipfile

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """The contents of a member of at most `max_bytes`.

    `ZipFile.read` is unsafe here: it unpacks the whole member before it compares its size with the declared one.

    Raises:
        KeyError: the archive has no such member.
        ValueError: the member is larger, or its compression method cannot be limited.
        Exception: the archive is damaged; zipfile raises many types.
    """
    member = archive.getinfo(name)
    if member.file_size > max_bytes:
        raise ValueError(f"it would unpack to {member.file_size:,} bytes, more than {max_bytes:,}")
    if member.compress_type not in METHODS:
        raise ValueError("it is packed by another method than deflate")
    with archive.open(member) as file:
        # zipfile verifies the checksum when the last byte has been read.
        return file.read(member.file_size)
