"""Times training by preset and backend, and the growth of its cost with size: `kerasmusic bench train --help`.

Each preset is measured on every backend, and compared with `torch.nn.LSTM` of the same width and depth. Each
measurement has its own process, since Keras fixes its backend when it is imported. Compilation is not timed, but
cutting windows is, as in real training.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kerasmusic.bench import machine, records
from kerasmusic.bench.processes import in_fresh_process
from kerasmusic.bench.timing import growth, seconds
from kerasmusic.errors import ArgumentError, MissingPackageError

BACKENDS = ("jax", "tensorflow")
TORCH = "torch.nn.LSTM"
PRESETS = ("tutorial", "tiny", "small", "base")
BATCHES, ROUNDS = 20, 3
NOTES_PER_ROUND, MIN_BATCHES = 20 * 2048, 5
SHORT_BATCHES = 2
# The gated model whose cost is measured, and the sizes that replace each of its dimensions in turn.
MODEL = {"width": 256, "depth": 2, "length": 256}
SIZES = {"width": (64, 128, 256, 512, 1024), "depth": (1, 2, 4, 8), "length": (64, 128, 256, 512, 1024)}
SHORT_SIZES = {"width": (32, 64), "depth": (1, 2), "length": (32, 64)}
NAMES = {"width": "hidden size", "depth": "layers", "length": "sequence length"}
GROWTH_BATCHES, GROWTH_WINDOWS = 3, 4


def measure(data: str, presets: Sequence[str] = PRESETS, short: bool = False) -> dict[str, Any]:
    """The record of training.

    Args:
        data: a folder or zip of MIDI files.
        presets: the presets to measure.
        short: whether to use few batches and small sizes, only to see that it runs.

    Raises:
        ArgumentError: a preset is unknown.
        MissingPackageError: no backend is installed.
    """
    if unknown := [preset for preset in presets if preset not in PRESETS]:
        raise ArgumentError(f"{unknown[0]}: no such preset; there are {', '.join(PRESETS)}")
    backends = [name for name in BACKENDS if importlib.util.find_spec(name) and importlib.util.find_spec("keras")]
    if not backends:
        raise MissingPackageError("this needs Keras; run: pip install 'kerasmusic[jax,tensorflow]'")
    batches = SHORT_BATCHES if short else BATCHES
    settings = {"data": Path(data).name, "batches": batches, "rounds": ROUNDS, "growth": {**MODEL, "on": backends[0]}}
    record = records.new_record("train", settings)
    record["machine"], record["before"] = machine.describe_machine(), machine.read_sensors()
    record["results"], record["targets"] = [], []
    for preset in presets:
        found = {
            backend: _fresh("measure_keras", backend, preset=preset, data=data, batches=batches) for backend in backends
        }
        if preset != "tutorial":
            # Shows how much of the difference to another framework is due to the optimizer.
            found[f"{backends[0]}, Adam"] = _fresh(
                "measure_keras", backends[0], preset=preset, data=data, batches=batches, adam=True
            )
        if importlib.util.find_spec("torch"):
            found[TORCH] = _fresh("measure_torch", backends[0], preset=preset, data=data, batches=batches)
            times = found[backends[0]]["notes_per_second"] / found[TORCH]["notes_per_second"]
            what = f"{preset} on {backends[0]} against torch.nn.LSTM of its shape, times as fast"
            record["targets"].append(records.target(what, times, at_least=1.5))
        record["results"] += [{"preset": preset, "on": on, **result} for on, result in found.items()]
    record["growth"] = [
        _growth(name, sizes, backends[0], data) for name, sizes in (SHORT_SIZES if short else SIZES).items()
    ]
    record["after"] = machine.read_sensors()
    return record


def _fresh(function: str, backend: str, **arguments: Any) -> Any:
    return in_fresh_process(__name__, function, {"KERAS_BACKEND": backend}, **arguments)


def _growth(name: str, sizes: Sequence[int], backend: str, data: str) -> dict[str, Any]:
    """Microseconds per note at each size, and the exponent of growth of a note's cost, or of a window's for lengths."""
    found = [_fresh("measure_gated", backend, data=data, **{**MODEL, name: size}) for size in sizes]
    costs = [1e6 / each["notes_per_second"] for each in found]
    whole = [cost * size for cost, size in zip(costs, sizes, strict=True)] if name == "length" else costs
    return {"by": NAMES[name], "sizes": list(sizes), "microseconds_per_note": costs, "exponent": growth(sizes, whole)}


def measure_keras(preset: str, data: str, batches: int, adam: bool = False) -> dict[str, Any]:
    """Times a preset on the current backend with its own optimizer, or with Adam, whose cost is negligible."""
    import keras

    from kerasmusic.models import NoteModel

    model = NoteModel.new(preset)
    batches = _batches(model, batches)
    optimizer = keras.optimizers.AdamW(model.learning_rate, global_clipnorm=1.0) if adam else None
    return _measure_fit(model, data, model.window, model.batch_size, model.labels_per_window, batches, optimizer)


def measure_gated(width: int, depth: int, length: int, data: str) -> dict[str, Any]:
    """Times a gated model of the given size, with the proportions of the presets."""
    from kerasmusic.models.gated_model import GatedNoteModel

    model = GatedNoteModel(width=width, hidden=width * 5 // 2, depth=depth)
    return _measure_fit(model, data, length, GROWTH_WINDOWS, length, GROWTH_BATCHES)


def _measure_fit(
    model: Any, data: str, length: int, batch_size: int, labels: int, batches: int, optimizer: Any = None
) -> dict[str, Any]:
    model.compile(optimizer or model.make_optimizer(model.learning_rate, weight_decay=0.01, clip=1.0))
    windows = _windows(data, length, batch_size, batches, model.context_notes)
    found = _timed(lambda: model.fit(windows, verbose=0), windows, labels)
    return {**found, "parameters": model.count_params()}


def measure_torch(preset: str, data: str, batches: int) -> dict[str, Any]:
    """Times `torch.nn.LSTM` of the preset's width and depth, with embedded fields and four heads.

    Each head reads only the LSTM, which is less work than in the preset.
    """
    import torch

    from kerasmusic.models import NoteModel
    from kerasmusic.models.tutorial_model import UNITS

    model: Any = NoteModel.new(preset)
    width, depth = (UNITS, 1) if preset == "tutorial" else (model.width, model.depth)
    embedding = torch.nn.Embedding(model.codec.size, width)
    lstm = torch.nn.LSTM(width, width, depth, batch_first=True)
    heads = torch.nn.Linear(width, model.codec.size)
    parameters = [parameter for layer in (embedding, lstm, heads) for parameter in layer.parameters()]
    optimizer = torch.optim.AdamW(parameters, 3e-3)
    offsets, last = torch.tensor(model.codec.offsets), model.labels_per_window
    batches = _batches(model, batches)
    windows = _windows(data, model.window, model.batch_size, batches)

    def train() -> None:
        for index in range(batches):
            notes = torch.from_numpy(windows[index][0]).long().clamp(min=0)
            hidden, _ = lstm(embedding(notes[:, :-1] + offsets).sum(dim=2))
            logits = heads(hidden[:, -last:]).split(list(model.codec.sizes), dim=-1)
            labels = notes[:, -last:].unbind(-1)
            losses = [
                torch.nn.functional.cross_entropy(part.flatten(0, 1), label.flatten())
                for part, label in zip(logits, labels, strict=True)
            ]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()

    return {**_timed(train, windows, last), "parameters": sum(parameter.numel() for parameter in parameters)}


def _batches(model: Any, at_most: int) -> int:
    """The number of batches in a round: fewer if they are large, so that rounds have similar numbers of notes."""
    return min(at_most, max(MIN_BATCHES, NOTES_PER_ROUND // (model.batch_size * model.window)))


def _windows(data: str, length: int, batch_size: int, batches: int, context: int = 0) -> Any:
    from kerasmusic.data.corpus import open_corpus
    from kerasmusic.training.windows import Windows

    return Windows(open_corpus(data), "train", length=length, context=context, batch_size=batch_size, batches=batches)


def _timed(train: Callable[[], Any], windows: Any, labels: int) -> dict[str, Any]:
    """Labels per second, the median of several rounds, and the seconds of data, compilation and steps."""
    first = seconds(train)
    rounds = statistics.median(seconds(train) for _ in range(ROUNDS))
    cutting = statistics.median(seconds(lambda: list(map(windows.batch, range(len(windows))))) for _ in range(ROUNDS))
    return {
        "notes_per_second": len(windows) * windows.batch_size * labels / rounds,
        "seconds": {"data": cutting, "compile": max(0.0, first - rounds), "steps": max(0.0, rounds - cutting)},
    }
