"""The exporter: from a `.keras` file to a `.tflite` file that carries its own record.

This package alone imports TensorFlow, and only in the process that `export_tflite` starts for it, since Keras fixes its
backend when it is imported and the caller may be training on another.
"""

from kerasmusic.export.process import PRECISIONS, Excerpts, ExportResult, export_precisions, export_tflite

__all__ = ["PRECISIONS", "Excerpts", "ExportResult", "export_precisions", "export_tflite"]
