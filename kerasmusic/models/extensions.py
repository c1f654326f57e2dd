"""Modules of your own that extend kerasmusic with model classes, presets, blocks or export targets.

A program names such a module by importing it, the command line with `--import MODULE`. Both the classes that a `.keras`
file may name and the modules that the export process imports are limited to these and kerasmusic's own: nothing is
imported because a file names it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError, printable
from kerasmusic.models.backend import choose_backend

#: The module of a script, a notebook or `python -c`, which no other process can import.
MAIN = "__main__"

_requested: list[str] = []
_remembered: list[str] = []


def request_import(module: str) -> None:
    """Names a module for `import_requested`.

    Its import waits until something of it is needed, because it imports Keras, whose backend must be chosen first.
    """
    if module not in _requested:
        _requested.append(module)


def import_requested() -> None:
    """Imports the modules named by `request_import`, from the import path or else from the current folder.

    Raises:
        ArgumentError: a module cannot be imported.
    """
    for module in _requested:
        _import(module)


def remember_module(module: str) -> None:
    """Adds the module of a class or a function that extends kerasmusic; ignored for kerasmusic's own."""
    if module.partition(".")[0] != "kerasmusic" and module not in _remembered:
        _remembered.append(module)


def extension_modules() -> tuple[str, ...]:
    """The modules that were named or remembered, in that order.

    >>> remember_module("kerasmusic.models.gated_model")
    >>> "kerasmusic.models.gated_model" in extension_modules()
    False
    """
    return tuple(dict.fromkeys((*_requested, *_remembered)))


def import_again(modules: Iterable[str]) -> None:
    """Imports another process's `extension_modules` in this one."""
    for module in modules:
        if module != MAIN:
            request_import(module)
    import_requested()


def _import(module: str) -> None:
    if module in sys.modules:
        return
    if "keras" not in sys.modules:
        with suppress(MissingPackageError):
            choose_backend()
    # Last, so that a file of the current folder replaces no installed module.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        importlib.import_module(module)
    except KerasMusicError:
        raise
    except Exception as error:  # a module of the user's may raise anything
        text = printable(" ".join(str(error).split()))
        raise ArgumentError(
            f"{module}: cannot be imported ({type(error).__name__}: {text}); name an installed module, or one in this "
            "folder without its .py"
        ) from None
