"""Music for benchmarks and tests: real music if available, else a demonstration by the bundled model."""

from __future__ import annotations

import os
from pathlib import Path

from kerasmusic.errors import ArgumentError

#: The environment variable that names a folder or zip of MIDI files.
VARIABLE = "KERASMUSIC_DATA"


def named_music() -> Path | None:
    """The folder or zip that the environment variable names; None if it is not set.

    Raises:
        ArgumentError: the path does not exist.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).absolute()
    if not path.exists():
        raise ArgumentError(f"{VARIABLE} is {named}: no such folder or zip file; correct or unset it")
    return path


def real_music() -> Path | None:
    """The music of `named_music`, else MAESTRO if it has been downloaded, else None."""
    from kerasmusic.data.maestro import downloaded_maestro

    return named_music() or downloaded_maestro()


def music() -> Path:
    """The music of `real_music`, else a demonstration, which the bundled model plays on the first call."""
    found = real_music()
    if found:
        return found
    from kerasmusic.bundled import bundled_model
    from kerasmusic.data.demonstration import play_demonstration

    return play_demonstration(bundled_model())
