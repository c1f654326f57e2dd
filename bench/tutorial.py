"""kerasmusic beside the tutorial, in one run on one machine: `python -m kerasmusic.bench.tutorial --help`."""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 5


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description="Times kerasmusic beside TensorFlow's tutorial.")
    parser.add_argument("model", help="a .tflite file made by kerasmusic")
    parser.add_argument("--data", required=True, help="a folder or zip of MIDI files")
    parser.add_argument("--backend", help="jax or tensorflow")
    options = parser.parse_args()

    from kerasmusic.backend import choose_backend

    result: dict[str, Any] = {"backend": choose_backend(options.backend)}
    from kerasmusic.corpus import open_corpus

    began = time.perf_counter()
    corpus = open_corpus(options.data, rebuild=True)
    result["corpus_build_s"] = time.perf_counter() - began
    began = time.perf_counter()
    corpus = open_corpus(options.data)
    result["corpus_reopen_ms"] = 1e3 * (time.perf_counter() - began)
    result.update(measure_playing(options.model, corpus))
    result.update(measure_training(corpus))
    print(json.dumps(result, indent=1))


def measure_playing(model_path: str, corpus: Any) -> dict[str, float]:
    """Milliseconds a note: the tutorial's loop and `Generator`, in turn."""
    from kerasmusic.bench import tutorial_loop

    from kerasmusic.edge import Generator, TFLiteStep

    notes = corpus.codec.decode(next(corpus.performances("train"))[:100])
    theirs = tutorial_loop.build_model()
    step = TFLiteStep(model_path)
    ours = Generator(step, seed=0)
    tutorial_loop.generate(theirs, notes, 5)
    ours.take(100)
    loop, whole, invoke = [], [], []
    for _ in range(ROUNDS):
        loop.append(_milliseconds(lambda: tutorial_loop.generate(theirs, notes, 40), 40))
        whole.append(_milliseconds(lambda: [next(ours) for _ in range(1000)], 1000))
        invoke.append(_milliseconds(lambda: [step.invoke() for _ in range(1000)], 1000))
    return {
        "tutorial_loop_ms_a_note": statistics.median(loop),
        "generator_ms_a_note": statistics.median(whole),
        "invoke_ms": statistics.median(invoke),
        "times_faster": statistics.median(a / b for a, b in zip(loop, whole, strict=True)),
    }


def measure_training(corpus: Any) -> dict[str, float]:
    """Labels a second in training: the tutorial's windows, and the notes of `small`, compiled before they are timed."""
    from kerasmusic.bench import tutorial_loop

    from kerasmusic.models import NoteModel
    from kerasmusic.windows import Windows

    performances = [corpus.codec.decode(fields) for fields in itertools.islice(corpus.performances("train"), 5)]
    windows, labels = tutorial_loop.windows_of(max(performances, key=len))
    batches = len(windows) // tutorial_loop.BATCH_SIZE
    count = batches * tutorial_loop.BATCH_SIZE
    labels = {name: label[:count] for name, label in labels.items()}
    theirs = tutorial_loop.build_model()
    small = NoteModel.from_preset("small")
    small.compile(small.make_optimizer(small.learning_rate, weight_decay=0.01, clip=1.0))
    data = Windows(corpus, "train", length=small.window, batch_size=small.batch_size, batches=20)

    def fit_theirs() -> None:
        theirs.fit(windows[:count], labels, batch_size=tutorial_loop.BATCH_SIZE, verbose=0)

    fit_theirs()
    small.fit(data, verbose=0)
    ours_notes = 20 * small.batch_size * small.window
    tutorial, ours, cut = [], [], []
    for _ in range(ROUNDS):
        tutorial.append(1e3 / _milliseconds(fit_theirs, count))
        ours.append(1e3 / _milliseconds(lambda: small.fit(data, verbose=0), ours_notes))
        cut.append(_milliseconds(lambda: [data.batch(index) for index in range(20)], 20))
    step = 1e3 * small.batch_size * small.window / statistics.median(ours)
    return {
        "tutorial_labels_a_second": statistics.median(tutorial),
        "small_notes_a_second": statistics.median(ours),
        "data_share_of_a_step": statistics.median(cut) / step,
    }


def _milliseconds(action: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - began) / count


if __name__ == "__main__":
    main()
