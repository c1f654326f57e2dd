"""Silences what libraries print while they load; it would break progress bars and mix with a command's output."""

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

#: Environment variable of a process whose standard error is captured. Nothing is discarded there, since what a process
#: wrote before it died explains its death.
CAPTURED = "KERASMUSIC_STDERR_CAPTURED"


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what is written to the file descriptor of standard error; exceptions still propagate.

    TensorFlow and TFLite log from C++ while they load, before they read any setting.
    """
    if CAPTURED in os.environ:
        yield
        return
    with Path(os.devnull).open("wb") as nowhere, _redirected_stderr(nowhere.fileno()):
        yield


@contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Yields a list that has, after the block, the lines written to the file descriptor of standard error in it."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        try:
            with _redirected_stderr(file.fileno()):
                yield lines
        finally:
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


@contextmanager
def _redirected_stderr(target: int) -> Iterator[None]:
    """Redirects the file descriptor of standard error to another one."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        os.dup2(target, 2)
        yield
    finally:
        with suppress(ValueError):  # a closed sys.stderr has nothing to flush
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def quiet_tensorflow() -> None:
    """Makes TensorFlow load silently and then log only errors, whatever module imports it.

    Keras imports TensorFlow, where it is installed, on every backend: to set a seed, and to save or load a file.
    """
    if not any(isinstance(finder, _QuietTensorFlow) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietTensorFlow())


class _QuietTensorFlow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds TensorFlow in the usual way, and discards what it writes to standard error while it loads."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            self.loader: Any = spec.loader
            spec.loader = self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self.loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        # Code that looks for the module's files asks its loader.
        module.__spec__.loader = module.__loader__ = self.loader
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with quiet_stderr():
            self.loader.exec_module(module)


def import_silently(name: str) -> ModuleType:
    """Imports a module, and discards what it prints to standard output.

    pyfluidsynth, which pretty_midi imports too, prints the path of its library if the environment variable `CI` is set.

    Raises:
        ImportError: as `import` does.

    >>> import_silently("json").dumps([1])
    '[1]'
    """
    with redirect_stdout(None):
        return importlib.import_module(name)
