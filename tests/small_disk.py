"""Mounts and fills small disks for tests."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[bool]:
    """Makes a folder, and mounts a small disk on it while the block runs; yields whether mounting was allowed."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    mounted = bool(shutil.which("mount")) and not subprocess.run(["mount", *options], capture_output=True).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Fills the disk with a file `filler`."""
    with (place / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(1024))
