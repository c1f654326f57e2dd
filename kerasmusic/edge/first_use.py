"""At a runtime's first use with an exact file, checks that it plays the file's own notes, and keeps the answer."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from contextlib import suppress
from pathlib import Path

import platformdirs

from kerasmusic.edge import golden
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.edge.runtime import TFLiteRuntime, interpreter_module
from kerasmusic.files import atomic_write

CPUINFO = Path("/proc/cpuinfo")
# Lines of Linux that name a processor's instructions, on x86 and on ARM.
CPU_LINES = ("model name", "flags", "Features", "CPU part")
# The passage's first notes: a Raspberry Pi 3 plays them in two seconds.
NOTES = golden.NOTES


def parting_note(path: Path) -> int | None:
    """The first note, counted from 1, at which this machine's runtime parts from the passage of an exact file.

    The answer is kept in the user's cache until the file, the runtime's version or the processor is another.

    Returns:
        None if it plays the passage, or if the file is not exact.

    Raises:
        KerasMusicError: see `TFLiteRuntime` and `golden.verify`.
    """
    data = read_model_bytes(path)
    if read_record(data, str(path)).get("precision") != "exact":
        return None
    runtime = runtime_name()
    digest = hashlib.sha256(json.dumps([hashlib.sha256(data).hexdigest(), runtime, processor()]).encode())
    answer = platformdirs.user_cache_path("kerasmusic") / "exact" / f"{digest.hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(answer.read_text())["parting_note"]
        return None if kept is None else int(kept)
    parted = golden.verify(TFLiteRuntime(path), NOTES).parted
    # Where nothing can be kept, the next use checks again.
    with suppress(OSError), atomic_write(answer) as temporary:
        temporary.write_text(json.dumps({"runtime": runtime, "parting_note": parted}))
    return parted


def runtime_name() -> str:
    """The installed interpreter with its version, such as "ai_edge_litert 2.3.0"."""
    name = interpreter_module().__name__.split(".")[0]
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return name


def processor() -> list[str]:
    """The architecture and, on Linux, the lines of /proc/cpuinfo that decide which kernels run."""
    try:
        lines = {line for line in CPUINFO.read_text().splitlines() if line.startswith(CPU_LINES)}
    except OSError:
        lines = {platform.processor()}
    return [platform.machine(), *sorted(lines)]
