"""Exporting from any process, whatever its backend: the work is done in another one, on TensorFlow."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError

PRECISIONS = ("float32", "float16", "int8")


def export_tflite(model: str | os.PathLike[str], output: str | os.PathLike[str], *, precision: str = "float32") -> None:
    """Exports a `.keras` file made by kerasmusic to a `.tflite` file.

    Args:
        model: the `.keras` file; which backend it was trained on does not matter.
        output: the file to write. It appears whole or not at all.
        precision: of the weights: "float32", "float16", or "int8" (with activations quantised as they come, the
            "dynamic range" of TFLite).

    Raises:
        KerasMusicError: the model cannot be exported, with the reason.
        MissingPackageError: TensorFlow is not installed.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(f"{precision}: no such precision; there are {', '.join(PRECISIONS)}")
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingPackageError("exporting needs TensorFlow; run: pip install 'kerasmusic[tensorflow]'")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    # -P: a checkout in the current folder must not hide the installed package, which alone holds kerasmusic.export.
    command = [sys.executable, "-P", "-m", "kerasmusic.export", str(Path(model)), str(Path(output)), precision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        raise KerasMusicError(last.removeprefix("kerasmusic: "))
