"""Notes a second in training: every preset on every backend, beside `torch.nn.LSTM` of the same shape, in one run.

    python -m kerasmusic.bench.training --data ZIP

Each combination is measured in a process of its own, since Keras fixes its backend when it is imported. A step is
compiled before it is timed, and the data's part is in the time, as in a real training.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

BACKENDS = ("jax", "tensorflow")
TORCH = "torch.nn.LSTM"
PRESETS = ("tiny", "small", "base")
BATCHES, ROUNDS = 20, 3


def main() -> None:
    """Measures and prints one JSON object: by preset and backend, and for LSTMs of the presets' width and depth."""
    parser = argparse.ArgumentParser(description="Notes a second in training, by preset and backend.")
    parser.add_argument("--data", required=True, help="a folder or zip of MIDI files")
    parser.add_argument("--presets", nargs="+", default=PRESETS, help="which (default: tiny small base)")
    parser.add_argument("--one", nargs=2, metavar=("PRESET", "ON"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        preset, on = options.one
        measure = measure_torch if on == TORCH else measure_keras
        print(json.dumps(measure(preset, options.data)))
        return
    ways = [name for name in (*BACKENDS, "torch") if importlib.util.find_spec(name)]
    result: dict[str, dict[str, Any]] = {}
    for preset in options.presets:
        result[preset] = {}
        for on in (TORCH if way == "torch" else way for way in ways):
            command = [sys.executable, "-P", "-m", "kerasmusic.bench.training", "--data", options.data, "--one"]
            environment = {**os.environ, "KERAS_BACKEND": on if on in BACKENDS else "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                [*command, preset, on], env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            result[preset][on] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result, indent=1))


def measure_keras(preset: str, data: str) -> dict[str, float]:
    """Notes a second of `fit` on the backend at hand, and the model's parameters."""
    from kerasmusic.models import NoteModel

    model = NoteModel.from_preset(preset)
    model.compile(model.make_optimizer(model.learning_rate, weight_decay=0.01, clip=1.0))
    windows = _windows(model, data)
    speed = _notes_a_second(lambda: model.fit(windows, verbose=0), model)
    return {"notes_a_second": speed, "parameters": model.count_params()}


def measure_torch(preset: str, data: str) -> dict[str, float]:
    """The same for `torch.nn.LSTM` of the preset's width and depth, with embedded fields and four heads around it.

    The heads read the LSTM alone, which is less than the preset's do.
    """
    import torch

    from kerasmusic.models import NoteModel

    model = NoteModel.from_preset(preset)
    width, depth, sizes = model.width, model.depth, model.codec.sizes
    embedding = torch.nn.Embedding(model.codec.size, width)
    lstm = torch.nn.LSTM(width, width, depth, batch_first=True)
    heads = torch.nn.Linear(width, model.codec.size)
    parameters = [parameter for layer in (embedding, lstm, heads) for parameter in layer.parameters()]
    optimizer = torch.optim.AdamW(parameters, 3e-3)
    offsets = torch.tensor(model.codec.offsets)
    windows = _windows(model, data)

    def train() -> None:
        for index in range(BATCHES):
            notes = torch.from_numpy(windows[index][0]).long().clamp(min=0)
            hidden, _ = lstm(embedding(notes[:, :-1] + offsets).sum(dim=2))
            parts = zip(heads(hidden).split(list(sizes), dim=-1), notes[:, 1:].unbind(-1), strict=True)
            losses = [torch.nn.functional.cross_entropy(part.flatten(0, 1), label.flatten()) for part, label in parts]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()

    return {"notes_a_second": _notes_a_second(train, model), "parameters": sum(p.numel() for p in parameters)}


def _windows(model: Any, data: str) -> Any:
    from kerasmusic.corpus import open_corpus
    from kerasmusic.windows import Windows

    return Windows(open_corpus(data), "train", length=model.window, batch_size=model.batch_size, batches=BATCHES)


def _notes_a_second(train: Callable[[], Any], model: Any) -> float:
    """The median of several rounds, after one that is not counted."""
    train()
    speeds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        train()
        speeds.append(BATCHES * model.batch_size * model.labels_a_window / (time.perf_counter() - began))
    return statistics.median(speeds)


if __name__ == "__main__":
    main()
