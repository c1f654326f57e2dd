"""Counts draws that rounding flips between runtimes: `python -m kerasmusic.bench.draws MODEL.tflite NOTES.npy`.

If NOTES.npy does not exist, the model generates the notes and writes them. If it exists, each note is drawn again,
given the notes before it and the same random numbers, and the draws that differ are counted. On the runtime that wrote
the file, none differs. Only the edge installation is needed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kerasmusic.edge import Generator, TFLiteRuntime

NOTES = 100_000


def main() -> None:
    """Writes the notes or counts the flips, and prints one JSON object."""
    from kerasmusic.edge import Generator, TFLiteRuntime
    from kerasmusic.files import atomic_write

    parser = argparse.ArgumentParser(description="Counts the draws that differ between two runtimes.")
    parser.add_argument("model", help="a .tflite file made by kerasmusic")
    parser.add_argument("notes", type=Path, help="the .npy file of notes; written if it does not exist")
    parser.add_argument("--count", type=int, default=NOTES, help=f"the number of notes to write (default: {NOTES:,})")
    options = parser.parse_args()

    runtime = TFLiteRuntime(options.model)
    generator = Generator(runtime, seed=1)
    if options.notes.exists():
        written = np.load(options.notes)
        print(json.dumps({"runtime": runtime.name, "notes": len(written), "flips": flips(runtime, generator, written)}))
        return
    played = np.empty((options.count, 4), np.int32)
    for row in played:
        next(generator)
        row[:] = runtime.note[0]
    with atomic_write(options.notes) as temporary:
        np.save(temporary, played)
    print(json.dumps({"runtime": runtime.name, "notes": len(played), "written": str(options.notes)}))


def flips(runtime: TFLiteRuntime, generator: Generator, notes: NDArray[np.int32]) -> int:
    """The number of notes, int32 `[n, 4]`, that a step draws differently, given the notes before them."""
    count = 0
    for fields in notes:
        before, previous = runtime.state.copy(), runtime.previous.copy()
        next(generator)
        if np.any(runtime.note[0] != fields):
            count += 1
            # The state includes the differing note: restore it, and feed the recorded note instead.
            runtime.state[:], runtime.previous[:], runtime.given[:] = before, previous, fields
            runtime.run()
            runtime.previous[:] = fields
    return count


if __name__ == "__main__":
    main()
