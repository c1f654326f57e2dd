"""Likelihood: the probability that a model gives to performances it was not trained on.

The measure is nats per note: the negative natural log of the probability of a note's step, pitch, duration and
velocity, averaged over all notes of a split. So that it compares between codecs and with other projects' models:

- the sustain pedal is applied: a note lasts until the pedal lifts or its key is struck again;
- onset and duration are on a grid of 10 ms, as probability mass; the mass of a bin of several ticks is spread evenly
  over them;
- velocity is in 32 steps;
- pieces are whole, and the state is carried from first note to last;
- simultaneous notes are sorted by pitch.

A model over events compares by its nats per token times its tokens per note (4.03 on MAESTRO v2's test split with the
vocabulary of 388 events). Bits per second are the same measure for each second of music.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, STEP, TICKS_PER_SECOND
from kerasmusic.data.corpus import Corpus
from kerasmusic.errors import CorpusError
from kerasmusic.models.scoring import Scorer

RESAMPLES = 2_000


@dataclass(frozen=True)
class Evaluation:
    """The likelihood of a split, in nats per note; less is better.

    Args:
        nats: of all fields together, NaN where a field has no distribution.
        by_field: of each field.
        interval: the 95 % confidence interval of `nats` over pieces, by bootstrap.
        bits_per_second: the same in bits, for each second of music.
        notes: the number of notes that were scored.
        pieces: the number of performances.
    """

    nats: float
    by_field: dict[str, float]
    interval: tuple[float, float]
    bits_per_second: float
    notes: int
    pieces: int


def evaluate(scorer: Scorer, corpus: Corpus, split: str = "validation", pieces: int | None = None) -> Evaluation:
    """Scores a split of a corpus, or its first `pieces` performances.

    Raises:
        CorpusError: the split is empty, or the corpus was made with another codec than the model's.
    """
    if corpus.codec != scorer.codec:
        raise CorpusError("the corpus was made with another codec than the model's; open it with the model's codec")
    performances = list(corpus.performances(split))[:pieces]
    if not performances:
        raise CorpusError(f"{split}: no performances in this split; {corpus.empty[split]}")
    nats = np.empty((len(performances), len(FIELDS)))
    ticks = 0
    for index, (fields, log_prob) in enumerate(zip(performances, scorer.score_fields(performances), strict=True)):
        nats[index] = nats_of(fields, log_prob, scorer).sum(axis=0)
        ticks += int(corpus.codec.step_ticks[fields[:, STEP]].sum())
    counts = np.array([len(fields) for fields in performances])
    total = float(nats.sum() / counts.sum())
    return Evaluation(
        nats=total,
        by_field={field: float(nats[:, index].sum() / counts.sum()) for index, field in enumerate(FIELDS)},
        interval=_interval(nats.sum(axis=1), counts),
        bits_per_second=float(nats.sum()) / math.log(2) / max(ticks / TICKS_PER_SECOND, 1e-9),
        notes=int(counts.sum()),
        pieces=len(performances),
    )


def nats_of(fields: NDArray[np.integer], log_prob: NDArray[np.float32], scorer: Scorer) -> NDArray[np.float64]:
    """Nats of each field of each note, float64 `[n, 4]`, corrected for the widths of the bins."""
    widths = [width[fields[:, index]] for index, width in enumerate(scorer.codec.log_widths)]
    return np.stack(widths, axis=-1) - log_prob


def _interval(nats: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean, by a seeded bootstrap over pieces (Efron, 1979)."""
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    means = nats[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
