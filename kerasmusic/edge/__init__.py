"""The on-device runtime: plays an exported model with only NumPy and a TFLite interpreter."""

from kerasmusic.edge.compiled_runtime import CompiledModelRuntime
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.runtime import Runtime, TFLiteRuntime

__all__ = ["CompiledModelRuntime", "Generator", "Runtime", "TFLiteRuntime"]
