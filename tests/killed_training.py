"""Kills and resumes a training at random moments until it ends: `python tests/killed_training.py [--kills 20]`.

The history must have no gaps or repeats, and the weights must equal those of an uninterrupted training bit for bit, on
one thread. The music is random, so the script needs no other files. The exit code is 1 on failure.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from kerasmusic import midi
from kerasmusic.notes import Notes

KILLS = 20
STEPS = 2_000
# One thread, because the rounding of multithreaded sums depends on the order in which threads finish.
ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


def make_music(folder: Path) -> None:
    """Writes four pieces of random notes, one of which becomes the validation split."""
    folder.mkdir(parents=True)
    for seed in range(4):
        drawn = np.random.default_rng(seed)
        start = np.cumsum(drawn.choice([0.0, 0.1, 0.25], 600))
        notes = Notes(start, drawn.integers(40, 90, 600), drawn.uniform(0.1, 1.0, 600), drawn.integers(30, 110, 600))
        midi.write(notes, folder / f"{seed}.mid")


def train(data: Path, cache: Path, run: Path, steps: int) -> None:
    """The killed process: starts the run, or resumes it from a checkpoint."""
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.training.run_folder import CHECKPOINT
    from kerasmusic.training.settings import Settings
    from kerasmusic.training.train import resume
    from kerasmusic.training.train import train as train_run

    corpus = open_corpus(data, cache=cache)
    pieces = corpus.pieces("train")
    notes = int((pieces[:, 1] - pieces[:, 0]).sum())
    settings = Settings(
        # One label per window, four windows per batch; half a step less, so that rounding up adds none.
        epochs=(steps - 0.5) * 4 / notes, batch_size=4, patience=10**6, validations=20,
        checkpoint_seconds=0.0,
    )  # fmt: skip
    if (run / CHECKPOINT).exists():
        resume(corpus, run, settings)
    else:
        train_run("tutorial", corpus, run, settings)


def start(data: Path, cache: Path, run: Path, steps: int) -> subprocess.Popen:
    command = [sys.executable, __file__, "--train", str(data), str(cache), str(run), "--steps", str(steps)]
    return subprocess.Popen(command, env={**os.environ, **ONE_THREAD}, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"the training ended by itself with {process.returncode}: {errors}")


def is_saving(run: Path) -> bool:
    """Whether a file is being written at the moment."""
    return any(path.suffix == ".keras" for path in run.glob(".*"))


def kill_and_resume(data: Path, cache: Path, run: Path, steps: int, kills: int, seed: int) -> tuple[int, int]:
    """Trains with a number of kills at random moments; returns the number of kills, and of those during saving."""
    chosen = random.Random(seed)
    killed = saving = 0
    while killed < kills:
        process = start(data, cache, run, steps)
        rows = count_rows(run)
        # Compiling takes the longest, so half of the kills wait for the end of a round; the others come at any time.
        if killed % 2 == 0:
            while process.poll() is None and count_rows(run) <= rows:
                time.sleep(0.02)
            time.sleep(chosen.uniform(0.0, 0.8))
            if killed % 4 == 0:
                # Kill while a checkpoint is partly written.
                while process.poll() is None and not is_saving(run):
                    pass
        else:
            time.sleep(chosen.uniform(0.0, 8.0))
        if process.poll() is not None:
            finish(process)
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
        saving += is_saving(run)
        print(f"kill {killed}: {count_rows(run)} rows of history", file=sys.stderr, flush=True)
    finish(start(data, cache, run, steps))
    return killed, saving


def count_rows(run: Path) -> int:
    try:
        return (run / "history.csv").read_text().count("\n")
    except OSError:
        return 0


def differences(alone: Path, killed: Path) -> list[str]:
    """The differences between a killed run and an uninterrupted one."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    from kerasmusic.models.note_model import load_model
    from kerasmusic.training.run_folder import CHECKPOINT, read_history

    found = []
    expected, history = read_history(alone), read_history(killed)
    for name in sorted({*expected, *history} - {"minutes"}):
        if not np.array_equal(expected.get(name, []), history.get(name, []), equal_nan=True):
            found.append(f"the column {name}: {expected.get(name)} and {history.get(name)}")
    for name, compiled in (("model.keras", False), (CHECKPOINT, True)):
        models = [load_model(run / name, compile=compiled) for run in (alone, killed)]
        weights = [
            [
                keras.ops.convert_to_numpy(each)
                for each in (*model.weights, *(model.optimizer.variables if compiled else ()))
            ]
            for model in models
        ]
        if len(weights[0]) != len(weights[1]):
            found.append(f"{name}: {len(weights[0])} and {len(weights[1])} weights")
        unlike = sum(a.tobytes() != b.tobytes() for a, b in zip(*weights, strict=False))
        if unlike:
            found.append(f"{name}: {unlike} of {len(weights[0])} weights differ")
    leftovers = [path.name for path in killed.glob(".*")]
    return found + [f"left behind: {leftovers}"] * bool(leftovers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", nargs=3, type=Path, metavar=("DATA", "CACHE", "RUN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(*options.train, options.steps)
        return 0
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        folder = Path(place)
        make_music(folder / "music")
        data, cache = folder / "music", folder / "cache"
        finish(start(data, cache, folder / "alone", options.steps))
        killed, saving = kill_and_resume(data, cache, folder / "killed", options.steps, options.kills, options.seed)
        found = differences(folder / "alone", folder / "killed")
        rows = count_rows(folder / "killed") - 1
    print(f"{killed} kills, {saving} of them while it was saving; {options.steps:,} steps, {rows} rows of history")
    print("\n".join(found) or "the same history and the same weights, bit for bit")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
