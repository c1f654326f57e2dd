"""Which backend Keras runs on, settled before Keras is imported: afterwards it cannot be changed."""

import importlib.util
import os

from kerasmusic.errors import ArgumentError, MissingPackageError

BACKENDS = ("jax", "tensorflow", "torch")


def choose_backend(name: str | None = None) -> str:
    """Sets Keras's backend: the one named, else that of KERAS_BACKEND, else the first installed of `BACKENDS`.

    Raises:
        ArgumentError: there is no such backend.
        MissingPackageError: it is not installed, or none is.
    """
    name = name or os.environ.get("KERAS_BACKEND") or next(filter(_installed, BACKENDS), None)
    if name is None or not importlib.util.find_spec("keras"):
        raise MissingPackageError("this needs Keras; run: pip install 'kerasmusic[jax]' or 'kerasmusic[tensorflow]'")
    if name not in BACKENDS:
        raise ArgumentError(f"{name}: no such backend; there are {', '.join(BACKENDS)}")
    if not _installed(name):
        raise MissingPackageError(f"the backend {name} is not installed; run: pip install 'kerasmusic[{name}]'")
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return name


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
