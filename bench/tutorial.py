"""Compares kerasmusic with the tutorial that it is based on, in one run: `kerasmusic bench tutorial --help`."""

from __future__ import annotations

import importlib.util
import itertools
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasmusic.bench import ingest, machine, records
from kerasmusic.bench.models import describe_models
from kerasmusic.bench.processes import in_fresh_process, peak_memory
from kerasmusic.bench.timing import seconds
from kerasmusic.errors import MissingPackageError

BACKENDS = ("tensorflow", "jax")
# The target for the speed of a note relative to the tutorial's loop.
TIMES_FASTER = {"tensorflow": 1_000, "jax": 15}
FILES = 100
WINDOW = 256


def measure(model: str, data: str, short: bool = False) -> dict[str, Any]:
    """The record of the tutorial and kerasmusic on every installed backend.

    Args:
        model: a `.tflite` file; the targets are meant for `small` in int8.
        data: a folder or zip of MIDI files.
        short: whether to use few rounds and files, only to see that it runs.
    """
    backends = [name for name in BACKENDS if importlib.util.find_spec(name) and importlib.util.find_spec("keras")]
    if not backends:
        raise MissingPackageError("this needs Keras; run: pip install 'kerasmusic[jax,tensorflow]'")
    rounds, files = (1, 10) if short else (5, FILES)
    record = records.new_record("tutorial", {"data": Path(data).name, "rounds": rounds, "files": files})
    record["models"] = describe_models([model])
    record["machine"], record["before"] = machine.describe_machine(), machine.read_sensors()
    record["results"] = [_on(backend, model, data, rounds) for backend in backends]
    record["reading"] = ingest.compare_readers(data, files)
    record["after"] = machine.read_sensors()
    record["targets"] = []
    for result in record["results"]:
        on = f"on {result['backend']}, times as fast"
        faster, trains = result["playing"]["times_faster"], result["training"]["lstm_times_faster"]
        record["targets"] += [
            records.target(
                f"a note against the tutorial's loop {on}", faster, at_least=TIMES_FASTER[result["backend"]]
            ),
            records.target(f"labels per second of LSTM(128) against the tutorial's {on}", trains, at_least=10),
        ]
    return record


def _on(backend: str, model: str, data: str, rounds: int) -> dict[str, Any]:
    def fresh(function: str, **arguments: Any) -> Any:
        return in_fresh_process(__name__, function, {"KERAS_BACKEND": backend}, data=data, **arguments)

    return {
        "backend": backend,
        "playing": fresh("measure_playing", model=model, rounds=rounds),
        "training": fresh("measure_training", rounds=rounds),
        # Each is the peak of a process that does nothing else.
        "memory_bytes": {
            "tutorial_playing": fresh("measure_loop_memory"),
            "playing": in_fresh_process(__name__, "measure_playing_memory", model=model),
            "tutorial_training": fresh("measure_training_memory", lstm=False),
            "training": fresh("measure_training_memory", lstm=True),
        },
    }


def measure_playing(data: str, model: str, rounds: int) -> dict[str, float]:
    """Milliseconds per note of the tutorial's loop, of `Generator` and of `invoke` alone, measured in turn."""
    from kerasmusic.bench import tutorial_loop
    from kerasmusic.edge import Generator, TFLiteRuntime

    notes = _notes(data)
    theirs = tutorial_loop.build_model()
    runtime = TFLiteRuntime(model)
    ours = Generator(runtime, seed=0)
    tutorial_loop.generate(theirs, notes, 5)
    ours.take(1_000)
    loop, whole, invoke = [], [], []
    for _ in range(rounds):
        loop.append(1e3 * seconds(lambda: tutorial_loop.generate(theirs, notes, 40)) / 40)
        whole.append(seconds(lambda: [next(ours) for _ in range(1_000)]))
        invoke.append(seconds(lambda: [runtime.invoke() for _ in range(1_000)]))
    return {
        "tutorial_ms": statistics.median(loop),
        "note_ms": statistics.median(whole),
        "invoke_ms": statistics.median(invoke),
        "times_faster": statistics.median(a / b for a, b in zip(loop, whole, strict=True)),
    }


def measure_training(data: str, rounds: int) -> dict[str, float]:
    """Labels per second in training: the tutorial, its network trained by kerasmusic, and `small`, measured in turn.

    Compilation is not timed, but cutting windows is.
    """
    from kerasmusic.models import NoteModel

    actions = {"tutorial": tutorial_training(data), "lstm": lstm_training(data)}
    small = NoteModel.new("small")
    actions["small"] = windows_training(small, data, small.window, small.batch_size)
    for train, _ in actions.values():
        train()
    speeds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, (train, labels) in actions.items():
            speeds[name].append(labels / seconds(train))
    found = {f"{name}_labels_per_second": statistics.median(speed) for name, speed in speeds.items()}
    faster = statistics.median(a / b for a, b in zip(speeds["lstm"], speeds["tutorial"], strict=True))
    return {**found, "lstm_times_faster": faster}


def tutorial_training(data: str) -> tuple[Callable[[], Any], int]:
    """The tutorial's `fit` over one performance's windows of 25 notes, and its number of labels."""
    from kerasmusic.bench import tutorial_loop

    windows, labels = tutorial_loop.make_windows(_notes(data))
    count = len(windows) // tutorial_loop.BATCH_SIZE * tutorial_loop.BATCH_SIZE
    model = tutorial_loop.build_model()
    labels = {name: label[:count] for name, label in labels.items()}
    return lambda: model.fit(windows[:count], labels, batch_size=tutorial_loop.BATCH_SIZE, verbose=0), count


def lstm_training(data: str) -> tuple[Callable[[], Any], int]:
    """The same network and losses, trained as in kerasmusic: with a label at each of a window's 256 notes."""
    from kerasmusic.models.tutorial_model import TutorialModel

    class LabelledEverywhere(TutorialModel):
        labels_per_window = WINDOW

    return windows_training(LabelledEverywhere(), data, WINDOW, 64)


def windows_training(model: Any, data: str, length: int, batch_size: int) -> tuple[Callable[[], Any], int]:
    """The `fit` of a note model over several batches of windows, and its number of labels."""
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.training.windows import Windows

    batches = 10
    model.compile(model.make_optimizer(model.learning_rate, weight_decay=0.01, clip=1.0))
    windows = Windows(open_corpus(data), "train", length=length, batch_size=batch_size, batches=batches)
    return lambda: model.fit(windows, verbose=0), batches * batch_size * length


def measure_loop_memory(data: str) -> int | None:
    """The peak memory of a process that runs the tutorial's loop."""
    from kerasmusic.bench import tutorial_loop

    tutorial_loop.generate(tutorial_loop.build_model(), _notes(data), 20)
    return peak_memory()


def measure_playing_memory(model: str) -> int | None:
    """The peak memory of a process that plays a model."""
    from kerasmusic.edge import Generator

    Generator(model, seed=0).take(1_000)
    return peak_memory()


def measure_training_memory(data: str, lstm: bool) -> int | None:
    """The peak memory of a process that trains the tutorial's network, in its own way or as kerasmusic does."""
    train, _ = lstm_training(data) if lstm else tutorial_training(data)
    train()
    return peak_memory()


def _notes(data: str) -> Any:
    """The longest of the first performances, so that there are enough windows to time."""
    from kerasmusic.data.corpus import open_corpus

    corpus = open_corpus(data)
    return corpus.codec.decode(max(itertools.islice(corpus.performances("train"), 5), key=len))
