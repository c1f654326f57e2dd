"""Runs measurements in new processes, since a start, a backend and peak memory belong to a whole process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasmusic.processes import call_in_process


def in_fresh_process(module: str, function: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> Any:
    """Calls a function in a new Python process and reports it on a terminal; see `call_in_process`.

    >>> in_fresh_process("math", "hypot")
    0.0
    """
    if sys.stderr.isatty():
        values = ", ".join(f"{name}={value}" for name, value in arguments.items())
        print(f"{module.rpartition('.')[2]}.{function}({values})", file=sys.stderr)
    return call_in_process(module, function, {"TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}, **arguments)


def peak_memory() -> int | None:
    """The peak memory of this process so far, in bytes; None if unknown."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage, which begins with the value of the parent process.
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return int(line.split()[1]) * 1024 if line else None
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
