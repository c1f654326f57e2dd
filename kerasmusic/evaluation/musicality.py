"""Musicality: distances between the distributions of generated and real notes, and repetition.

The distance is Jensen and Shannon's: the square root of their divergence, to base 2, so that it is a metric from 0 (the
same distribution) to 1 (nothing in common). It is taken between histograms of:

- pitch, 128 bins, and pitch class, 12 bins;
- step and duration, in ticks of 10 ms. The bins grow by a third of an octave: listeners compare times by their ratio,
  and a thousand notes fill a few dozen bins where hundreds would be mostly noise. Up to 50 ms each tick has a
  bin of its own, and so has the step of 0, a chord's. They are not the codec's bins, so that models with different
  codecs can be compared;
- velocity, 32 bins of 4;
- polyphony: how many notes sound when a note is struck, itself and those struck in the same tick among them, one value
  a note. A note sounds until its end, with the pedal where the notes were read with it, or until its key is struck
  again. Bins as for times.

Repetition is the share of runs of 8 pitches that occurred before in the passage, in the notes' order (onset, then
pitch). It has no best value, and is reported with that of real music.

The distance of a finite sample is never 0, so each is reported with that of real music to other real music, computed in
the same way. The performances are split in two halves, 20 times, seeded. From one half as many performances are taken
as there are generated pieces, all of them where there is a piece for each, and both are compared with the whole other
half. Of a generated piece and the performance it is paired with, the longer is cut to the length of the shorter, so
that both samples have as many pieces and as many notes, and chance adds the same to both distances. They are averaged
over the splits. Of each piece the first 5,000 notes count.

Collapse shows as growth from the first 1,000 notes to the last 1,000 of 5,000. They are compared in the same way with
the first 1,000 and the last 1,000 of (at most) 5,000 notes of real performances, and repetition is that within them.

After Lin, "Divergence measures based on the Shannon entropy" (1991), for the distance, and Yang and Lerch, "On the
evaluation of generative models in music" (2020), for comparing distances between sets with distances within real music.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kerasmusic.codec import TICKS_PER_SECOND
from kerasmusic.errors import ArgumentError, CorpusError
from kerasmusic.notes import Notes

if TYPE_CHECKING:
    from kerasmusic.data.corpus import Corpus
    from kerasmusic.edge import Generator

# Nearly as many as half of MAESTRO's validation split, and played in a minute or two by an exported file.
PIECES = 64
NOTES = 5_000
PASSAGE = 1_000
SPLITS = 20
# The pitches of a run that can be repeated.
RUN = 8
# 0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32 and so on to 2,048; what is more goes into the last bin.
GROWING_EDGES = np.unique(np.rint([0, *2 ** (np.arange(34) / 3)])).astype(np.int64)
BINS = {
    "pitch": 128,
    "pitch class": 12,
    "step": len(GROWING_EDGES),
    "duration": len(GROWING_EDGES),
    "velocity": 32,
    "polyphony": len(GROWING_EDGES),
}
# Where each histogram begins when all are laid end to end.
OFFSETS = np.cumsum([0, *BINS.values()])
MEASURES = (*BINS, "repetition")
PARTS = {"whole": slice(None), "first": slice(PASSAGE), "last": slice(-PASSAGE, None)}


class Comparison(NamedTuple):
    """One measure of generated music, and the same of real music."""

    generated: float
    real: float


@dataclass(frozen=True)
class Musicality:
    """The measures of generated music: the distances of `BINS` to real music, from 0 to 1, and repetition.

    Args:
        whole: of whole pieces.
        first: of their first 1,000 notes.
        last: of their last 1,000 notes.
        pieces: the number of generated pieces.
        performances: the number of real performances.

    `str` gives a table.
    """

    whole: dict[str, Comparison]
    first: dict[str, Comparison]
    last: dict[str, Comparison]
    pieces: int
    performances: int

    def to_json(self) -> dict[str, Any]:
        """The measures as JSON values, by part and measure."""
        parts = {part: {measure: values._asdict() for measure, values in getattr(self, part).items()} for part in PARTS}
        return {**parts, "pieces": self.pieces, "performances": self.performances}

    def __str__(self) -> str:
        lines = [
            f"distances to real music, from 0 to 1; generated pieces: {self.pieces}, performances: {self.performances}",
            f"{'':<12}{'whole pieces':^26}{f'first {PASSAGE:,} notes':>20}{f'last {PASSAGE:,} notes':>20}",
            f"{'':<12}{'generated':>10}{'real':>8}{'ratio':>8}" + f"{'generated':>12}{'real':>8}" * 2,
        ]
        for measure in MEASURES:
            whole = self.whole[measure]
            # There is no ratio to 0; a dash keeps the columns aligned.
            ratio = f"{whole.generated / whole.real:.1f}" if whole.real else "-"
            lines.append(
                f"{measure:<12}{whole.generated:>10.3f}{whole.real:>8.3f}{ratio:>8}"
                f"{self.first[measure].generated:>12.3f}{self.first[measure].real:>8.3f}"
                f"{self.last[measure].generated:>12.3f}{self.last[measure].real:>8.3f}"
            )
        return "\n".join(lines)


def jensen_shannon_distance(first: ArrayLike, second: ArrayLike) -> float:
    """The Jensen-Shannon distance of two histograms: 0 for the same shape, 1 where they have no bin in common.

    The square root of the Jensen-Shannon divergence to base 2, a metric (Lin 1991; Endres and Schindelin 2003).

    Args:
        first: `[bins]`, counts or weights, finite and >= 0, not all 0; they need not add up to 1.
        second: likewise.

    Raises:
        ArgumentError: the histograms are empty, hold anything else than such numbers, or differ in length.

    >>> jensen_shannon_distance([1, 1, 0], [2, 2, 0]), jensen_shannon_distance([1, 0], [0, 5])
    (0.0, 1.0)
    >>> round(jensen_shannon_distance([1, 0], [1, 1]), 3)
    0.558
    """
    shares = [_shares(histogram) for histogram in (first, second)]
    if len(shares[0]) != len(shares[1]):
        raise ArgumentError(f"histograms of {len(shares[0])} and of {len(shares[1])} bins cannot be compared")
    # Half of it, the middle, would be 0 where the shares are the smallest float.
    total = shares[0] + shares[1]
    divergence = 0.0
    for share in shares:
        held = share > 0
        divergence += float(np.sum(share[held] * (1 + np.log2(share[held] / total[held])))) / 2
    # Rounding may lead a hair outside.
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def _shares(histogram: ArrayLike) -> NDArray[np.float64]:
    try:
        counts = np.asarray(histogram, np.float64)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"a histogram must be numbers ({error})") from None
    if counts.ndim != 1:
        raise ArgumentError(f"a histogram is one row of numbers, not an array of shape {counts.shape}")
    wrong = counts[~((counts >= 0) & np.isfinite(counts))]
    if len(wrong):
        raise ArgumentError(f"{wrong[0]:g}: the numbers of a histogram are finite and not negative")
    if not counts.any():
        raise ArgumentError("an empty histogram has no distribution to compare")
    # By the largest first: the sum of huge weights would overflow, and tiny ones would vanish.
    counts = counts / counts.max()
    return counts / counts.sum()


def polyphony(notes: Notes) -> NDArray[np.int64]:
    """The number of notes that sound when each note is struck, itself included.

    Args:
        notes: a performance of `n` notes; onsets and ends are rounded to 10 ms, and every note sounds for 10 ms at
            least. A note whose key is struck again has ended, and strikes of a key at one onset are one note.

    Returns:
        int64 `[n]`, 1 or more; empty where there are no notes.

    >>> polyphony(Notes(start=[0, 0, 1, 2], pitch=[60, 64, 67, 67], duration=[1, 9, 9, 9], velocity=[64] * 4)).tolist()
    [2, 2, 2, 2]
    """
    struck = notes.without_overlaps()
    start, onset = _ticks(struck.start), _ticks(notes.start)
    end = np.maximum(_ticks(struck.end), start + 1)
    return np.searchsorted(start, onset, side="right") - np.searchsorted(np.sort(end), onset, side="right")


def repetition(pitch: ArrayLike) -> float:
    """The share of a passage's runs of 8 pitches that occurred before in it, from 0 to below 1.

    Args:
        pitch: int `[n]`, MIDI note numbers in the order of the notes.

    Returns:
        The share; 0 where there are fewer than 8 notes, since nothing can have occurred before.

    Raises:
        ArgumentError: anything else than one row of whole numbers from 0 to 127.

    >>> repetition([60, 62, 64, 65, 67, 69, 71, 72] * 2)
    0.1111111111111111
    """
    given = np.asarray(pitch)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
        raise ArgumentError(f"pitches are one row of whole numbers, not {given.dtype} of shape {given.shape}")
    wrong = given[(given < 0) | (given > 127)]
    if len(wrong):
        raise ArgumentError(f"{wrong[0]}: a pitch is from 0 to 127")
    pitches = given.astype(np.int64)
    if len(pitches) < RUN:
        return 0.0
    # Eight pitches of 7 bits make one number of 56.
    count = len(pitches) - RUN + 1
    runs = np.zeros(count, np.int64)
    for offset in range(RUN):
        runs = runs * 128 + pitches[offset : offset + count]
    # Sorted, a run that occurred before stands behind its like.
    runs.sort()
    return int(np.count_nonzero(runs[1:] == runs[:-1])) / count


def bins_of(notes: Notes) -> NDArray[np.int64]:
    """The bin of each note in each histogram.

    Args:
        notes: a performance of `n` notes; the first note's step counts from the beginning.

    Returns:
        int64 `[n, 6]`, in the order of `BINS`.

    >>> bins_of(Notes(start=[0.0, 0.5], pitch=[60, 67], duration=[0.02, 9.0], velocity=[64, 80])).tolist()
    [[60, 0, 0, 2, 16, 1], [67, 7, 14, 27, 20, 1]]
    """
    columns = (
        notes.pitch,
        notes.pitch % 12,
        _growing_bin(_ticks(notes.step)),
        _growing_bin(_ticks(notes.duration)),
        notes.velocity // 4,
        _growing_bin(polyphony(notes)),
    )
    return np.stack(columns, axis=-1).astype(np.int64)


def _ticks(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(seconds * TICKS_PER_SECOND).astype(np.int64)


def _growing_bin(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(GROWING_EDGES, values, side="right") - 1


def compare(generated: Sequence[Notes], real: Sequence[Notes]) -> Musicality:
    """Compares generated pieces with real performances, as the module's docstring describes.

    Args:
        generated: pieces of 5,000 notes each, or fewer; at most half as many as there are performances are used.
        real: performances, two or more.

    Raises:
        ArgumentError: there is nothing to compare, or a piece without notes.
    """
    if len(generated) < 1 or len(real) < 2:
        raise ArgumentError(
            f"{len(generated)} generated pieces and {len(real)} performances: comparing takes one and two at least"
        )
    if not all(len(piece) for piece in (*generated, *real)):
        raise ArgumentError("a piece without notes cannot be compared")
    half = len(real) // 2
    played = [bins_of(piece[:NOTES]) for piece in generated[:half]]
    real_bins = [bins_of(piece[:NOTES]) for piece in real]
    real_histograms = np.stack([_histograms([piece]) for piece in real_bins])
    totals = {part: np.zeros((2, len(MEASURES))) for part in PARTS}
    random = np.random.default_rng(0)
    for _ in range(SPLITS):
        order = random.permutation(len(real_bins))
        reference = real_histograms[order[half:]].sum(axis=0)
        sample = [real_bins[index] for index in order[: len(played)]]
        for part, where in PARTS.items():
            shorter = [min(len(one[where]), len(other[where])) for one, other in zip(played, sample, strict=True)]
            for row, pieces in zip(totals[part], (played, sample), strict=True):
                row += _measure([piece[where][:n] for piece, n in zip(pieces, shorter, strict=True)], reference)
    means = {
        part: dict(zip(MEASURES, map(Comparison._make, (total / SPLITS).T.tolist()), strict=True))
        for part, total in totals.items()
    }
    return Musicality(**means, pieces=len(played), performances=len(real))


def _measure(passages: Sequence[NDArray[np.int64]], reference: NDArray[np.int64]) -> list[float]:
    """The measures of passages, as bins `[n, 6]`, together: distances to a reference's histograms, mean repetition."""
    ours, theirs = (np.split(histograms, OFFSETS[1:-1]) for histograms in (_histograms(passages), reference))
    return [*map(jensen_shannon_distance, ours, theirs), float(np.mean([repetition(bins[:, 0]) for bins in passages]))]


def _histograms(passages: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """All histograms of passages together, laid end to end."""
    return np.bincount((np.concatenate(passages) + OFFSETS[:-1]).ravel(), minlength=OFFSETS[-1])


def real_pieces(corpus: Corpus, split: str = "validation", pieces: int | None = None) -> list[Notes]:
    """The first 5,000 notes of each performance of a split, or of its first `pieces` performances.

    Raises:
        CorpusError: there is no such split, or it has fewer than two performances.
    """
    performances = list(corpus.performances(split))[:pieces]
    if len(performances) < 2:
        raise CorpusError(f"{split}: real music is compared with other real music; that takes two performances")
    return [corpus.codec.decode(fields[:NOTES]) for fields in performances]


def generated_pieces(generator: Generator, pieces: int = PIECES) -> list[Notes]:
    """Lets a generator play pieces of 5,000 notes, from its seed and the seeds that follow, a seed a piece.

    Each begins anew, and its first onset is moved to 0. The generator is left at its beginning, with its own seed.

    Args:
        generator: plays with its own temperature, min_p and bias.
        pieces: the number of pieces.
    """
    from kerasmusic.progress import progress

    first = generator.seed
    played = []
    with progress("playing", "piece", pieces) as bar:
        for seed in range(first, first + pieces):
            generator.seed = seed
            generator.reset()
            played.append(generator.take(NOTES).without_leading_silence())
            bar.update()
    generator.seed = first
    generator.reset()
    return played
