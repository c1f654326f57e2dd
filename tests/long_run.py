"""Monitors one generator over many notes: `python tests/long_run.py [--notes N] [--model MODEL.tflite]`.

For each note it checks the fields, the time against an exact clock, and that the state and the log probabilities are
finite. It measures memory every 100,000 notes. The exit code is 1 if a check fails.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from kerasmusic.bundled import bundled_model
from kerasmusic.codec import TICKS_PER_SECOND
from kerasmusic.edge import Generator, TFLiteRuntime

NOTES = 10_000_000
LOOK_EVERY = 100_000
MAX_GROWTH = 1_000_000
MAX_DRIFT = 1e-3


@dataclass
class Watched:
    """The results: notes, hours of music, growth of memory in bytes, and drift in seconds per hour."""

    notes: int
    hours: float
    growth: int
    drift: float
    faults: list[str]


def memory() -> int:
    """The resident memory of this process in bytes; 0 if unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def play(model: Path, notes: int, *, seed: int = 0, look_every: int = LOOK_EVERY, report: bool = False) -> Watched:
    """Plays a number of notes and returns the results."""
    runtime = TFLiteRuntime(model)
    generator = Generator(runtime, seed=seed)
    sizes, ticks = runtime.codec.sizes, runtime.codec.step_ticks.tolist()
    tick, first_memory, growth, drift, faults = 0, 0, 0, 0.0, []
    began = time.monotonic()
    for index, note in enumerate(generator):
        fields = runtime.note[0].tolist()
        tick += ticks[fields[0]]
        if not all(0 <= value < size for value, size in zip(fields, sizes, strict=True)):
            faults.append(f"note {index}: the fields {fields}")
        if not (0 <= note.pitch <= 127 and 1 <= note.velocity <= 127 and note.duration > 0):
            faults.append(f"note {index}: {note}")
        drift = max(drift, abs(note.start - tick / TICKS_PER_SECOND))
        if index == 0:
            has_distribution = ~np.isnan(runtime.log_prob)
        if not np.isfinite(runtime.state).all() or np.isnan(runtime.log_prob[has_distribution]).any():
            faults.append(f"note {index}: the state or a log probability is not a number")
        if len(faults) > 10:
            break
        if (index + 1) % look_every == 0 or index + 1 == notes:
            # Allocations of the first notes do not count.
            first_memory = first_memory or memory()
            growth = max(growth, memory() - first_memory)
            exact = float(abs(Fraction(note.start) - Fraction(tick, TICKS_PER_SECOND)))
            drift = max(drift, exact)
            if report:
                speed = (index + 1) / (time.monotonic() - began)
                hours = tick / TICKS_PER_SECOND / 3600
                print(
                    f"{index + 1:,} notes, {hours:,.1f} hours, {speed:,.0f} notes/s, {growth:,} bytes gained",
                    flush=True,
                )
        if index + 1 == notes:
            break
    hours = tick / TICKS_PER_SECOND / 3600
    drift_per_hour = drift / max(hours, 1.0)
    if growth > MAX_GROWTH:
        faults.append(f"memory grew by {growth:,} bytes")
    if drift_per_hour > MAX_DRIFT:
        faults.append(f"the clock drifted by {drift_per_hour:g} s per hour of music")
    return Watched(index + 1, hours, growth, drift_per_hour, faults)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=NOTES)
    parser.add_argument("--model", type=Path, help="a .tflite file (default: the bundled model)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seen = play(options.model or bundled_model(), options.notes, seed=options.seed, report=True)
    print(
        f"{seen.notes:,} notes, {seen.hours:,.1f} hours of music: memory grew by {seen.growth:,} bytes, "
        f"the clock was off by at most {seen.drift:.2g} s per hour"
    )
    print("\n".join(seen.faults) or "nothing to complain of")
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(main())
