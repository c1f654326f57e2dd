"""Describes the machine of a benchmark: hardware and software, sensors, and the limits of its performance."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path("/")
RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
PACKAGES = (*RUNTIMES, "numpy", "keras", "jax", "torch", "pretty_midi")
# The bits of `vcgencmd get_throttled`, as documented by Raspberry Pi.
THROTTLE_BITS = {
    0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit",
    16: "under-voltage has occurred", 17: "frequency capping has occurred", 18: "throttling has occurred",
    19: "soft temperature limit has occurred",
}  # fmt: skip
# Much larger than any cache, and still small on a Pi.
BANDWIDTH_BYTES = 128 * 1024 * 1024
MATRIX_SIDE = 512


def describe_machine(root: Path = ROOT) -> dict[str, Any]:
    """Describes the machine as JSON values, without host and user names; unknown values are None."""
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    memory = re.search(r"^MemTotal:\s+(\d+)", _text(root / "proc/meminfo") or "", re.MULTILINE)
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    return {
        "board": _text(root / "proc/device-tree/model"),
        "revision": _field(cpuinfo, "Revision"),
        "processor": _field(cpuinfo, "model name") or platform.processor() or None,
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "kernel": f"{platform.system()} {platform.release()}",
        "system": system,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def read_sensors(root: Path = ROOT) -> dict[str, Any]:
    """Reads governor, clock, temperature, throttling flags and load; unknown values are None."""
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    clock = _text(frequency / "scaling_cur_freq")
    temperature = _text(root / "sys/class/thermal/thermal_zone0/temp")
    load = _text(root / "proc/loadavg")
    return {
        "governor": _text(frequency / "scaling_governor"),
        "clock_mhz": int(clock) / 1_000 if clock else None,
        "temperature_c": int(temperature) / 1_000 if temperature else None,
        "throttled": _throttled(),
        "load": float(load.split()[0]) if load else None,
    }


def _throttled() -> list[str] | None:
    if not shutil.which("vcgencmd"):
        return None
    said = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, check=False).stdout
    flags = re.search(r"throttled=0x([0-9a-fA-F]+)", said)
    return [name for bit, name in THROTTLE_BITS.items() if int(flags[1], 16) >> bit & 1] if flags else None


def pin(threads: int, core: int | None = None) -> list[int]:
    """Binds this process to cores and returns them; returns no cores if the system cannot bind processes.

    Args:
        threads: the number of cores, at most those available.
        core: the core with the highest number; by default the last, which gets the fewest interrupts.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    available = sorted(os.sched_getaffinity(0))
    first = available.index(core) if core in available else len(available) - 1
    cores = [available[first - index] for index in range(min(threads, len(available)))]
    os.sched_setaffinity(0, cores)
    return sorted(cores)


def measure_limits(core: int | None = None) -> dict[str, float]:
    """Measures one core with NumPy: bytes read from memory and float32 multiply-adds per second.

    Call it in a separate process with one BLAS thread.
    """
    pin(1, core)
    import numpy as np

    from kerasmusic.bench.timing import seconds

    row = np.ones(BANDWIDTH_BYTES // 4, np.float32)
    matrix, product = np.ones((2, MATRIX_SIDE, MATRIX_SIDE), np.float32)
    reading = min(seconds(lambda: np.dot(row, row)) for _ in range(8))
    multiplying = min(seconds(lambda: np.dot(matrix, matrix, out=product)) for _ in range(40))
    return {"bytes_per_second": row.nbytes / reading, "multiply_adds_per_second": MATRIX_SIDE**3 / multiplying}


def machine_name(machine: dict[str, Any], sensors: Sequence[dict[str, Any]] = ()) -> str:
    """A short name for a machine, from its description."""
    name = machine["board"] or machine["processor"] or machine["architecture"]
    memory = f", {machine['memory_bytes'] / 2**30:.0f} GiB" if machine["memory_bytes"] else ""
    return f"{name}, {machine['cores']} cores of {machine['architecture']}{memory}"


def _text(path: Path) -> str | None:
    try:
        # Strings in the device tree end in a zero byte.
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _field(cpuinfo: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
