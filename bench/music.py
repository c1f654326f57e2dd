"""Music for benchmarks and tests: real music where there is any, else what the bundled model plays."""

from __future__ import annotations

import os
from pathlib import Path

from kerasmusic.errors import ArgumentError

#: The environment variable that names a folder or zip of MIDI files.
VARIABLE = "KERASMUSIC_DATA"


def named_music() -> Path | None:
    """The folder or zip that the environment variable names, None where it is not set.

    Raises:
        ArgumentError: it names a path that is not there.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).absolute()
    if not path.exists():
        raise ArgumentError(f"{VARIABLE} is {named}: no such folder or zip file; correct or unset it")
    return path


def real_music() -> Path | None:
    """`named_music`, else MAESTRO where it was downloaded before, else None."""
    from kerasmusic.maestro import downloaded_maestro

    return named_music() or downloaded_maestro()


def music() -> Path:
    """`real_music`, and where there is none a demonstration, which the bundled model plays once for all later calls."""
    found = real_music()
    if found:
        return found
    from kerasmusic.bundled import bundled_model
    from kerasmusic.demonstration import play_demonstration

    return play_demonstration(bundled_model())
