"""The folder of a run: its files, read without Keras."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError
from kerasmusic.files import atomic_write
from kerasmusic.training.settings import Settings

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus

CHECKPOINT = "checkpoint.keras"
#: The files of a finished run.
RUN_FILES = (
    CHECKPOINT, "run.json", "history.csv", "model.keras", "model.tflite", "loss.png", "sample.mid", "sample.png",
    "sample.wav",
)  # fmt: skip


@dataclass(frozen=True)
class RunFiles:
    """The files that finishing a run adds to its folder.

    Args:
        written: the files that are there now.
        missing: the files that could not be written, each with the reason.
    """

    written: tuple[Path, ...]
    missing: dict[Path, str]


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a training has begun in a folder."""
    return (Path(folder) / "run.json").exists()


def check_new_run(folder: str | os.PathLike[str]) -> None:
    """Raises ArgumentError where a new run would replace files that are not its own."""
    folder = Path(folder)
    if (folder / CHECKPOINT).exists():
        raise ArgumentError(f"{folder}: holds a run already; carry on with --resume, or name another folder")
    if os.path.lexists(folder) and not folder.is_dir():
        raise ArgumentError(f"{folder}: is a file; name a folder with --run")
    if is_run(folder):  # one that ended before its first checkpoint
        return
    for name in RUN_FILES:
        if os.path.lexists(folder / name):
            raise ArgumentError(f"{folder / name}: exists, and training would replace it; name another --run")


@contextmanager
def locked(run: str | os.PathLike[str]) -> Iterator[None]:
    """Locks a run's folder, so that no other process of this user on this machine trains or finishes it meanwhile.

    The operating system releases the lock of a process that died.

    Raises:
        ArgumentError: another process holds the lock.
        MissingPackageError: filelock is not installed.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        raise MissingPackageError("training needs filelock; run: pip install --upgrade filelock") from None
    # Not in the run's folder, where it would stay.
    name = hashlib.sha256(os.fsencode(Path(run).resolve())).hexdigest()[:16]
    folder = platformdirs.user_cache_path("kerasmusic") / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock, process = FileLock(folder / f"{name}.lock"), folder / f"{name}.process"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        other = process.read_text() if process.exists() else "another one"
        raise ArgumentError(
            f"{run}: is in use by process {other}, which trains or exports there; wait for it, or name another folder"
        ) from None
    try:
        process.write_text(str(os.getpid()))
        yield
    finally:
        process.unlink(missing_ok=True)
        lock.release()


def write_start(run: str | os.PathLike[str], corpus: Corpus, settings: Settings, preset: str) -> None:
    """Writes `run.json`: the settings and the data that resuming the run takes."""
    start = {
        "settings": {"preset": preset, **asdict(settings)},
        "data": [str(root.resolve()) for root in corpus.roots],
        "pedal": corpus.pedal,
        "music": describe_music(corpus),
    }
    with atomic_write(Path(run) / "run.json") as temporary:
        temporary.write_text(json.dumps(start, indent=1))


def describe_music(corpus: Corpus) -> dict[str, Any]:
    """What identifies the music of a corpus: the numbers of its performances and notes, and a hash of them."""
    digest = hashlib.sha256()
    digest.update(json.dumps([corpus.splits, corpus.bounds.tolist()]).encode())
    digest.update(np.ascontiguousarray(corpus.fields).data)
    return {"performances": len(corpus.names), "notes": len(corpus.fields), "sha256": digest.hexdigest()}


def music_change(start: Mapping[str, Any], corpus: Corpus) -> str | None:
    """A sentence that says how the music of a run has changed since it began; None if it has not, or is unknown.

    Args:
        start: what `read_start` returned.
        corpus: the music now.
    """
    then, now = start.get("music"), describe_music(corpus)
    if then is None or then == now:
        return None
    return (
        f"the music has changed since the run began: {then['performances']:,} performances with {then['notes']:,} "
        f"notes then, {now['performances']:,} with {now['notes']:,} now; training goes on with those of now"
    )


def check_sources(start: Mapping[str, Any]) -> None:
    """Raises a KerasMusicError if the music of a run is not where it was; `start` is what `read_start` returned."""
    for source in start["data"]:
        if not Path(source).exists():
            raise KerasMusicError(f"{source}: the run's music is not there any more; name where it is now with --data")


def read_settings(start: Mapping[str, Any]) -> Settings:
    """The settings of a run from what `read_start` returned."""
    known = {field.name for field in fields(Settings)}
    return Settings(**{name: value for name, value in start["settings"].items() if name in known})


def read_start(run: str | os.PathLike[str]) -> dict[str, Any]:
    """The `settings` of a run, the paths of its `data`, and whether the sustain `pedal` was applied, as JSON values.

    Raises:
        KerasMusicError: the folder holds no run.
    """
    try:
        start = json.loads((Path(run) / "run.json").read_text())
        # Older runs name a single source instead of a list.
        return {**start, "data": [start["data"]] if isinstance(start["data"], str) else start["data"]}
    except (OSError, ValueError, TypeError, KeyError):
        raise KerasMusicError(f"{run}: holds no run to resume; start one with 'kerasmusic train'") from None


def read_history(run: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The columns of a run's `history.csv`, one row per round: the loss, its parts by field, steps and minutes."""
    with (Path(run) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]} if rows else {}
