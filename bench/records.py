"""Records of benchmarks: JSON objects with the schema in `record.schema.json`."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import kerasmusic
from kerasmusic.errors import KerasMusicError, MissingPackageError
from kerasmusic.files import atomic_write

#: The version of the format. A reader refuses newer versions.
FORMAT = 1


def new_record(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A record with the kind of benchmark, the command, the time and the settings."""
    return {
        "format": FORMAT,
        "kind": kind,
        "kerasmusic": kerasmusic.__version__,
        "command": shlex.join(["kerasmusic", *sys.argv[1:]]),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "settings": settings,
    }


def target(what: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> dict[str, Any]:
    """A target and the measured value.

    >>> target("a note", 2.0, at_most=3.0)["met"]
    True
    """
    met = value <= at_most if at_most is not None else value >= (at_least or 0.0)
    bound = {"at_most": at_most} if at_most is not None else {"at_least": at_least}
    return {"what": what, "value": value, **bound, "met": bool(met)}


def write_record(record: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes a record as JSON, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a record and validates it.

    Raises:
        KerasMusicError: the file does not exist, is not a record, or has a newer format.
        MissingPackageError: fastjsonschema is not installed.
    """
    try:
        record = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise KerasMusicError(f"{path}: no such file") from None
    except (UnicodeDecodeError, ValueError):
        raise KerasMusicError(f"{path}: not JSON, so not the record of a benchmark") from None
    version = record.get("format") if isinstance(record, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise KerasMusicError(
            f"{path}: has format {version}, and this kerasmusic reads up to {FORMAT}; "
            "upgrade with 'pip install --upgrade kerasmusic'"
        )
    try:
        import fastjsonschema
    except ImportError:
        raise MissingPackageError("reading records needs fastjsonschema; run: pip install 'kerasmusic[plot]'") from None
    try:
        fastjsonschema.compile(schema())(record)
    except fastjsonschema.JsonSchemaValueException as error:
        reason = error.message.split("\n")[0]
        raise KerasMusicError(f"{path}: not the record of a kerasmusic benchmark ({reason[:200]})") from None
    return record


def read_records(paths: Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Reads and validates several records."""
    return [read_record(path) for path in paths]


def schema() -> dict[str, Any]:
    """The JSON Schema of records."""
    return json.loads(resources.files("kerasmusic.bench").joinpath("record.schema.json").read_text())
