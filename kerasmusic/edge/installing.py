"""The install command for a TFLite interpreter that suits the running Python.

Environment markers of a package cannot make this choice: `platform_machine` reports the kernel's architecture, which is
aarch64 on the 32-bit Raspberry Pi OS of a Pi 4 or 5, where a 64-bit kernel runs a 32-bit Python.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from typing import NamedTuple


class PythonBuild(NamedTuple):
    """The properties of a Python build that decide which interpreters are available."""

    bits: int
    version: tuple[int, int]
    abi: str
    machine: str


def this_python() -> PythonBuild:
    """The running Python's build."""
    return PythonBuild(
        bits=64 if sys.maxsize > 2**32 else 32,
        version=sys.version_info[:2],
        abi=sysconfig.get_config_var("SOABI") or "",
        machine=platform.machine(),
    )


def where_none_is_installed(python: PythonBuild) -> str:
    """The error message for a system without an interpreter.

    >>> where_none_is_installed(PythonBuild(64, (3, 13), "cpython-313-aarch64-linux-gnu", "aarch64"))
    "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge]'"
    >>> where_none_is_installed(PythonBuild(32, (3, 11), "cpython-311-arm-linux-gnueabihf", "aarch64"))
    "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge-32bit]'"
    """
    if python.bits == 64:
        return "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge]'"
    # tflite-runtime 2.14, the last release, has ARMv7 wheels for Python 3.11; no newer interpreter has 32-bit wheels.
    if python.version < (3, 12) and "arm-linux-gnueabihf" in python.abi and python.machine != "armv6l":
        return "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge-32bit]'"
    return (
        "no TFLite interpreter is installed, and there is none for a 32-bit Python "
        f"{'.'.join(map(str, python.version))} on {python.machine}; use a 64-bit system, or Python 3.11 on ARMv7"
    )


def where_it_is_too_old(python: PythonBuild) -> str:
    """The remedy when the installed interpreter cannot read a file.

    >>> where_it_is_too_old(PythonBuild(64, (3, 11), "cpython-311-x86_64-linux-gnu", "x86_64"))
    'run: pip install --upgrade ai-edge-litert'
    """
    if python.bits == 64:
        return "run: pip install --upgrade ai-edge-litert"
    return "32-bit systems have no runtime newer than 2.14; export the model again: kerasmusic export --tflite RUN"
