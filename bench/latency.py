"""Measures latency on a workstation or a Pi, with the edge installation alone: `kerasmusic bench latency --help`.

Each file is started several times in new processes, the files in random order. The parts of each start are timed. Then
the warm step is timed in three layers, which alternate so that disturbances affect all of them alike:

- `invoke`: the interpreter runs the graph;
- `tensors`: in addition, the inputs are written, and the note and the state are read;
- `note`: `Generator` makes the next note and its two MIDI messages.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerasmusic.bench import machine, pace, records
from kerasmusic.bench.models import describe_models
from kerasmusic.bench.processes import in_fresh_process, peak_memory
from kerasmusic.bench.timing import summary

if TYPE_CHECKING:
    from kerasmusic.edge import Generator, TFLiteRuntime
    from kerasmusic.notes import Note

LAYERS = ("invoke", "tensors", "note")
COLD = ("start", "import", "load", "allocate", "first_note")
# Consecutive steps of one layer before the next takes its turn.
TURN = 50
SUSTAINED_WINDOWS = 60
ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Settings:
    """Settings of a measurement.

    Args:
        threads: the numbers of interpreter threads to measure.
        rounds: the number of starts of each file; their steps are pooled.
        warm_up: the number of untimed notes in each start.
        steps: the number of timed steps of each layer in each start.
        real_time: the seconds of real-time playing at each of `pace.PACES`, in the first round.
        sustained: the seconds of continuous playing, to detect throttling, with the first number of threads.
        core: the processor core to use; see `machine.pin`.
        seed: the seed of the order of files and of the notes.
        pieces: the number of validation performances on which nats per note are measured; by default all.
    """

    threads: Sequence[int] = (1, 2, 4)
    rounds: int = 5
    warm_up: int = 200
    steps: int = 1_000
    real_time: float = 5.0
    sustained: float = 0.0
    core: int | None = None
    seed: int = 0
    pieces: int | None = None


#: A quick measurement: one thread, few starts, one second in real time.
SHORT = Settings(threads=(1,), rounds=2, real_time=1.0, pieces=2)


def measure(
    models: Sequence[str | os.PathLike[str]], settings: Settings = SHORT, data: str | None = None
) -> dict[str, Any]:
    """The record of the latency of models.

    Args:
        models: `.tflite` files.
        settings: the settings of the measurement.
        data: a folder or zip of MIDI files; nats per note are measured on its validation split.

    Raises:
        ModelFileError: a file is not a model that the interpreter can read.
    """
    record = records.new_record("latency", {**asdict(settings), "data": data and Path(data).name})
    paths = [str(path) for path in models]
    record["models"] = describe_models(paths)
    record["machine"] = machine.describe_machine()
    record["limits"] = in_fresh_process(machine.__name__, "measure_limits", ONE_BLAS_THREAD, core=settings.core)
    record["before"] = machine.read_sensors()
    order = random.Random(settings.seed)
    starts: dict[tuple[int, int], list[dict[str, Any]]]
    starts = {(index, threads): [] for index in range(len(paths)) for threads in settings.threads}
    common: dict[str, Any] = {"core": settings.core, "seed": settings.seed}
    for number in range(settings.rounds):
        for index, threads in order.sample(list(starts), len(starts)):
            found = in_fresh_process(
                __name__, "start", path=paths[index], threads=threads, warm_up=settings.warm_up, steps=settings.steps,
                real_time=0.0 if number else settings.real_time, spawned=time.perf_counter_ns(), **common,
            )  # fmt: skip
            starts[index, threads].append(found)
    results = [{"model": index, "threads": threads, **_merge(found)} for (index, threads), found in starts.items()]
    for result in results:
        if settings.sustained and result["threads"] == settings.threads[0]:
            result["sustained"] = in_fresh_process(
                __name__, "play_continuously", path=paths[result["model"]], threads=result["threads"],
                seconds=settings.sustained, **common,
            )  # fmt: skip
    record["after"] = machine.read_sensors()
    if data is not None:
        for path, model in zip(paths, record["models"], strict=True):
            model["nats"] = in_fresh_process(
                "kerasmusic.bench.models", "measure_nats", path=path, data=data, pieces=settings.pieces
            )
    record["results"] = results
    record["targets"] = _targets(record)
    return record


def start(
    path: str, threads: int, core: int | None, seed: int, warm_up: int, steps: int, real_time: float, spawned: int
) -> dict[str, Any]:
    """Measures one start of a file in a new process: the parts of the start, the warm layers, and real time."""
    clock = time.perf_counter_ns
    times = [spawned, clock()]
    cores = machine.pin(threads, core)
    from kerasmusic.edge import Generator, TFLiteRuntime
    from kerasmusic.edge.runtime import interpreter_module

    module = interpreter_module()
    allocating = []

    class TimedInterpreter(module.Interpreter):  # type: ignore[misc, name-defined]
        def allocate_tensors(self) -> None:
            began = clock()
            super().allocate_tensors()
            allocating.append(clock() - began)

    module.Interpreter = TimedInterpreter  # type: ignore[attr-defined]
    times.append(clock())
    runtime = TFLiteRuntime(path, threads=threads)
    generator = Generator(runtime, seed=seed)
    times += [clock() - sum(allocating), clock()]
    midi_messages(next(generator))
    times.append(clock())
    cold = {name: (after - before) / 1e6 for name, before, after in zip(COLD, times, times[1:], strict=False)}
    layers = _warm_layers(runtime, generator, warm_up, steps, seed)
    paces = {}
    if real_time:
        paces = {name: _in_real_time(generator, gap, real_time) for name, gap in pace.PACES.items()}
    return {"cores": cores, "cold_ms": cold, "layers": layers, "real_time": paces, "memory": peak_memory()}


def midi_messages(note: Note) -> bytes:
    """The note-on and note-off messages of a note, on channel 1."""
    return bytes((0x90, note.pitch, note.velocity, 0x80, note.pitch, 0))


def _warm_layers(
    runtime: TFLiteRuntime, generator: Generator, warm_up: int, steps: int, seed: int
) -> dict[str, list[int]]:
    """The nanoseconds of `steps` steps of each layer; see the module's docstring."""
    for _ in range(warm_up):
        next(generator)
    previous, given, uniform = runtime.note.copy(), runtime.given.copy(), runtime.uniform.copy()

    def tensors() -> list[int]:
        runtime.previous[:] = previous
        runtime.given[:] = given
        runtime.uniform[:] = uniform
        runtime.run()
        return runtime.note[0].tolist()

    actions: dict[str, Callable[[], object]] = {
        "invoke": runtime.invoke,
        "tensors": tensors,
        "note": lambda: midi_messages(next(generator)),
    }
    times: dict[str, list[int]] = {name: [] for name in LAYERS}
    clock, order = time.perf_counter_ns, random.Random(seed)
    while len(times["note"]) < steps:
        for name in order.sample(LAYERS, len(LAYERS)):
            action, into = actions[name], times[name]
            for _ in range(min(TURN, steps - len(into))):
                began = clock()
                action()
                into.append(clock() - began)
    return times


def _in_real_time(generator: Generator, gap: float, seconds: float) -> dict[str, Any]:
    """Makes notes at regular onsets, and sleeps in between; a note later than the next onset counts as missed."""
    clock, gap_ns = time.perf_counter_ns, round(gap * 1e9)
    notes = max(1, round(seconds / gap))
    ready, began = [], clock()
    for index in range(notes):
        onset = began + index * gap_ns
        time.sleep(max(0, onset - clock()) / 1e9)
        midi_messages(next(generator))
        ready.append(clock() - onset)
    missed = sum(late > gap_ns for late in ready)
    return {"gap_seconds": gap, "notes": notes, "missed": missed, "ready_us": summary(ready)}


def play_continuously(path: str, threads: int, core: int | None, seed: int, seconds: float) -> list[dict[str, Any]]:
    """Plays continuously; records latency and temperature in each of `SUSTAINED_WINDOWS` parts of the time."""
    machine.pin(threads, core)
    from kerasmusic.edge import Generator

    generator = Generator(path, seed=seed, threads=threads)
    clock, window = time.perf_counter_ns, seconds / SUSTAINED_WINDOWS
    found, began = [], clock()
    for index in range(SUSTAINED_WINDOWS):
        until = began + round((index + 1) * window * 1e9)
        times: list[int] = []
        while not times or times[-1] < until:
            times.append(clock())
            midi_messages(next(generator))
        taken = [after - before for before, after in zip(times, [*times[1:], clock()], strict=True)]
        found.append({"seconds": round((index + 1) * window, 1), "note_us": summary(taken), **machine.read_sensors()})
    return found


def _merge(starts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merges several starts of one file into one result."""
    layers = {name: summary([time for start in starts for time in start["layers"][name]]) for name in LAYERS}
    cold = {name: statistics.median(start["cold_ms"][name] for start in starts) for name in COLD}
    totals = [sum(start["cold_ms"].values()) for start in starts]
    memory = [start["memory"] for start in starts if start["memory"] is not None]
    return {
        "cores": starts[0]["cores"],
        "cold_ms": {name: round(value, 3) for name, value in cold.items()},
        "cold_total_ms": {"median": round(statistics.median(totals), 3), "max": round(max(totals), 3)},
        "layers_us": layers,
        # The difference of medians within each start, since the machine may be quieter during one start than another.
        "note_less_invoke_us": round(
            statistics.median(
                (statistics.median(start["layers"]["note"]) - statistics.median(start["layers"]["invoke"])) / 1_000
                for start in starts
            ),
            3,
        ),
        "notes_per_second": round(1e6 / layers["note"]["mean"], 1),
        "peak_memory_bytes": max(memory, default=None),
        "real_time": starts[0]["real_time"],
    }


def _targets(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Targets for each file with the first number of threads; adds the bounds to the results."""
    limits, targets = record["limits"], []
    for result in record["results"]:
        if result["threads"] != record["settings"]["threads"][0]:
            continue
        model = record["models"][result["model"]]
        name = model["name"]
        bound = {
            "bytes": 1e6 * model["matrix_bytes"] / limits["bytes_per_second"],
            "multiply_adds": 1e6 * model["multiply_adds"] / limits["multiply_adds_per_second"],
        }
        result["bound_us"] = {part: round(value, 3) for part, value in bound.items()}
        targets += [
            records.target(
                f"{name}: a whole note against invoke alone, microseconds more", result["note_less_invoke_us"],
                at_most=15,
            ),
            records.target(
                f"{name}: invoke against the time of its weights' bytes or of its multiply-adds, whichever is longer",
                round(result["layers_us"]["invoke"]["p50"] / max(bound.values()), 3), at_most=4,
            ),
            records.target(
                f"{name}: cold start to the first note, seconds", result["cold_total_ms"]["median"] / 1_000, at_most=0.6
            ),
        ]  # fmt: skip
    return targets
