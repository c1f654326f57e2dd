"""Trains variants of `tiny` for five passes over a million notes: `kerasmusic bench experiments --help`.

Regularisers, depth and other blocks can only be judged after several passes over the data, which take minutes where
the model and the data are small. Each variant changes one thing. The results are in docs/training.md.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasmusic.data.corpus import Corpus, open_corpus
from kerasmusic.errors import check_name
from kerasmusic.files import atomic_write
from kerasmusic.models.presets import PRESETS

NOTES, PASSES, VALIDATIONS = 1_000_000, 5.0, 20
# Training does not stop before its end.
PATIENCE = 10**6
NOTHING: Mapping[str, Any] = MappingProxyType({})
WIDER = {"width": 128, "hidden": 320}


@dataclass(frozen=True)
class Variant:
    """The changes that a variant makes to `tiny` and to its training.

    Args:
        model: arguments of `GatedNoteModel`, over those of `tiny`.
        settings: those of training.
        averaging: the momentum of the exponential moving average of the weights that is evaluated in the end; None
            for the weights themselves.
    """

    model: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    settings: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    averaging: float | None = None


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "tiny": Variant(),
        "another seed": Variant(settings={"seed": 1}),
        "weight decay 0.1": Variant(settings={"weight_decay": 0.1}),
        "weight decay 0.3": Variant(settings={"weight_decay": 0.3}),
        "weight decay 1": Variant(settings={"weight_decay": 1.0}),
        "stretch 5 %": Variant(settings={"stretch": 0.05}),
        "no transposition": Variant(settings={"transposition": 0}),
        "16 windows in a batch": Variant(settings={"batch_size": 16}),
        "averaged weights": Variant(averaging=0.99),
        "dropout 0.1": Variant(model={"block": "dropout"}),
        "four taps": Variant(model={"block": "convolution"}),
        "RG-LRU": Variant(model={"block": "rg_lru"}),
        "depth 3": Variant(model={"depth": 3}),
        "echoes": Variant(model={"memory": 1024}),
        "width 128": Variant(model=WIDER),
        "width 128, weight decay 0.1": Variant(model=WIDER, settings={"weight_decay": 0.1}),
        "width 128, stretch 5 %": Variant(model=WIDER, settings={"stretch": 0.05}),
        "width 128, no transposition": Variant(model=WIDER, settings={"transposition": 0}),
        "width 128, dropout 0.1": Variant(model={**WIDER, "block": "dropout"}),
    }
)


def part(corpus: Corpus, notes: int) -> Corpus:
    """The corpus with at most as many training notes as whole performances, drawn at random, fill."""
    train = [index for index, split in enumerate(corpus.splits) if split == "train"]
    order = np.random.default_rng(0).permutation(train)
    filled = np.cumsum(np.diff(corpus.bounds)[order])
    kept = set(order[: 1 + int(np.searchsorted(filled, notes))].tolist())
    # The others count as a split that nobody reads.
    splits = ["test" if split == "train" and index not in kept else split for index, split in enumerate(corpus.splits)]
    return dataclasses.replace(corpus, splits=splits)


def train_variant(variant: Variant, corpus: Corpus, passes: float = PASSES) -> dict[str, Any]:
    """Trains a variant; returns its history by round, and the nats per note on the run's validation windows."""
    import keras

    from kerasmusic.bench import experimental_blocks  # noqa: F401, registers them
    from kerasmusic.models.gated_model import GatedNoteModel
    from kerasmusic.training.run_folder import read_history
    from kerasmusic.training.settings import Settings
    from kerasmusic.training.train import train, validation_windows

    settings = Settings(
        **{"epochs": passes, "style_notes": 0, "validations": VALIDATIONS, "patience": PATIENCE, **variant.settings}
    )
    keras.utils.set_random_seed(settings.seed)
    model = GatedNoteModel(codec=corpus.codec, **{**PRESETS["tiny"].config, **variant.model})
    model.preset = "tiny"
    optimizer = model.make_optimizer(model.learning_rate, settings.weight_decay, settings.clip)
    if variant.averaging is not None:
        averaged = {"use_ema": True, "ema_momentum": variant.averaging}
        optimizer = type(optimizer).from_config({**optimizer.get_config(), **averaged})
    # Keras gives a callback the model that is trained, which is a copy; its weights are averaged in the end.
    callback = keras.callbacks.Callback()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        result = train(model, corpus, run, settings, callbacks=[callback], optimizer=optimizer)
        history = read_history(run)
    batch_size = settings.batch_size or model.batch_size
    notes = result.steps * batch_size * model.labels_per_window
    windows = validation_windows(corpus, model, batch_size)
    return {
        "parameters": model.count_params(),
        "notes": notes,
        "notes_per_second": notes / result.seconds,
        "history": history,
        "nats": callback.model.evaluate(windows, verbose=0, return_dict=True)["loss"],
    }


def measure(data: str, folder: Path, names: Sequence[str] = (), passes: float = PASSES) -> Iterator[dict[str, Any]]:
    """Trains variants, by default all, and writes a JSON file of each into a folder; those that exist are kept.

    Raises:
        ArgumentError: there is no such variant.
    """
    for name in names:
        check_name("variant", name, VARIANTS)
    corpus = part(open_corpus(data), NOTES)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or VARIANTS:
        path = folder / f"{name.replace(' ', '-')}.json"
        if not path.exists():
            result = {"variant": name, **train_variant(VARIANTS[name], corpus, passes)}
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(result) + "\n")
        yield json.loads(path.read_text())
