"""Chooses Keras's backend, which must happen before Keras is imported: afterwards it cannot be changed."""

import importlib.util
import os

from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.quiet import quiet_tensorflow

BACKENDS = ("jax", "tensorflow", "torch")
#: The precisions in which a training multiplies matrices; see `kerasmusic.models.precision`.
PRECISIONS = ("float32", "bfloat16")


def choose_backend(name: str | None = None) -> str:
    """Sets Keras's backend to `name`, else to KERAS_BACKEND, else to the first of `BACKENDS` that is installed.

    Raises:
        ArgumentError: there is no such backend.
        MissingPackageError: Keras or the backend is not installed.
    """
    name = name or os.environ.get("KERAS_BACKEND") or next(filter(_installed, BACKENDS), None)
    if name is None or not importlib.util.find_spec("keras"):
        raise MissingPackageError("this needs Keras; run: pip install 'kerasmusic[jax]' or 'kerasmusic[tensorflow]'")
    if name not in BACKENDS:
        raise ArgumentError(f"{name}: no such backend; there are {', '.join(BACKENDS)}")
    if not _installed(name):
        raise MissingPackageError(f"the backend {name} is not installed; run: pip install 'kerasmusic[{name}]'")
    os.environ["KERAS_BACKEND"] = name
    quiet_tensorflow()
    return name


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
