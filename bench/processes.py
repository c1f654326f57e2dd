"""Measuring in a process of its own, since a start, a backend and a peak of memory are a process's once and for all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasmusic.errors import KerasMusicError

# Run by -c, so that nothing is imported for it that a measured start would not import.
CHILD = """
import importlib, json, sys
from kerasmusic.errors import KerasMusicError
module, function, arguments = json.loads(sys.argv[1])
try:
    answer = {"result": getattr(importlib.import_module(module), function)(**arguments)}
except KerasMusicError as error:
    answer = {"error": str(error)}
print()
print(json.dumps(answer))
"""


def in_fresh_process(module: str, function: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> Any:
    """What a function returns in a new Python process; arguments and result are JSON values.

    Args:
        module: the module that has the function.
        function: its name.
        environment: variables beside those of this process.
        arguments: what the function is called with.

    Raises:
        KerasMusicError: the function raised one, or its process failed.

    >>> in_fresh_process("math", "hypot", **{})
    0.0
    """
    request = json.dumps([module, function, arguments])
    if sys.stderr.isatty():
        said = ", ".join(f"{name}={value}" for name, value in arguments.items())
        print(f"{module.rpartition('.')[2]}.{function}({said})", file=sys.stderr)
    done = subprocess.run(
        # -P: a folder where the user happens to stand is no place to import from.
        [sys.executable, "-P", "-c", CHILD, request],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise KerasMusicError(f"{module}.{function}: its process ended with {done.returncode}; what it said is above")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise KerasMusicError(answer["error"])
    return answer["result"]


def peak_memory() -> int | None:
    """The most memory in bytes that this process has held so far; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage, whose figure is at first that of the process which started this one.
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        return int(line.split()[1]) * 1024 if line else None
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
