import keras
import numpy as np
import pytest
from build_models import TINY

from kerasmusic.errors import ModelFileError
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.learner import Learner
from kerasmusic.models.loading import load_learner
from kerasmusic.windows import Streams


@pytest.fixture
def learner():
    keras.utils.set_random_seed(4)
    learner = Learner(GatedNoteModel(**TINY), rows=2)
    learner.compile(keras.optimizers.SGD(0.0))
    return learner


def streams(corpus, **options):
    standing = {"length": 32, "batch_size": 2, "batches": 40, "transposition": 0, "advance": False}
    return Streams(corpus, "train", **{**standing, **options})


def test_windows_one_after_another_are_scored_as_a_whole_is(learner, corpus):
    windows = [streams(corpus)[index][0] for index in range(4)]
    losses = []
    for window in windows:
        learner.reset_metrics()
        losses.append(float(learner.train_on_batch(window, return_dict=True)["loss"]))
    before = np.tile(corpus.codec.start_note, (2, 1, 1))
    whole = np.concatenate([before, *(window[:, 1:] for window in windows)], axis=1)
    together, _ = learner.model.losses_of(whole, np.zeros((2, learner.model.state_size), "float32"))
    in_four = np.split(keras.ops.convert_to_numpy(together), 4, axis=1)
    np.testing.assert_allclose(losses, [part.sum() / 64 for part in in_four], rtol=1e-4)


def test_evaluation_leaves_the_states_of_training_alone(learner, corpus):
    learner.fit(streams(corpus, batches=3), shuffle=False, verbose=0)
    before = keras.ops.convert_to_numpy(learner.states)
    assert before.any()
    first = learner.evaluate(streams(corpus, batches=3), verbose=0)
    assert learner.evaluate(streams(corpus, batches=3), verbose=0) == first
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(learner.states), before)


def test_a_learner_comes_back_with_its_model_its_optimizer_and_its_states(learner, corpus, tmp_path):
    learner.compile(keras.optimizers.AdamW(1e-3))
    learner.fit(streams(corpus, batches=3), shuffle=False, verbose=0)
    learner.save(tmp_path / "checkpoint.keras")
    loaded = load_learner(tmp_path / "checkpoint.keras")
    for one, other in ((learner, loaded), (learner.model, loaded.model), (learner.optimizer, loaded.optimizer)):
        assert len(one.variables) == len(other.variables)
    for name in ("states", "validation_states"):
        np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(getattr(each, name)) for each in (learner, loaded)))
    more = streams(corpus, batches=3, first_batch=3)
    ours, theirs = (each.fit(more, shuffle=False, verbose=0).history["loss"] for each in (learner, loaded))
    assert theirs == pytest.approx(ours, rel=1e-6)


def test_a_file_that_holds_no_learner_is_refused(learner, tmp_path):
    learner.model.save(tmp_path / "checkpoint.keras")
    with pytest.raises(ModelFileError, match="holds a GatedNoteModel, not a model in training; start a run anew"):
        load_learner(tmp_path / "checkpoint.keras")
