"""A runtime for LiteRT's CompiledModel, the API that is replacing its Interpreter."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kerasmusic.codec import NoteCodec
from kerasmusic.edge.model_file import SIGNATURE, read_model_bytes, read_record
from kerasmusic.edge.runtime import INPUTS, OUTPUTS, STYLE, check_signature, shapes_and_dtypes
from kerasmusic.edge.styles import Styles
from kerasmusic.errors import MissingPackageError, ModelFileError, printable
from kerasmusic.quiet import quiet_stderr


class CompiledModelRuntime:
    """Runs an exported file on `ai_edge_litert.compiled_model`.

    It plays the same notes as `TFLiteRuntime` but is slower: CompiledModel does not expose its buffers as arrays, so
    each tensor is copied in and out. `Generator` therefore opens paths with `TFLiteRuntime`; to use CompiledModel, pass
    a `CompiledModelRuntime` instead of a path.

    Args:
        path: a `.tflite` file exported by kerasmusic.
        threads: number of threads LiteRT may use.

    Raises:
        ModelFileError: the file is not a kerasmusic model, or LiteRT cannot read it.
        MissingPackageError: no release of ai-edge-litert with CompiledModel is installed.

    >>> from kerasmusic.bundled import bundled_model
    >>> from kerasmusic.edge import Generator
    >>> first, = Generator(CompiledModelRuntime(bundled_model()), seed=7).take(1)
    >>> first == next(Generator(bundled_model(), seed=7))
    True
    """

    name = "ai_edge_litert CompiledModel"

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        data = read_model_bytes(path)
        self.record = read_record(data, str(path))
        self.codec = NoteCodec.from_json(self.record.get("codec", {}))
        self.styles = Styles.from_record(self.record, str(path))
        try:
            from ai_edge_litert import compiled_model
        except ImportError:
            raise MissingPackageError(
                "LiteRT's CompiledModel is not installed; run: pip install --upgrade ai-edge-litert"
            ) from None
        options = compiled_model.Options(
            hardware_accelerators=compiled_model.HardwareAccelerator.CPU,
            cpu_options=compiled_model.CpuOptions(num_threads=threads),
        )
        try:
            with quiet_stderr():
                self._model = compiled_model.CompiledModel.from_buffer(data, options=options)
            inputs = shapes_and_dtypes(self._model.get_input_tensor_details(SIGNATURE))
            outputs = shapes_and_dtypes(self._model.get_output_tensor_details(SIGNATURE))
        except (
            RuntimeError,
            IndexError,
        ) as error:  # ai-edge-litert 2.2 raises IndexError for a graph without subgraphs
            reason = printable(" ".join(str(error).split()))
            raise ModelFileError(f"{path}: {self.name} cannot read it ({reason})") from None
        check_signature(inputs, outputs, self.codec, self.record, str(path))
        self._inputs = {name: self._model.create_input_buffer_by_name(SIGNATURE, name) for name in inputs}
        self._outputs = {name: self._model.create_output_buffer_by_name(SIGNATURE, name) for name in OUTPUTS}
        self.previous, self.given, self.state, self.uniform, self.temperature, self.min_p, self.bias = (
            np.zeros(*inputs[name]) for name in INPUTS
        )
        self.style = np.zeros(*inputs.get(STYLE, ((1, 0), np.dtype(np.float32))))
        self.note, self.log_prob = (np.zeros(*outputs[name]) for name in OUTPUTS[:2])

    def run(self) -> None:
        """Computes one note from the inputs and advances the state.

        Raises:
            ModelFileError: LiteRT cannot run the graph on these inputs.
        """
        for name, buffer in self._inputs.items():
            buffer.write(getattr(self, name))
        try:
            self._model.run_by_name(SIGNATURE, self._inputs, self._outputs)
        except RuntimeError as error:
            reason = printable(" ".join(str(error).split()))
            raise ModelFileError(f"the model's step failed ({reason}); its file may be damaged") from None
        for name, buffer in self._outputs.items():
            array: Any = getattr(self, name)
            array[:] = buffer.read(array.size, array.dtype).reshape(array.shape)
