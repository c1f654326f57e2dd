"""Packages that have something to say while they are imported."""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType


def import_silently(name: str) -> ModuleType:
    """Imports a module, and lets nothing of what it prints come into a command's output.

    pyfluidsynth, which pretty_midi imports too, prints where it found its library when the environment has a `CI`.

    Raises:
        ImportError: as `import` does.

    >>> import_silently("json").dumps([1])
    '[1]'
    """
    with contextlib.redirect_stdout(None):
        return importlib.import_module(name)
