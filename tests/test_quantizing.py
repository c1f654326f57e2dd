import keras
import numpy as np
import pytest

from build_models import TINY
from kerasmusic.codec import NoteCodec
from kerasmusic.errors import KerasMusicError
from kerasmusic.export.quantizing import check_sums, make_exact
from kerasmusic.models.exact_layers import with_ends
from kerasmusic.models.exact_sampling import GRID
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.scoring import KerasScorer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(6)
    return GatedNoteModel(**TINY, preset="tiny", record={"licence": "CC0"})


@pytest.fixture(scope="module")
def heard(notes):
    fields = NoteCodec().encode(notes.without_leading_silence())[:600].reshape(4, 150, 4)
    start = np.broadcast_to(np.int32(NoteCodec().start_note), (4, 1, 4))
    return np.concatenate([start, fields], axis=1)


@pytest.fixture(scope="module")
def exact(model, heard):
    return make_exact(model, heard)


def test_an_exact_model_scores_notes_nearly_as_its_original(model, exact, heard):
    pieces = [piece[1:] for piece in heard]
    former, now = (np.concatenate(list(KerasScorer(each).score_fields(pieces))) for each in (model, exact))
    assert abs(float((former - now).sum(axis=1).mean())) < 0.05
    assert np.abs(former - now).max() < 1.0
    assert exact.record == model.record
    assert exact.preset == "tiny"


def test_an_echos_gates_may_be_as_large_as_training_makes_them(heard):
    model = GatedNoteModel(**TINY, memory=150, preset="echoing", record={})
    model.echo.embeddings.assign(keras.random.normal(model.echo.embeddings.shape, stddev=0.1, seed=3))
    model.echo_counts.bias.assign(np.float32([30, 20, -25, 10]))
    exact = make_exact(model, heard)
    assert max(check_sums(exact).values()) < 2**24
    pieces = [piece[1:] for piece in heard]
    former, now = (np.concatenate(list(KerasScorer(each).score_fields(pieces))) for each in (model, exact))
    np.testing.assert_allclose(now.mean(axis=0), former.mean(axis=0), atol=0.02)


def test_its_weights_are_codes(exact):
    for weight in exact.trainable_variables:
        if weight.name in ("kernel", "embeddings"):
            values = keras.ops.convert_to_numpy(weight)
            np.testing.assert_array_equal(values, np.round(values))
            assert 10 < np.abs(values).max() <= 127


def test_its_sums_stay_below_2_to_the_24th(exact):
    sums = check_sums(exact)
    assert {"trunk", "hidden", "logits", "block_0/state", "head_pitch"} <= sums.keys()
    assert max(sums.values()) < 2**24


def test_an_output_without_weights_has_its_bias(model, heard):
    silent = GatedNoteModel(**TINY, preset="tiny", record={})
    silent.set_weights(model.get_weights())
    head = silent.heads[0]
    head.kernel.assign(np.zeros(head.kernel.shape, "float32"))
    head.bias.assign(np.linspace(-3, 3, head.bias.shape[0], dtype="float32"))
    exact = make_exact(silent, heard)
    assert max(check_sums(exact).values()) < 2**24
    found = keras.ops.convert_to_numpy(exact.heads[0](with_ends(np.zeros((1, exact.width), "float32"))))
    np.testing.assert_allclose(found[0] / GRID, keras.ops.convert_to_numpy(head.bias), atol=0.51 / GRID)


def test_sums_that_could_be_inexact_are_refused_by_name(model, heard):
    wrong = make_exact(model, heard)
    wrong.blocks[1].candidate.multiplier.assign(1e3 * wrong.blocks[1].candidate.multiplier)
    with pytest.raises(KerasMusicError, match=r"block_1/state: its sums could reach [\d,]+, and float32"):
        check_sums(wrong)
