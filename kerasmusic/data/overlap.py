"""Finds performances of one corpus in the held-out splits of another, by their notes rather than their names.

Performances are compared by n-grams of consecutive notes, of two kinds. Both are invariant to transposition and to a
constant change of tempo:

- Timing grams: ten notes, with the intervals between their pitches and the steps between their onsets in quarters of
  the time from the first onset to the last. Two performances that share more than 40 % of these are the same recording:
  copies of MAESTRO's performances, transposed and stretched to 0.8 to 1.5 times their length, share at least 50 % with
  the originals, and different recordings in its training split at most 27 %, even of one composition.
- Pitch grams: twelve notes, with the intervals between them. Notes within 30 ms of the previous one form a chord and
  are sorted by pitch. Two performances that share more than 2 % of these are the same composition: hardly any pair in
  MAESTRO's training split shares 1 % to 2 %; pairs above are of the same composition, and pairs below are not.

The share is of distinct grams, relative to the performance with fewer of them, so that excerpts are found too. Silences
of more than a second are only as exact as the codec's steps.

Edge cases: performances that share fewer than 20 grams are never reported, since common scales share as many; so a
performance of fewer than 29 notes is never found. A performance that repeats one note has a single gram. In a corpus
that is compared with itself, a performance is not compared with itself.

These kinds of grams are our own; searching music by n-grams of intervals is due to Downie ("Evaluating a Simple
Approach to Music Information Retrieval", 1999).
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
    """A performance that matches a held-out performance of another corpus.

    Args:
        name: the performance.
        split: its split.
        what: what both performances share, "recording" or "composition".
        other: the name of the held-out performance with the largest share.
        other_split: its split, "validation" or "test".
        share: the share of common timing grams for a recording, of pitch grams for a composition; 0 to 1.
    """

    name: str
    split: str
    what: str
    other: str
    other_split: str
    share: float


def held_out(corpus: Corpus) -> list[int]:
    """The indices of a corpus's performances in the validation and test splits."""
    return [index for index, split in enumerate(corpus.splits) if split in HELD_OUT]


def find_overlaps(corpus: Corpus, against: Corpus, split: str | None = None) -> Iterator[Overlap]:
    """Finds performances of a corpus that match recordings or compositions in another's held-out splits.

    Args:
        corpus: the corpus whose performances are checked.
        against: the corpus whose validation and test splits are searched.
        split: the split of `corpus` to check, "train", "validation" or "test"; by default all.

    Yields:
        The best match of each performance that has one; a common recording takes precedence over a common composition.
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
    """Hashes of the distinct timing grams, sorted, uint64 `[grams]`.

    Args:
        ticks: int64 `[n]`, the time since the previous onset, in ticks of 10 ms.
        pitch: int64 `[n]`, MIDI pitches.
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
    """Hashes of the distinct pitch grams, sorted, uint64 `[grams]`; arguments as for `timing_grams`."""
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
    """The steps in ticks and the pitches of a performance, int64 `[n]` each."""
    fields = corpus.fields[corpus.bounds[piece] : corpus.bounds[piece + 1]]
    return corpus.codec.step_ticks[fields[:, STEP]].astype(np.int64), fields[:, PITCH].astype(np.int64)


def _mixed(hashes: NDArray[np.uint64], values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Mixes values into hashes; the result depends on the order of mixing."""
    mixed = (hashes ^ values.astype(np.uint64)) * _ODD
    return mixed ^ (mixed >> _SHIFT)


@dataclass(frozen=True)
class _Index:
    """An index of the grams of several performances, to count those in common with another.

    Args:
        grams: uint64 `[all]`, sorted.
        pieces: int64 `[all]`, the performance of each gram.
        sizes: int64 `[pieces]`, the number of grams of each performance.
    """

    grams: NDArray[np.uint64]
    pieces: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def shares(self, grams: NDArray[np.uint64]) -> NDArray[np.float64]:
        """The share of grams in common with each performance, float64 `[pieces]`; 0 if there are fewer than 20."""
        first = np.searchsorted(self.grams, grams, side="left")
        counts = np.searchsorted(self.grams, grams, side="right") - first
        before = np.cumsum(counts) - counts
        indices = np.repeat(first - before, counts) + np.arange(counts.sum())
        common = np.bincount(self.pieces[indices], minlength=len(self.sizes))
        return np.where(common >= MIN_GRAMS, common / np.maximum(np.minimum(self.sizes, len(grams)), 1), 0.0)


def _index(pieces: Sequence[NDArray[np.uint64]]) -> _Index:
    sizes = np.array([len(grams) for grams in pieces])
    grams = np.concatenate(pieces)
    order = np.argsort(grams, kind="stable")
    return _Index(grams[order], np.repeat(np.arange(len(pieces)), sizes)[order], sizes)
