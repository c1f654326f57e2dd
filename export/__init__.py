"""The exporter: turns a `.keras` file into a `.tflite` file that carries its own metadata.

TensorFlow is imported only in the process that `export_tflite` starts, since Keras fixes its backend when it is
imported, and the caller may use another.
"""

from kerasmusic.export.process import PRECISIONS, Excerpts, ExportResult, export_precisions, export_tflite
from kerasmusic.export.targets import Target, export_model, register_target

__all__ = [
    "PRECISIONS",
    "Excerpts",
    "ExportResult",
    "Target",
    "export_model",
    "export_precisions",
    "export_tflite",
    "register_target",
]
