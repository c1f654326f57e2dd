"""A fuzzer with seeded cases: `python tests/fuzz.py [--cases 200000] [--kind KIND] [--seed 0] [--case N]`.

It mutates real files. Readers must return valid values or raise one of kerasmusic's own errors, and never crash, hang
or raise another exception. A case is identified by its kind, the seed and its number; `--case` repeats it. The exit
code is 1 if a case failed.

Kinds: `midi`, MIDI files; `file`, whole `.tflite` files; `record`, the `kerasmusic.json` inside with a correct
checksum; `codec`, tables and fields. `graph`, which runs only when named, mutates graphs and corrects the checksum, so
that only the interpreter can detect the damage.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from broken_midi import FILES
from kerasmusic import midi
from kerasmusic.bench.music import real_music
from kerasmusic.bundled import bundled_model
from kerasmusic.codec import NoteCodec
from kerasmusic.commands.inspection import describe
from kerasmusic.data.sources import open_source
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.edge.golden import verify
from kerasmusic.edge.model_file import read_model_bytes, read_record, with_record
from kerasmusic.errors import KerasMusicError
from kerasmusic.notes import Notes

CASES = 200_000
# The share of the cases that each kind gets.
SHARES = {"midi": 0.6, "file": 0.1, "record": 0.05, "codec": 0.25}
HANGS_AFTER = 120.0
LARGEST_SEED = 20_000
SPAWN = get_context("spawn")
NASTY_BYTES = (0x00, 0x01, 0x7F, 0x80, 0x81, 0x90, 0xB0, 0xC0, 0xF0, 0xF7, 0xFF)
NASTY_NUMBERS = (0, 1, -1, 127, 128, 2**31 - 1, 2**31, -(2**31), 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), True)
NASTY_VALUES = (None, "", "x" * 300, "\x1b[2J\n", [], {}, [[]], {"a": None}, "9" * 5000)


def mutated(data: bytes, chosen: random.Random, *, start: int = 0) -> bytes:
    """Applies mutations that break parsers: flipped, special, deleted, duplicated and moved bytes, and cuts."""
    changed = bytearray(data)
    for _ in range(chosen.choice((1, 1, 1, 2, 3, 5, 10, 30))):
        if len(changed) <= start + 1:
            break
        place = chosen.randrange(start, len(changed))
        length = min(chosen.choice((1, 1, 2, 3, 4, 8, 100)), len(changed) - place)
        match chosen.randrange(7):
            case 0:
                changed[place] ^= 1 << chosen.randrange(8)
            case 1:
                changed[place] = chosen.choice(NASTY_BYTES)
            case 2:
                changed[place : place + length] = chosen.randbytes(length)
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = changed[place : place + length]
            case 5:
                changed[place : place + length] = bytes([chosen.choice(NASTY_BYTES)]) * length
            case 6 if chosen.random() < 0.2:
                del changed[place:]
    return bytes(changed)


@cache
def midi_seeds() -> list[bytes]:
    """Unusual files, synthetic notes and, if available, 20 small files of real music."""
    seeds = [file.data for file in FILES.values()]
    found = real_music()
    if found:
        source = open_source(found)
        contents = (data for _, data in source.read(source.list_files().names) if isinstance(data, bytes))
        seeds += itertools.islice((data for data in contents if len(data) <= LARGEST_SEED), 20)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(5):
            drawn = np.random.default_rng(seed)
            start = np.cumsum(drawn.choice([0.0, 0.1, 0.3], 40))
            path = Path(folder) / "notes.mid"
            midi.write(Notes(start, drawn.integers(0, 128, 40), np.full(40, 0.2), drawn.integers(1, 128, 40)), path)
            seeds.append(path.read_bytes())
    return [seed for seed in seeds if 14 < len(seed) <= LARGEST_SEED]


def read_midi(chosen: random.Random) -> None:
    seeds = midi_seeds()
    data = mutated(chosen.choice(seeds), chosen)
    if chosen.random() < 0.1:
        other = chosen.choice(seeds)
        data = data[: chosen.randrange(len(data) + 1)] + other[chosen.randrange(len(other)) :]
    notes = midi.read_bytes(data, "x.mid", pedal=chosen.random() < 0.5)
    assert len(notes) > 0
    assert np.isfinite(notes.end).all()
    assert notes.seconds <= midi.LONGEST_SECONDS
    again = midi.read_bytes(midi.to_bytes(notes), "x.mid")
    assert midi.read_bytes(midi.to_bytes(again), "x.mid") == again
    codec = NoteCodec()
    codec.checked(codec.encode(notes.without_leading_silence()))


@cache
def model_seed() -> tuple[bytes, int, dict[str, Any]]:
    """A whole `.tflite` file, where its record begins, and the record."""
    built = os.environ.get("KERASMUSIC_TEST_MODELS")
    path = Path(built) / "tiny" / "model.tflite" if built else bundled_model()
    data = read_model_bytes(path)
    record = read_record(data, str(path))
    with zipfile.ZipFile(path) as archive:
        begins = archive.infolist()[0].header_offset
    # A short passage is sufficient.
    short = {name: record["golden"][name][:5] for name in ("notes", "log_prob")}
    record = {**record, "golden": {**record["golden"], **short}}
    data = with_record(data[:begins], record)
    return data, begins, record


def play_file(data: bytes) -> None:
    """Runs everything that a device does with a file."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        problems = []
        for use in (
            lambda: describe(path),
            lambda: verify(TFLiteRuntime(path)),
            lambda: Generator(path, seed=1).take(5),
        ):
            try:
                use()
            except KerasMusicError as error:
                problems.append(error)
        if problems:
            raise problems[0]


def load_file(chosen: random.Random) -> None:
    data, begins, _ = model_seed()
    # Half of the mutations are in the metadata, which is a small part of the file.
    play_file(mutated(data, chosen, start=begins if chosen.random() < 0.5 else 0))


def load_record(chosen: random.Random) -> None:
    data, begins, record = model_seed()
    changed = json.loads(json.dumps(record))
    for _ in range(chosen.choice((1, 1, 2, 4))):
        spoil(changed, chosen)
    play_file(with_record(data[:begins], changed))


def load_graph(chosen: random.Random) -> None:
    data, begins, record = model_seed()
    play_file(with_record(mutated(data[:begins], chosen, start=8), record))


def spoil(value: Any, chosen: random.Random) -> None:
    """Changes one of nested JSON values."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = chosen.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and chosen.random() < 0.8:
            value = value[key]
            continue
        match chosen.randrange(4):
            case 0:
                del value[key]
            case 1:
                value[key] = copy.deepcopy(chosen.choice(NASTY_VALUES))
            case _:
                value[key] = chosen.choice(NASTY_NUMBERS)
        return


def use_codec(chosen: random.Random) -> None:
    tables = NoteCodec().to_json()
    if chosen.random() < 0.5:
        spoil(tables, chosen)
    elif chosen.random() < 0.5:
        name = chosen.choice(("step_edges", "duration_edges", "velocity_edges"))
        tables[name] = sorted(chosen.sample(range(200), chosen.randrange(1, 60)))
    codec = NoteCodec.from_json(tables)
    count = chosen.randrange(12)
    drawn = np.random.default_rng(chosen.randrange(2**32))
    fields = drawn.integers(0, codec.sizes, (count, 4))
    if chosen.random() < 0.5:
        fields = np.asarray(drawn.integers(-5, 600, chosen.choice([(count, 4), (count, 3), (4,)])))
    notes = codec.decode(fields)
    assert len(notes) == len(fields)
    if chosen.random() < 0.5:
        notes = notes.shifted(chosen.choice((0.0, 1e-9, 1e5, 1e15, 1e300)))
    again = codec.checked(codec.encode(notes))
    assert len(again) == len(notes)


KINDS: dict[str, Callable[[random.Random], None]] = {
    "midi": read_midi,
    "file": load_file,
    "record": load_record,
    "codec": use_codec,
    "graph": load_graph,
}


def run_case(kind: str, seed: int, number: int) -> bool:
    """Runs a case; returns whether it was read rather than refused. Raises forbidden exceptions."""
    try:
        KINDS[kind](random.Random(f"{kind} {seed} {number}"))
    except KerasMusicError as error:
        refused = str(error)
    else:
        return True
    assert refused, "an error without a word"
    assert "\n" not in refused, refused
    return False


def run_cases(kind: str, seed: int, numbers: range, at: Any, read: Any, channel: Any) -> None:
    """Runs cases in a process that may crash; reports the current case and each failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Interpreters report problems of a graph on standard error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("error", RuntimeWarning)
    for number in numbers:
        at.value = number
        try:
            read.value += run_case(kind, seed, number)
        except Exception:
            channel.send((number, traceback.format_exc(limit=-3)))
    at.value = numbers.stop
    channel.send(None)


def fuzz(
    kind: str, seed: int, cases: int, *, hangs_after: float = HANGS_AFTER, run: Callable[..., None] = run_cases
) -> Iterator[tuple[int, str]]:
    """Runs cases of a kind; yields the number and the failure of each that failed. Returns the number read."""
    at, read = SPAWN.Value("q", 0, lock=False), SPAWN.Value("q", 0, lock=False)
    while at.value < cases:
        ours, theirs = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=run, args=(kind, seed, range(at.value, cases), at, read, theirs), daemon=True)
        process.start()
        theirs.close()
        seen, since = at.value, time.monotonic()
        while True:
            try:
                if ours.poll(1.0):
                    failed = ours.recv()
                    if failed is None:
                        break
                    yield failed
            except EOFError:
                process.join()
                yield at.value, f"the process died ({process.exitcode})"
                at.value += 1
                break
            if at.value != seen:
                seen, since = at.value, time.monotonic()
            elif time.monotonic() - since > hangs_after:
                process.kill()
                yield at.value, f"no answer after {hangs_after:g} seconds"
                at.value += 1
                break
        process.join()
        ours.close()
    return read.value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="in all, or of the one kind that is named")
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one case of a kind alone, in this process")
    options = parser.parse_args()
    if options.case is not None:
        print("read" if run_case(options.kind, options.seed, options.case) else "refused")
        return 0
    shares = {options.kind: 1.0} if options.kind else SHARES
    failures = 0
    for kind, share in shares.items():
        cases, failed, began = round(options.cases * share), 0, time.monotonic()
        running = fuzz(kind, options.seed, cases)
        while True:
            try:
                number, how = next(running)
            except StopIteration as ended:
                read = ended.value
                break
            failed += 1
            if failed <= 10:
                print(f"{kind} --seed {options.seed} --case {number}: {how}", flush=True)
        failures += failed
        seconds = time.monotonic() - began
        print(
            f"{kind}: {cases:,} cases, {read:,} read, {cases - read - failed:,} refused, {failed:,} failed; "
            f"{seconds:.0f} s", flush=True,
        )  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
