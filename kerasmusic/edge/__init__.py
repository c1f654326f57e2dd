"""The device's side: plays an exported model with NumPy and a TFLite interpreter, nothing else."""

from kerasmusic.edge.compiled_step import CompiledModelStep
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.step import Step, TFLiteStep

__all__ = ["CompiledModelStep", "Generator", "Step", "TFLiteStep"]
