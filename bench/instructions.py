"""Counts executed instructions per note on emulated Raspberry Pi cores: `kerasmusic bench instructions --help`.

Counts are exact and vary between runs by less than 0.01 %, because of Python and the loader. They are not times, since
they ignore caches and memory. A count is the difference between many notes and few, so that the start-up cancels out.
The emulator is QEMU with a counting plugin, run by the scripts in `pi/`.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasmusic.bench import records
from kerasmusic.errors import KerasMusicError, MissingPackageError

LABEL = "instructions, emulated core"
CORES = {
    "pi3": "Raspberry Pi 3, Cortex-A53",
    "pi4": "Raspberry Pi 4, Cortex-A72",
    "pi5": "Raspberry Pi 5, Cortex-A76",
}
AT_MOST = {"pi4": 0.6e6, "pi5": 0.4e6}
NOTES = (20, 120)
WARM_UP = 20
#: The allowed relative growth of a note of `small` over the committed record.
GROWTH = 0.10
SCRIPTS = Path(__file__).parent / "pi"
# The system call at which `pi/count.c` prints its count.
MARKER = 7001


def measure(models: Sequence[str], folder: str, site: str, profile: bool = False) -> dict[str, Any]:
    """The record of instructions of models on each of `CORES`.

    Args:
        models: `.tflite` files.
        folder: the folder that `pi/unpack.sh` filled, with `qemu` and `arm64`; the plugin is built in it.
        site: a folder of arm64 packages, with kerasmusic, NumPy and an interpreter.
        profile: whether to count each kind of operator too; this needs TensorFlow to split the graph.

    Raises:
        KerasMusicError: the emulator is missing or fails.
        MissingPackageError: `profile` is set, and TensorFlow is not installed.
    """
    if profile and importlib.util.find_spec("tensorflow") is None:
        raise MissingPackageError("a profile needs TensorFlow; run: pip install 'kerasmusic[tensorflow]'")
    record = records.new_record("instructions", {"notes": list(NOTES), "warm_up": WARM_UP, "threads": 1})
    emulation = _Emulation(Path(folder), site)
    record |= {"models": [], "results": [], "targets": []}
    for index, model in enumerate(models):
        for core in CORES:
            described, counts = emulation.run(core, "steps", model)
            spent = [(many - few) / (NOTES[1] - NOTES[0]) for few, many in zip(counts[::2], counts[1::2], strict=True)]
            result = {"model": index, "core": core, "processor": CORES[core], "invoke": spent[0], "note": spent[1]}
            if profile:
                result["profile"] = _profile(emulation, core, model)
            record["results"].append(result)
            if (described["preset"], described["precision"]) == ("small", "exact") and core in AT_MOST:
                what = f"{described['name']}: {LABEL}, of a note's invoke, {CORES[core]}"
                record["targets"].append(records.target(what, spent[0], at_most=AT_MOST[core]))
        record["models"].append(described)
    record["emulator"] = {"label": LABEL, "qemu": emulation.version(), "runtime": record["models"][0]["runtime"]}
    return record


def regressions(found: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """One sentence for each count of `small` that exceeds the committed record by more than `GROWTH`."""
    before = {_key(committed, result): result for result in committed["results"]}
    sentences = []
    for result in found["results"]:
        previous = before.get(_key(found, result))
        for what in ("invoke", "note"):
            if previous and _key(found, result)[0] == "small" and result[what] > (1 + GROWTH) * previous[what]:
                sentences.append(
                    f"{what} of {' '.join(_key(found, result))}: {result[what]:,.0f} instructions, "
                    f"{result[what] / previous[what] - 1:.1%} more than the {previous[what]:,.0f} of the record"
                )
    if not any(_key(found, result) in before for result in found["results"] if _key(found, result)[0] == "small"):
        sentences.append("the committed record has no core and precision of small that was counted here")
    return sentences


def _key(record: dict[str, Any], result: dict[str, Any]) -> tuple[str, str, str]:
    model = record["models"][result["model"]]
    return model["preset"], model["precision"], result["core"]


class _Emulation:
    """Runs this module on an emulated core, and collects the plugin's counts."""

    def __init__(self, folder: Path, site: str) -> None:
        for path in (folder / "qemu", folder / "arm64", Path(site)):
            if not path.exists():
                raise KerasMusicError(f"{path}: does not exist; 'nox -s bench-pi' creates what the emulator needs")
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise KerasMusicError("counting instructions needs a C compiler; run: apt install gcc")
        plugin = (folder / "count.so").resolve()
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", str(SCRIPTS / "count.c"), "-o", str(plugin)], check=True)
        self.script = ["bash", str(SCRIPTS / "run.sh"), str(folder)]
        self.site = site
        self.environment = {**os.environ, "PLUGIN": str(plugin)}

    def run(self, core: str, what: str, path: str) -> tuple[Any, list[int]]:
        """The result of one of the functions `COUNTED`, and the instructions between each pair of its markers."""
        done = subprocess.run(
            [*self.script, core, self.site, "-P", "-m", __spec__.name, what, path],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise KerasMusicError(f"{path}: failed on the emulated {CORES[core]}: {done.stderr.strip()[-400:]}")
        counts = [int(count) for count in re.findall(r"^instructions (\d+)$", done.stderr, re.MULTILINE)]
        between = [after - before for before, after in zip(counts[::2], counts[1::2], strict=True)]
        return json.loads(done.stdout.splitlines()[-1]), between

    def version(self) -> str:
        """QEMU's name and version."""
        command = [*self.script, "--version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _profile(emulation: _Emulation, core: str, model: str) -> dict[str, dict[str, float]]:
    """The uses and instructions of each kind of operator in a step, most expensive first.

    Prefixes of the graph that end with each operator in turn are counted, so that the parts add up to the whole.
    """
    from kerasmusic.edge.model_file import read_model_bytes
    from kerasmusic.export.prefixes import prefixes

    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        names: list[str] = []
        for name, graph in prefixes(read_model_bytes(model)):
            Path(folder, f"{len(names):04d}.tflite").write_bytes(graph)
            names.append(name)
        _, counts = emulation.run(core, "graphs", folder)
    found: dict[str, dict[str, float]] = {}
    before = 0.0
    for name, count in zip(names, counts, strict=True):
        part = found.setdefault(name, {"uses": 0, "instructions": 0.0})
        part["uses"] += 1
        part["instructions"] += count / NOTES[0] - before
        before = count / NOTES[0]
    return dict(sorted(found.items(), key=lambda item: -item[1]["instructions"]))


@functools.cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _mark() -> None:
    """Makes the plugin print its count."""
    _process().syscall(ctypes.c_long(MARKER))


def _count_steps(path: str) -> dict[str, Any]:
    """Runs on the emulated core: few and many calls of `invoke`, then whole notes, each between two markers."""
    from kerasmusic.bench.latency import midi_messages
    from kerasmusic.bench.models import describe_model
    from kerasmusic.edge import Generator, TFLiteRuntime

    runtime = TFLiteRuntime(path)
    generator = Generator(runtime, seed=0)
    for _ in range(WARM_UP):
        midi_messages(next(generator))
    actions: tuple[Callable[[], object], ...] = (runtime.invoke, lambda: midi_messages(next(generator)))
    for action in actions:
        for notes in NOTES:
            _mark()
            for _ in range(notes):
                action()
            _mark()
    return describe_model(path)


def _count_graphs(folder: str) -> int:
    """Runs on the emulated core: steps of all graphs in a folder, in order, each between two markers."""
    from kerasmusic.edge.runtime import interpreter_module

    paths = sorted(Path(folder).iterdir())
    for path in paths:
        interpreter = interpreter_module().Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            # Any valid note will do; without one, the graph would read uninitialised memory.
            drawn = "given" in detail["name"]
            interpreter.set_tensor(detail["index"], np.full(detail["shape"], -1 if drawn else 0, detail["dtype"]))
        # Called directly, as TFLiteRuntime does, without the Python wrapper.
        invoke = interpreter._interpreter.Invoke
        for _ in range(2):
            invoke()
        _mark()
        for _ in range(NOTES[0]):
            invoke()
        _mark()
    return len(paths)


COUNTED: dict[str, Callable[[str], Any]] = {"steps": _count_steps, "graphs": _count_graphs}

if __name__ == "__main__":
    # A garbage collection would be charged to an arbitrary step.
    gc.disable()
    print(json.dumps(COUNTED[sys.argv[1]](sys.argv[2])))
