"""Overlap: performances of one corpus that are in the held-out splits of another, found by their notes, not by names.

A performance is taken apart into grams, runs of neighbouring notes, of two kinds. Neither kind changes when a
performance is transposed or all of its times are multiplied by the same number:

- of timing: ten notes, with the intervals between their pitches, and each step between their onsets in quarters of
  the time from the first onset to the last. Two performances with more than 40 % of these in common are one recording:
  copies of MAESTRO's that were transposed and played at 0.8 to 1.5 times their length have 50 % at least, and different
  recordings of its training split, though of one composition, 27 % at most;
- of pitch: twelve notes, with the intervals between them. Notes within 30 ms of the one before are a chord and sorted
  by pitch. Two performances with more than 2 % in common are one composition: of all pairs in MAESTRO's training split
  hardly any has 1 % to 2 %, all above are the same composition, and below are others.

What is in common is counted in different grams, as a share of those of the performance that has fewer of them, so that
an excerpt is found as well as the whole. Silence of more than a second is as coarse as the codec's steps.

Edge cases: a performance of which fewer than 20 grams are in common with another is never found, since scales that
anyone plays come to as many, and so none of fewer than 29 notes is; one that repeats a single note has a single gram. A
corpus compared with itself does not find a performance in itself.

The kinds of grams are ours; to find music by grams of intervals is Downie's idea ("Evaluating a Simple Approach to
Music Information Retrieval", 1999).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import PITCH, STEP, TICKS_PER_SECOND
from kerasmusic.data.corpus import Corpus

TIMING_NOTES = 10
STEPS_PER_GRAM = 4
PITCH_NOTES = 12
CHORD_TICKS = round(0.03 * TICKS_PER_SECOND)
RECORDING_SHARE = 0.4
COMPOSITION_SHARE = 0.02
MIN_GRAMS = 20
HELD_OUT = ("validation", "test")
_ODD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@dataclass(frozen=True)
class Overlap:
    """A performance that is held out in another corpus.

    Args:
        name: of the performance.
        split: its own.
        what: "recording" or "composition", what both are the same of.
        other: the name of the held-out performance that it has the most in common with.
        other_split: that one's, "validation" or "test".
        share: of the grams of timing where it is a recording, of those of pitch where it is a composition; 0 to 1.
    """

    name: str
    split: str
    what: str
    other: str
    other_split: str
    share: float


def held_out(corpus: Corpus) -> list[int]:
    """The indices of a corpus's performances for validation and for testing."""
    return [index for index, split in enumerate(corpus.splits) if split in HELD_OUT]


def find_overlaps(corpus: Corpus, against: Corpus, split: str | None = None) -> Iterator[Overlap]:
    """Finds the performances of a corpus that are recordings or compositions of another's held-out splits.

    Args:
        corpus: whose performances are looked at, those of `split` or all.
        against: whose validation and test splits they are looked for in.
        split: "train", "validation" or "test".

    Yields:
        For each performance that is found, what it has most in common with; a recording before a composition.
    """
    guarded = held_out(against)
    if not guarded:
        return
    indexes = [(kind, _index([kind.grams(*_notes(against, piece)) for piece in guarded])) for kind in KINDS]
    itself = corpus.path == against.path
    for piece in range(len(corpus.names)):
        if split not in (None, corpus.splits[piece]):
            continue
        notes = _notes(corpus, piece)
        for kind, index in indexes:
            shares = index.shares(kind.grams(*notes))
            if itself and corpus.splits[piece] in HELD_OUT:
                shares[guarded.index(piece)] = 0.0
            best = int(shares.argmax())
            if shares[best] > kind.least_share:
                yield Overlap(
                    corpus.names[piece], corpus.splits[piece], kind.what,
                    against.names[guarded[best]], against.splits[guarded[best]], float(shares[best]),
                )  # fmt: skip
                break


def timing_grams(ticks: NDArray[np.int64], pitch: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hashes of the different grams of timing, ascending, uint64 `[grams]`.

    Args:
        ticks: int64 `[n]`, the time from each onset to the one before, 10 ms each.
        pitch: int64 `[n]`, in semitones.
    """
    count = len(pitch) - TIMING_NOTES + 1
    if count < 1:
        return np.empty(0, np.uint64)
    onset, interval = np.cumsum(ticks), np.diff(pitch)
    span = np.maximum(onset[TIMING_NOTES - 1 :] - onset[:count], 1)
    grams = np.zeros(count, np.uint64)
    for note in range(TIMING_NOTES - 1):
        step = np.rint(STEPS_PER_GRAM * ticks[note + 1 : note + 1 + count] / span).astype(np.int64)
        grams = _mixed(_mixed(grams, interval[note : note + count]), step)
    return np.unique(grams)


def pitch_grams(ticks: NDArray[np.int64], pitch: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hashes of the different grams of pitch, ascending, uint64 `[grams]`; the arguments as of `timing_grams`."""
    count = len(pitch) - PITCH_NOTES + 1
    if count < 1:
        return np.empty(0, np.uint64)
    chord = np.cumsum(ticks > CHORD_TICKS)
    interval = np.diff(pitch[np.lexsort((pitch, chord))])
    grams = np.zeros(count, np.uint64)
    for note in range(PITCH_NOTES - 1):
        grams = _mixed(grams, interval[note : note + count])
    return np.unique(grams)


class _Kind(NamedTuple):
    what: str
    grams: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.uint64]]
    least_share: float


KINDS = (
    _Kind("recording", timing_grams, RECORDING_SHARE),
    _Kind("composition", pitch_grams, COMPOSITION_SHARE),
)


def _notes(corpus: Corpus, piece: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps in ticks and pitches of a performance, int64 `[n]` each."""
    fields = corpus.fields[corpus.bounds[piece] : corpus.bounds[piece + 1]]
    return corpus.codec.step_ticks[fields[:, STEP]].astype(np.int64), fields[:, PITCH].astype(np.int64)


def _mixed(hashes: NDArray[np.uint64], values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hashes that depend on all that was mixed into them, and on its order."""
    mixed = (hashes ^ values.astype(np.uint64)) * _ODD
    return mixed ^ (mixed >> _SHIFT)


@dataclass(frozen=True)
class _Index:
    """The grams of several performances, to count those in common with another.

    Args:
        grams: uint64 `[all]`, ascending.
        pieces: int64 `[all]`, which performance each is of.
        sizes: int64 `[pieces]`, how many each performance has.
    """

    grams: NDArray[np.uint64]
    pieces: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def shares(self, grams: NDArray[np.uint64]) -> NDArray[np.float64]:
        """The share of grams in common with each performance, float64 `[pieces]`; 0 where they are too few to tell."""
        first = np.searchsorted(self.grams, grams, side="left")
        counts = np.searchsorted(self.grams, grams, side="right") - first
        before = np.cumsum(counts) - counts
        places = np.repeat(first - before, counts) + np.arange(counts.sum())
        common = np.bincount(self.pieces[places], minlength=len(self.sizes))
        return np.where(common >= MIN_GRAMS, common / np.maximum(np.minimum(self.sizes, len(grams)), 1), 0.0)


def _index(pieces: Sequence[NDArray[np.uint64]]) -> _Index:
    sizes = np.array([len(grams) for grams in pieces])
    grams = np.concatenate(pieces)
    order = np.argsort(grams, kind="stable")
    return _Index(grams[order], np.repeat(np.arange(len(pieces)), sizes)[order], sizes)
