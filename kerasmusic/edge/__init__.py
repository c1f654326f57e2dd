"""The device's side: plays an exported model with NumPy and a TFLite interpreter, nothing else."""

from kerasmusic.edge.compiled_runtime import CompiledModelRuntime
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.runtime import Runtime, TFLiteRuntime

__all__ = ["CompiledModelRuntime", "Generator", "Runtime", "TFLiteRuntime"]
