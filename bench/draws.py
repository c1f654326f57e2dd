"""How often rounding flips a draw between two runtimes: `python -m kerasmusic.bench.draws MODEL.tflite NOTES.npy`.

Where NOTES.npy is not there, the model plays and writes it. Where it is, the model hears those very notes, and draws
each anew with the same random number: on the runtime that wrote them every draw is the same, on another one those that
differ are counted. Needs the edge install only, so that it runs in any environment.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kerasmusic.edge import Generator, TFLiteStep

NOTES = 100_000


def main() -> None:
    """Writes the notes or counts the flips, and prints one JSON object."""
    from kerasmusic.edge import Generator, TFLiteStep
    from kerasmusic.files import atomic_write

    parser = argparse.ArgumentParser(description="Counts the draws that differ between two runtimes.")
    parser.add_argument("model", help="a .tflite file made by kerasmusic")
    parser.add_argument("notes", type=Path, help="the .npy file of notes, written where it is not there")
    parser.add_argument("--count", type=int, default=NOTES, help=f"how many notes to write (default: {NOTES:,})")
    options = parser.parse_args()

    step = TFLiteStep(options.model)
    generator = Generator(step, seed=1)
    if options.notes.exists():
        written = np.load(options.notes)
        print(json.dumps({"runtime": step.runtime, "notes": len(written), "flips": flips(step, generator, written)}))
        return
    played = np.empty((options.count, 4), np.int32)
    for row in played:
        next(generator)
        row[:] = step.note[0]
    with atomic_write(options.notes) as temporary:
        np.save(temporary, played)
    print(json.dumps({"runtime": step.runtime, "notes": len(played), "written": str(options.notes)}))


def flips(step: TFLiteStep, generator: Generator, notes: NDArray[np.int32]) -> int:
    """How many of the notes int32 `[n, 4]` a step draws otherwise, hearing those before it as they are."""
    count = 0
    for fields in notes:
        before, previous = step.state.copy(), step.previous.copy()
        next(generator)
        if np.any(step.note[0] != fields):
            count += 1
            # The state is that of the note that was drawn: go back and hear the one that was written.
            step.state[:], step.previous[:], step.given[:] = before, previous, fields
            step.run()
            step.previous[:] = fields
    return count


if __name__ == "__main__":
    main()
