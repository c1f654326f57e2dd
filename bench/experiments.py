"""Trains variants of `tiny` for five passes over a million notes: `python -m kerasmusic.bench.experiments --help`.

Regularisers, depth and other blocks can only be judged after several passes over the data, which take minutes where
the model and the data are small. Each variant changes one thing. The results are in docs/training.md.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import numpy as np

from kerasmusic.data.corpus import Corpus, open_corpus
from kerasmusic.files import atomic_write
from kerasmusic.models.presets import PRESETS

NOTES, PASSES, VALIDATIONS = 1_000_000, 5.0, 20
VALIDATION_NOTES = 131_072
# Training does not stop before its end.
PATIENCE = 10**6
NOTHING: Mapping[str, Any] = MappingProxyType({})
WIDER = {"width": 128, "hidden": 320}


@dataclass(frozen=True)
class Variant:
    """What a variant changes.

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
    """Trains a variant; returns the validation losses on the way and at the end, in nats per note."""
    import keras

    from kerasmusic.bench import experimental_blocks  # noqa: F401, registers them
    from kerasmusic.models.gated_model import GatedNoteModel
    from kerasmusic.training.settings import Settings
    from kerasmusic.training.train import train

    class Curve(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[tuple[int, float, float]] = []

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            assert logs is not None
            if "val_loss" in logs:
                self.rows.append((int(logs["training_steps"]), logs["loss"], logs["val_loss"]))

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
    curve = Curve()
    with tempfile.TemporaryDirectory() as folder:
        result = train(model, corpus, Path(folder) / "run", settings, callbacks=[curve], optimizer=optimizer)
    notes = result.steps * (settings.batch_size or model.batch_size) * model.labels_per_window
    return {
        "parameters": model.count_params(),
        "notes": notes,
        "notes_per_second": notes / result.seconds,
        "curve": curve.rows,
        "nats": _nats(curve.model, corpus),
    }


def _nats(model: Any, corpus: Corpus) -> float:
    """Nats per note on windows of the validation split."""
    from kerasmusic.training.windows import Windows

    windows = Windows(
        corpus, "validation", length=model.window, context=model.context_notes, batch_size=model.batch_size,
        batches=max(1, VALIDATION_NOTES // (model.batch_size * model.window)), transposition=0, advance=False,
    )  # fmt: skip
    return float(model.evaluate(windows, verbose=0, return_dict=True)["loss"])


@click.command()
@click.option("--data", required=True, help="MAESTRO: a folder or a zip of MIDI files.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder of the results.")
@click.option("--passes", type=float, default=PASSES, show_default=True, help="Passes over a million notes.")
@click.argument("names", nargs=-1)
def main(data: str, out: Path, passes: float, names: tuple[str, ...]) -> None:
    """Train the variants NAMES, by default all, and write a JSON file of each; those that exist are kept."""
    corpus = part(open_corpus(data), NOTES)
    out.mkdir(parents=True, exist_ok=True)
    for name in names or VARIANTS:
        path = out / f"{name.replace(' ', '-')}.json"
        if path.exists():
            continue
        result = {"variant": name, **train_variant(VARIANTS[name], corpus, passes)}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(result) + "\n")
        click.echo(f"{name}: {result['nats']:.3f} nats per note")


if __name__ == "__main__":
    main()
