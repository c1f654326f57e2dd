"""Runtimes, which run a model's step: fill the input arrays, call `run`, read the output arrays."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.edge.installing import this_python, where_it_is_too_old, where_none_is_installed
from kerasmusic.edge.model_file import SIGNATURE, read_model_bytes, read_record
from kerasmusic.edge.styles import Styles
from kerasmusic.errors import MissingPackageError, ModelFileError, printable
from kerasmusic.quiet import quiet_stderr

# Modules that provide an interpreter, best first.
INTERPRETERS = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")
INPUTS = ("previous", "given", "state", "uniform", "temperature", "min_p", "bias")
# The further input of a model with a `style_size`.
STYLE = "style"
OUTPUTS = ("note", "log_prob", "state")


class Runtime(Protocol):
    """Runs a model's step with a batch of 1; the interface of every runtime.

    The arrays belong to the runtime: write into the inputs, call `run`, read `note` and `log_prob`. `run` updates
    `state` in place; zero it to restart, or copy it to return to it later.
    """

    codec: NoteCodec
    styles: Styles
    previous: NDArray[np.int32]
    given: NDArray[np.int32]
    state: NDArray[np.float32]
    uniform: NDArray[np.float32]
    temperature: NDArray[np.float32]
    min_p: NDArray[np.float32]
    bias: NDArray[np.float32]
    #: float32 `[1, D]`; D is 0 for a model without a style.
    style: NDArray[np.float32]
    note: NDArray[np.int32]
    log_prob: NDArray[np.float32]

    def run(self) -> None:
        """Computes one note from the inputs and advances the state."""


class TFLiteRuntime:
    """Runs an exported file on an installed TFLite interpreter.

    Args:
        path: a `.tflite` file exported by kerasmusic.
        threads: number of threads the interpreter may use; one is best for models of this size.
        interpreter: the interpreter's module, one of `INTERPRETERS`; by default the first one installed.

    Raises:
        ModelFileError: the file is not a kerasmusic model, or this interpreter cannot read it.
        MissingPackageError: no interpreter is installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1, interpreter: str | None = None) -> None:
        data = read_model_bytes(path)
        self.record = read_record(data, str(path))
        self.codec = NoteCodec.from_json(self.record.get("codec", {}))
        self.styles = Styles.from_record(self.record, str(path))
        module = interpreter_module(interpreter)
        self.name = module.__name__.split(".")[0]
        try:
            with quiet_stderr():
                self.interpreter = module.Interpreter(model_content=data, num_threads=threads)
                self.interpreter.allocate_tensors()
            runner = self.interpreter.get_signature_runner(SIGNATURE)
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
        except (ValueError, RuntimeError) as error:
            reason = printable(str(error).strip().splitlines()[0]) if str(error).strip() else type(error).__name__
            needed = printable(str(self.record.get("runtime", "")))
            raise ModelFileError(
                f"{path}: {self.name} cannot read it ({reason}); it needs TFLite {needed} "
                f"or newer; {where_it_is_too_old(this_python())}"
            ) from None
        check_signature(shapes_and_dtypes(inputs), shapes_and_dtypes(outputs), self.codec, self.record, str(path))

        # Views of the interpreter's memory avoid most of the cost of set_tensor and get_tensor. While views exist, the
        # Python wrapper's invoke() refuses to run, because it might reallocate the tensors; calling the C++ object
        # directly avoids this check. With fixed shapes, nothing is reallocated after allocate_tensors().
        #: Runs the graph on the current arrays without updating `state`.
        self.invoke: Callable[[], object] = self.interpreter._interpreter.Invoke
        self.previous, self.given, self.state, self.uniform, self.temperature, self.min_p, self.bias = (
            self.tensor(inputs[name]["index"]) for name in INPUTS
        )
        self.style = self.tensor(inputs[STYLE]["index"]) if STYLE in inputs else np.zeros((1, 0), np.float32)
        self.note, self.log_prob, self._next_state = (self.tensor(outputs[name]["index"]) for name in OUTPUTS)
        for name in inputs:
            getattr(self, name)[:] = 0

    def run(self) -> None:
        """Computes one note from the inputs and advances the state.

        Raises:
            ModelFileError: the interpreter cannot run the graph on these inputs.
        """
        try:
            self.invoke()
        except RuntimeError as error:
            reason = printable(" ".join(str(error).split()))
            raise ModelFileError(
                f"the model's step failed ({reason}); its file is damaged, or it was given fields that its codec does "
                "not have"
            ) from None
        self.state[:] = self._next_state

    def tensor(self, index: int) -> NDArray[Any]:
        """A view of the tensor with this index in the graph, for inspecting a step."""
        array: NDArray[Any] = self.interpreter.tensor(index)()
        return array


def check_signature(
    inputs: Mapping[str, tuple[list[int], np.dtype[Any]]],
    outputs: Mapping[str, tuple[list[int], np.dtype[Any]]],
    codec: NoteCodec,
    record: Mapping[str, Any],
    path: str,
) -> None:
    """Refuses a graph whose inputs and outputs, as shape and dtype by name, do not match the file's record."""
    style_size = record.get("style_size", 0)
    if set(inputs) != {*INPUTS, *([STYLE] if style_size else [])} or set(outputs) != set(OUTPUTS):
        raise ModelFileError(f"{path}: its signature is {sorted(inputs)} to {sorted(outputs)}; export it again")
    sizes = {"bias": codec.size, "state": record.get("state_size"), STYLE: style_size}
    for name, (shape, dtype) in (*inputs.items(), *outputs.items()):
        expected = [1, sizes.get(name, len(FIELDS))]
        if shape != expected:
            raise ModelFileError(
                f"{path}: its {name} has shape {shape}, but its record says {expected}; export it again"
            )
        wanted = np.int32 if name in ("previous", "given", "note") else np.float32
        if dtype != wanted:
            raise ModelFileError(f"{path}: its {name} has dtype {dtype}, not {wanted.__name__}; export it again")


def shapes_and_dtypes(details: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[list[int], np.dtype[Any]]]:
    """The shape and dtype of each tensor by name, from an interpreter's details of a signature."""
    return {name: ([int(side) for side in each["shape"]], np.dtype(each["dtype"])) for name, each in details.items()}


def interpreter_module(name: str | None = None) -> ModuleType:
    """Imports a TFLite interpreter's module: the named one, or the first of `INTERPRETERS` that is installed."""
    for candidate in (name,) if name else INTERPRETERS:
        try:
            return importlib.import_module(candidate)
        except ModuleNotFoundError as error:
            if not candidate.startswith(error.name or "?"):
                raise
    raise MissingPackageError(where_none_is_installed(this_python()))
