"""Reads MIDI files one by one, each within 2 seconds of processor time: `python read_within.py FILE...`.

Prints one JSON line per file, with the outcome and the peak memory so far in bytes. A file that takes longer ends the
process with SIGPROF before its line.
"""

import json
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np

from kerasmusic import midi
from kerasmusic.errors import MidiError

SECONDS = 2.0

if __name__ == "__main__":
    for path in sys.argv[1:]:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        began = time.process_time()
        try:
            notes = midi.read(path)
            outcome = {
                "notes": len(notes),
                "pitch": [int(notes.pitch.min()), int(notes.pitch.max())],
                "velocity": [int(notes.velocity.min()), int(notes.velocity.max())],
                "seconds": [float(notes.start.min()), float(notes.end.max())],
                "finite": bool(np.isfinite(notes.end).all() and (notes.duration >= 0).all()),
            }
        except MidiError as error:
            outcome = {"refused": str(error)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        # Not getrusage, which includes the parent process.
        bytes_used = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
        took = time.process_time() - began
        print(json.dumps({"path": path, "bytes": bytes_used, "took": round(took, 4), **outcome}), flush=True)
