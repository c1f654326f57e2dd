"""The record stored inside a `.tflite` file.

`kerasmusic.json` is appended to the flatbuffer as a zip archive, the way TFLite metadata packs associated files:
Python's `zipfile` finds it at the end, and every TFLite runtime ignores the bytes after the flatbuffer. The record
holds the flatbuffer's SHA-256, because a damaged flatbuffer can crash the interpreter's process.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from kerasmusic.archives import read_member
from kerasmusic.errors import ModelFileError, printable

#: The version of the record and of the step's signature. Readers refuse newer versions.
FORMAT = 2
RECORD_NAME = "kerasmusic.json"
CHECKSUM = "flatbuffer_sha256"
# In bytes. A real record has about 60,000; the limit keeps a hostile one from exhausting memory.
LARGEST_RECORD = 10_000_000
SIGNATURE = "step"


def with_record(flatbuffer: bytes, record: dict[str, Any]) -> bytes:
    """A TFLite flatbuffer with `kerasmusic.json` appended.

    >>> packed = with_record(b"not quite a model", {"preset": "small"})
    >>> with zipfile.ZipFile(io.BytesIO(packed)) as archive:
    ...     archive.namelist()
    ['kerasmusic.json']
    """
    record = {"format": FORMAT, **record, CHECKSUM: hashlib.sha256(flatbuffer).hexdigest()}
    file = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(file, "a", compression=zipfile.ZIP_DEFLATED) as archive:
        # A fixed date makes the output reproducible.
        member = zipfile.ZipInfo(RECORD_NAME, date_time=(1980, 1, 1, 0, 0, 0))
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, json.dumps(record, indent=1))
    return file.getvalue()


def read_model_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a `.tflite` file.

    Raises:
        ModelFileError: the file does not exist, cannot be read or is not a TFLite file.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from None
    if data[4:8] != b"TFL3":
        raise ModelFileError(f"{path}: not a TFLite file; export one with 'kerasmusic export --tflite RUN'")
    return data


def read_record(data: bytes, name: str) -> dict[str, Any]:
    """The record inside the bytes of a `.tflite` file; errors call the file `name`.

    Raises:
        ModelFileError: there is no record, its format is newer, or the flatbuffer does not match its checksum.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            record = json.loads(read_member(archive, RECORD_NAME, LARGEST_RECORD))
            flatbuffer = memoryview(data)[: archive.infolist()[0].header_offset]
        version = record["format"]
    except Exception:  # zipfile, its decompressors and json raise many types
        raise ModelFileError(
            f"{name}: a TFLite file without {RECORD_NAME}; it is cut short or was not exported by kerasmusic; "
            "export one with 'kerasmusic export --tflite RUN'"
        ) from None
    if not isinstance(version, int) or version > FORMAT:
        raise ModelFileError(
            f"{name}: has format {printable(str(version))}, and this kerasmusic reads up to {FORMAT}; "
            "upgrade with 'pip install --upgrade kerasmusic'"
        )
    # Files written before checksums existed have none.
    if CHECKSUM in record and record[CHECKSUM] != hashlib.sha256(flatbuffer).hexdigest():
        raise ModelFileError(f"{name}: is damaged, its graph is not the one that was exported; copy or export it again")
    return record
