"""The line that installs a TFLite interpreter for the Python that runs, which no marker of a package can choose alone.

Packages choose by `platform_machine`, and that is the kernel's: a 64-bit kernel with 32-bit programs, as 32-bit
Raspberry Pi OS has on a Pi 4 and 5, reads as aarch64. Whether Python has 32 bits is known to Python alone.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from typing import NamedTuple


class PythonBuild(NamedTuple):
    """What decides which interpreters there are for a Python."""

    bits: int
    version: tuple[int, int]
    abi: str
    machine: str


def this_python() -> PythonBuild:
    """The Python that runs this."""
    return PythonBuild(
        bits=64 if sys.maxsize > 2**32 else 32,
        version=sys.version_info[:2],
        abi=sysconfig.get_config_var("SOABI") or "",
        machine=platform.machine(),
    )


def where_none_is_installed(python: PythonBuild) -> str:
    """The error's text where no interpreter is installed.

    >>> where_none_is_installed(PythonBuild(64, (3, 13), "cpython-313-aarch64-linux-gnu", "aarch64"))
    "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge]'"
    >>> where_none_is_installed(PythonBuild(32, (3, 11), "cpython-311-arm-linux-gnueabihf", "aarch64"))
    "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge-32bit]'"
    """
    if python.bits == 64:
        return "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge]'"
    # The last tflite-runtime, 2.14, has wheels for ARMv7 and Python 3.11; nothing newer has any for 32 bits.
    if python.version < (3, 12) and "arm-linux-gnueabihf" in python.abi and python.machine != "armv6l":
        return "no TFLite interpreter is installed; run: pip install 'kerasmusic[edge-32bit]'"
    return (
        "no TFLite interpreter is installed, and there is none for a 32-bit Python "
        f"{'.'.join(map(str, python.version))} on {python.machine}: take a 64-bit system, or Python 3.11 on ARMv7"
    )


def where_it_is_too_old(python: PythonBuild) -> str:
    """What to do where the interpreter that is installed does not read a file.

    >>> where_it_is_too_old(PythonBuild(64, (3, 11), "cpython-311-x86_64-linux-gnu", "x86_64"))
    'run: pip install --upgrade ai-edge-litert'
    """
    if python.bits == 64:
        return "run: pip install --upgrade ai-edge-litert"
    return "32-bit systems have none after 2.14, so export it anew: kerasmusic export --tflite RUN"
