"""The exact model on both backends; its file and other runtimes are in `test_exact.py`."""

import keras
import numpy as np
import pytest

from build_models import TINY
from kerasmusic.codec import NoteCodec
from kerasmusic.edge import Generator
from kerasmusic.export.quantizing import make_exact
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.keras_runtime import KerasRuntime, StepModel
from kerasmusic.models.note_model import load_model
from kerasmusic.training.windows import Windows

pytestmark = [pytest.mark.every_backend, pytest.mark.slow]


@pytest.fixture(scope="module")
def fields(notes):
    return NoteCodec().encode(notes.without_leading_silence())[:300]


@pytest.fixture(scope="module")
def exact(fields):
    keras.utils.set_random_seed(6)
    start = np.int32(NoteCodec().start_note)[None]
    return make_exact(GatedNoteModel(**TINY, preset="tiny"), np.concatenate([start, fields])[None])


def test_the_step_equals_the_sequence_model_to_the_bit(exact, fields):
    step = StepModel(exact)
    inputs = step.inputs_of_zeros()
    inputs["previous"][:] = exact.codec.start_note
    inputs["temperature"][:] = 1
    log_probs = []
    for note in fields[:100]:
        inputs["given"][:] = note
        outputs = step.predict_on_batch(inputs)
        log_probs.append(np.array(outputs["log_prob"][0]))
        inputs["previous"][:], inputs["state"] = note, np.array(outputs["state"])
    sequence = np.concatenate([np.int32(exact.codec.start_note)[None], fields[:100]])[None]
    scores, state = exact.score(keras.ops.convert_to_tensor(sequence), keras.ops.zeros((1, exact.state_size)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(scores)[0], log_probs, atol=1e-5)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(state), inputs["state"])
    np.testing.assert_array_equal(inputs["state"], np.round(inputs["state"]))


def test_it_comes_back_from_its_file_and_plays_the_same_notes(exact, tmp_path):
    exact.save(tmp_path / "exact.keras")
    again = load_model(tmp_path / "exact.keras")
    assert type(again) is type(exact)
    former, now = (Generator(KerasRuntime(model), seed=3).take(40) for model in (exact, again))
    for column in ("start", "pitch", "duration", "velocity"):
        np.testing.assert_array_equal(getattr(former, column), getattr(now, column))


def test_it_is_trained_on_with_its_rounding(exact, corpus, tmp_path):
    exact.save(tmp_path / "exact.keras")
    model = load_model(tmp_path / "exact.keras")
    windows = Windows(corpus, "train", length=64, batch_size=4, batches=4, advance=False)
    before = model.get_weights()
    model.compile(optimizer=keras.optimizers.Adam(0.3))
    losses = model.fit(windows, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.05
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert sum(changed) > 20
