"""Training windows: batches of note sequences, cut at random from a corpus."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import DURATION, PITCH, STEP, NoteCodec
from kerasmusic.data.corpus import Corpus
from kerasmusic.errors import CorpusError
from kerasmusic.training.settings import Settings

LOWEST_KEY, HIGHEST_KEY = 21, 108
# The share of the windows whose style is left out, so that the model learns to play without one too.
WITHOUT_STYLE = 0.5


class Windows(keras.utils.PyDataset):
    """Random windows of a corpus. Batch number i depends only on the seed and on i.

    All windows that fit into a piece are equally likely. A window holds the note before it (the codec's start note at
    the beginning of a piece) and `length` notes. It never crosses the border between two pieces; where a piece ends
    first, the rest is filled with -1.

    With styles, a batch is a pair: the windows, and the index of each one's style, which is its piece's composer. The
    index is -1 in a share of the windows, chosen at random, and where the composer is unknown or no style.

    Args:
        corpus: an opened corpus.
        split: "train", "validation" or "test".
        length: notes in a window.
        context: extra left-context notes prepended to each window; -1 where the piece has no earlier notes.
        batch_size: windows in a batch.
        batches: batches in one epoch of `fit`.
        seed: of the random choices.
        first_batch: number of the first batch, greater than 0 in a resumed run.
        transposition: windows are transposed by up to this many semitones, within the range of a piano.
        stretch: all times of a window are multiplied by one number, within this distance of 1. Performances keep
            their character when stretched by 5 % (Oore et al., 2018); music that is written on a grid does not.
        advance: whether the next epoch has the batches that follow, or the same again.
        rows: the windows of each batch that this process takes, where several share a batch; all by default.
        styles: the names of the styles that the model knows.
        without_style: the share of the windows whose style is left out.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        length: int,
        context: int = 0,
        batch_size: int,
        batches: int,
        seed: int = 0,
        first_batch: int = 0,
        transposition: int = Settings.transposition,
        stretch: float = 0.0,
        advance: bool = True,
        rows: slice | None = None,
        styles: Sequence[str] = (),
        without_style: float = WITHOUT_STYLE,
    ) -> None:
        super().__init__()
        pieces = corpus.pieces(split)
        if not len(pieces):
            raise CorpusError(f"{split}: no performances in this split; {corpus.empty[split]}")
        self.fields = corpus.fields
        self.codec = corpus.codec
        self.length, self.context = length, context
        self.batch_size, self.batches = batch_size, batches
        self.seed, self.first_batch, self.advance = seed, first_batch, advance
        self.transposition, self.stretch = transposition, stretch
        self.rows = rows or slice(None)
        self.within_pass = False
        index = {style: number for number, style in enumerate(styles)}
        self.style_of_piece = np.array([index.get(each or "", -1) for each in corpus.composers_of(split)], np.int32)
        self.has_styles, self.without_style = bool(styles), without_style
        # A window may begin at each note that leaves it whole, and at the first note of a shorter piece.
        self.starts = pieces[:, 0]
        self.ends = pieces[:, 1]
        self.choices = np.concatenate([[0], np.cumsum(np.maximum(self.ends - self.starts - length, 0) + 1)])

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32] | tuple[NDArray[np.int32], NDArray[np.int32]]]:
        windows, styles = self.batch(self.first_batch + index)
        return ((windows[self.rows], styles[self.rows]) if self.has_styles else windows[self.rows],)

    def on_epoch_begin(self) -> None:
        """Notes that an epoch begins; Keras calls it."""
        self.within_pass = True

    def on_epoch_end(self) -> None:
        """Moves on to the next batches; Keras calls it after each epoch, and once before the first."""
        if self.advance and self.within_pass:
            self.first_batch += self.batches
        self.within_pass = False

    @property
    def notes(self) -> int:
        """Notes in the split."""
        return int((self.ends - self.starts).sum())

    def batch(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The windows of one batch, int32 `[batch, context + 1 + length, 4]`, and their styles, int32 `[batch]`."""
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, number]))
        choice = random.integers(self.choices[-1], size=self.batch_size)
        piece = np.searchsorted(self.choices, choice, side="right") - 1
        begin = self.starts[piece] + choice - self.choices[piece]
        index = begin[:, None] + np.arange(-1 - self.context, self.length)
        window = self.fields[np.clip(index, 0, len(self.fields) - 1)].astype(np.int32)
        within = (index >= self.starts[piece, None]) & (index < self.ends[piece, None])
        window[..., PITCH] += self._shifts(random, window[..., PITCH], within)[:, None]
        if self.stretch:
            # Filler is placed long after the last note, so that it is not sorted among the notes.
            window[..., STEP][~within] = self.codec.sizes.step - 1
            window = _stretched(self.codec, window, random.uniform(1 - self.stretch, 1 + self.stretch, len(window)))
        window[~within] = -1
        window[index == self.starts[piece, None] - 1] = self.codec.start_note
        # Drawn last: with and without styles, the windows are the same.
        left_out = random.random(self.batch_size) < self.without_style
        return window, np.where(left_out, np.int32(-1), self.style_of_piece[piece])

    def _shifts(
        self, random: np.random.Generator, pitch: NDArray[np.int32], within: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        shift = random.integers(-self.transposition, self.transposition + 1, size=len(pitch))
        lowest = np.where(within, pitch, HIGHEST_KEY).min(axis=1)
        highest = np.where(within, pitch, LOWEST_KEY).max(axis=1)
        return np.clip(shift, np.minimum(LOWEST_KEY - lowest, 0), np.maximum(HIGHEST_KEY - highest, 0)).astype(np.int32)


def _stretched(codec: NoteCodec, window: NDArray[np.int32], factor: NDArray[np.float64]) -> NDArray[np.int32]:
    """Windows int32 `[batch, n, 4]` with their times multiplied by `factor`, float64 `[batch]`.

    As in `codec.encode`, onsets and ends are rounded, so that notes struck or released together stay together, and
    notes of the same tick are sorted by pitch. The first note of a window stays first: it is no label.
    """
    ticks = np.cumsum(codec.step_ticks[window[..., STEP]], axis=1)
    onset = _multiplied(ticks, factor)
    end = _multiplied(ticks + codec.duration_ticks[window[..., DURATION]], factor)
    order = np.zeros_like(onset)
    order[:, 1:] = 1 + np.lexsort((window[:, 1:, PITCH], onset[:, 1:]), axis=-1)
    onset, end = np.take_along_axis(onset, order, axis=1), np.take_along_axis(end, order, axis=1)
    stretched = np.take_along_axis(window, order[..., None], axis=1)
    stretched[..., STEP] = codec.step_from_ticks(np.diff(onset, axis=1, prepend=0))
    stretched[..., DURATION] = codec.duration_from_ticks(end - onset)
    return stretched


def _multiplied(ticks: NDArray[np.integer], factor: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(ticks * factor[:, None]).astype(np.int64)
