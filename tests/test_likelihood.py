import math

import keras
import numpy as np
import pytest

from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.data.corpus import open_corpus
from kerasmusic.errors import CorpusError
from kerasmusic.evaluation.likelihood import evaluate
from kerasmusic.models import NoteModel
from kerasmusic.models.scoring import KerasScorer

pytestmark = pytest.mark.every_backend


class Uniform:
    """A scorer with a uniform distribution over each field's values."""

    codec = NoteCodec()

    def score_fields(self, pieces):
        for piece in pieces:
            yield np.tile(-np.log(np.array(self.codec.sizes, np.float32)), (len(piece), 1))


def test_a_uniform_model_scores_the_size_of_each_field_and_the_width_of_its_bins(corpus):
    result = evaluate(Uniform(), corpus)
    fields = np.concatenate(list(corpus.performances("validation")))
    for index, field in enumerate(FIELDS):
        width = corpus.codec.log_widths[index][fields[:, index]].mean()
        assert result.by_field[field] == pytest.approx(math.log(corpus.codec.sizes[index]) + width, rel=1e-6)
    assert result.nats == pytest.approx(sum(result.by_field.values()))
    assert result.interval[0] <= result.nats <= result.interval[1]
    seconds = sum(corpus.codec.decode(piece).start[-1] for piece in corpus.performances("validation"))
    assert result.bits_per_second == pytest.approx(result.nats / math.log(2) * result.notes / seconds, rel=1e-6)


@pytest.mark.slow
def test_whole_pieces_are_scored_with_the_state_carried(corpus):
    keras.utils.set_random_seed(0)
    model = NoteModel.new("small")
    result = evaluate(KerasScorer(model), corpus)
    nats = []
    for piece in corpus.performances("validation"):
        notes = np.concatenate([corpus.codec.start_note[None], piece.astype(np.int32)])[None]
        log_prob, _ = model.score(notes, np.zeros((1, model.state_size), "float32"))
        widths = np.stack([width[piece[:, i]] for i, width in enumerate(corpus.codec.log_widths)], axis=-1)
        nats.append(widths - keras.ops.convert_to_numpy(log_prob)[0])
    assert result.nats == pytest.approx(np.concatenate(nats).sum(axis=1).mean(), rel=1e-4)


def test_another_codec_than_the_models_is_refused(corpus, tmp_path):
    other = NoteCodec(velocity_edges=tuple(range(0, 129, 8)))
    with pytest.raises(CorpusError, match="another codec"):
        evaluate(Uniform(), open_corpus(corpus.roots, codec=other, cache=tmp_path))


def test_an_empty_split_is_refused(corpus):
    with pytest.raises(CorpusError, match="test: no performances"):
        evaluate(Uniform(), corpus, "test")
