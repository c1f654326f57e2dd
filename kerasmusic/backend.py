"""Which backend Keras runs on, settled before Keras is imported: afterwards it cannot be changed.

What only one backend can do, and Keras has no word for, is here too.
"""

import contextlib
import importlib.util
import os
from typing import Any

from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.quiet import quiet_tensorflow

BACKENDS = ("jax", "tensorflow", "torch")
#: Of matrix products; all but the first on PyTorch alone.
PRECISIONS = ("float32", "bfloat16")


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
    quiet_tensorflow()
    return name


def products_in(precision: str) -> contextlib.AbstractContextManager[Any]:
    """A context in which PyTorch's matrix products are of one of `PRECISIONS`."""
    if precision == "float32":
        return contextlib.nullcontext()
    import torch

    # Its cache of converted weights would not see them change.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
