"""Scorers, which compute the log probabilities of whole performances; a Keras model scores them in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS, NoteCodec

if TYPE_CHECKING:
    from keras import KerasTensor

    from kerasmusic.models import NoteModel

CHUNK = 256
PIECES_AT_ONCE = 32


class Scorer(Protocol):
    """Computes the log probabilities of performances."""

    codec: NoteCodec

    def score_fields(self, pieces: Iterable[NDArray[np.integer]]) -> Iterator[NDArray[np.float32]]:
        """For the fields of each piece, int `[n, 4]`, the natural logs of their probabilities, float32 `[n, 4]`."""


class KerasScorer:
    """Scores whole pieces in batches with a Keras model; the state runs through each piece from start to end."""

    def __init__(self, model: NoteModel) -> None:
        import keras

        class ScoreModel(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.model = model
                self.built = True

            def call(self, inputs: tuple[KerasTensor, KerasTensor]) -> tuple[KerasTensor, KerasTensor]:
                return self.model.score(*inputs)

        self.codec = model.codec
        self._state_size = model.state_size
        self._model = ScoreModel()

    def score_fields(self, pieces: Iterable[NDArray[np.integer]]) -> Iterator[NDArray[np.float32]]:
        """See `Scorer`; results are in the order of the pieces."""
        pieces = list(pieces)
        scores: list[Any] = [None] * len(pieces)
        # Batches of pieces of similar length waste little on padding.
        by_length = sorted(range(len(pieces)), key=lambda index: -len(pieces[index]))
        for first in range(0, len(pieces), PIECES_AT_ONCE):
            batch = by_length[first : first + PIECES_AT_ONCE]
            for index, score in zip(batch, self._score_batch([pieces[i] for i in batch]), strict=True):
                scores[index] = score
        yield from scores

    def _score_batch(self, pieces: list[NDArray[np.integer]]) -> list[NDArray[np.float32]]:
        longest = max(len(piece) for piece in pieces)
        chunks = -(-longest // CHUNK)
        notes = np.zeros((PIECES_AT_ONCE, chunks * CHUNK + 1, len(FIELDS)), np.int32)
        notes[:, 0] = self.codec.start_note
        for row, piece in zip(notes, pieces, strict=False):
            row[1 : len(piece) + 1] = piece
        state = np.zeros((PIECES_AT_ONCE, self._state_size), np.float32)
        scores = []
        for chunk in range(chunks):
            window = notes[:, chunk * CHUNK : (chunk + 1) * CHUNK + 1]
            score, state = self._model.predict_on_batch((window, state))
            scores.append(score)
        whole = np.concatenate(scores, axis=1)
        return [whole[index, : len(piece)] for index, piece in enumerate(pieces)]
