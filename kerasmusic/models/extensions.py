"""Modules of your own that extend kerasmusic with model classes, presets, blocks or export targets.

A program names such a module by importing it, the command line with `--import MODULE`. Both the classes that a `.keras`
file may name and the modules that the export process imports are limited to these and kerasmusic's own: nothing is
imported because a file names it. Another process cannot import the classes of a script or a notebook: they are sent to
it by value.
"""

from __future__ import annotations

import base64
import importlib
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError, printable
from kerasmusic.models.backend import choose_backend

#: The module of a script, a notebook or `python -c`.
MAIN = "__main__"

#: Registers a class under its name once more; must be a function of a module, or a partial of one.
Register: TypeAlias = Callable[[Any], object]

_requested: list[str] = []
_remembered: list[str] = []
_of_main: dict[str, tuple[type, Register | None]] = {}


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


def remember_class(own: type, register: Register | None = None) -> None:
    """Adds a class, so that files may name it and the export process has it.

    Args:
        own: the class.
        register: registers the class in another process, where importing its module would.
    """
    remember_module(own.__module__)
    if own.__module__ == MAIN:
        # A class that a notebook defines again replaces the former one, with its registration.
        former = _of_main.get(own.__name__, (own, None))[1]
        _of_main[own.__name__] = (own, register or former)


def extension_modules() -> tuple[str, ...]:
    """The modules that were named or remembered, in that order.

    >>> remember_module("kerasmusic.models.gated_model")
    >>> "kerasmusic.models.gated_model" in extension_modules()
    False
    """
    return tuple(dict.fromkeys((*_requested, *_remembered)))


def pack_extensions() -> dict[str, Any]:
    """The extensions of this process as JSON values, for `unpack_extensions` in another.

    Raises:
        ArgumentError: a class of a script or a notebook refers to something that cannot be sent.
        MissingPackageError: cloudpickle, which sends such classes, is not installed.
    """
    packed: dict[str, Any] = {"modules": [module for module in extension_modules() if module != MAIN]}
    if _of_main:
        try:
            import cloudpickle
        except ImportError:
            raise MissingPackageError(
                "exporting a class of a script or a notebook needs cloudpickle; run: pip install "
                "'kerasmusic[tensorflow]', or put the class into a module"
            ) from None
        try:
            packed["main"] = base64.b64encode(cloudpickle.dumps(list(_of_main.values()))).decode()
        except Exception as error:  # anything that the classes refer to may refuse
            raise ArgumentError(
                f"{', '.join(_of_main)}: cannot be sent to the export process ({printable(str(error))}); put the "
                "class into a module"
            ) from None
    return packed


def unpack_extensions(packed: dict[str, Any]) -> None:
    """Takes the extensions of the process that started this one."""
    for module in packed["modules"]:
        request_import(module)
    import_requested()
    of_main = pickle.loads(base64.b64decode(packed["main"])) if "main" in packed else []  # noqa: S301 - from the parent
    for own, register in of_main:
        setattr(sys.modules[MAIN], own.__name__, own)
        if register:
            register(own)


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
