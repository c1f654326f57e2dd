"""Tests that every preset must pass, regardless of its layers."""

import keras
import numpy as np
import pytest

from build_models import TINY
from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.edge import Generator
from kerasmusic.edge.generator import LEAST_LOG_PROB
from kerasmusic.edge.runtime import INPUTS, STYLE
from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.models import NoteModel
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.keras_runtime import KerasRuntime, StepModel
from kerasmusic.models.note_model import StepInputs, load_model
from kerasmusic.models.presets import GATED, PRESETS, Preset
from kerasmusic.models.scoring import KerasScorer
from kerasmusic.training.windows import Windows

pytestmark = pytest.mark.every_backend


# "echoing" is a tiny model with the layers of `base`.
@pytest.fixture(scope="module", params=[*sorted(PRESETS.keys() - {"base"}), "echoing"])
def model(request):
    keras.utils.set_random_seed(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            PRESETS,
            "echoing",
            Preset(GATED, {**TINY, "memory": 50}),
        )
        yield NoteModel.new(request.param)


@pytest.fixture
def fields(notes):
    return NoteCodec().encode(notes.without_leading_silence())[:150]


def steps(model, fields):
    """The log probabilities of fields by `step`, one note after another."""
    step = StepModel(model)
    inputs = step.inputs_of_zeros()
    inputs["previous"][:] = model.codec.start_note
    inputs["temperature"][:] = 1
    log_probs = []
    for note in fields:
        inputs["given"][:] = note
        outputs = step.predict_on_batch(inputs)
        np.testing.assert_array_equal(outputs["note"], note[None])
        log_probs.append(outputs["log_prob"][0])
        inputs["previous"][:], inputs["state"] = note, np.array(outputs["state"])
    return np.stack(log_probs), inputs["state"]


@pytest.mark.slow
def test_the_step_equals_the_sequence_model_note_for_note(model, fields):
    by_step, state = steps(model, fields)
    notes = np.concatenate([model.codec.start_note[None], fields])[None]
    log_probs, last = model.score(notes, np.zeros((1, model.state_size), "float32"))
    np.testing.assert_allclose(by_step, keras.ops.convert_to_numpy(log_probs)[0], atol=1e-4)
    np.testing.assert_allclose(state, keras.ops.convert_to_numpy(last), atol=1e-4)


@pytest.mark.slow
def test_a_state_carried_over_makes_chunks_equal_the_whole(model, fields):
    notes = np.concatenate([model.codec.start_note[None], fields])[None]
    state = np.zeros((1, model.state_size), "float32")
    whole, _ = model.score(notes, state)
    first, state = model.score(notes[:, :61], state)
    second, _ = model.score(notes[:, 60:], state)
    halves = np.concatenate([keras.ops.convert_to_numpy(part) for part in (first, second)], axis=1)
    np.testing.assert_allclose(halves, keras.ops.convert_to_numpy(whole), atol=1e-4)


@pytest.mark.slow
def test_scoring_pieces_side_by_side_equals_scoring_each_alone(model, fields):
    pieces = [fields, fields[:1], fields[30:90]]
    together = list(KerasScorer(model).score_fields(pieces))
    for piece, scores in zip(pieces, together, strict=True):
        np.testing.assert_allclose(scores, steps(model, piece)[0], atol=1e-4)


@pytest.mark.slow
def test_a_step_keeps_nothing(model):
    step = StepModel(model)
    inputs = step.inputs_of_zeros()
    inputs["given"][:] = -1
    inputs["uniform"][:] = [[0.3, 0.6, 0.9, 0.1]]
    inputs["temperature"][:] = 1
    first, again = step.predict_on_batch(inputs), step.predict_on_batch(inputs)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


@pytest.mark.slow
def test_the_log_probability_of_a_step_is_the_models_own_whatever_steers_it(model):
    step = StepModel(model)
    inputs = step.inputs_of_zeros()
    inputs["given"][:] = [[3, 60, 100, 7]]
    plain = step.predict_on_batch(inputs)
    inputs["temperature"][:], inputs["min_p"][:], inputs["uniform"][:] = 0.5, 0.9, 0.7
    inputs["bias"][:] = np.linspace(-50, 50, model.codec.size)
    steered = step.predict_on_batch(inputs)
    for name in plain:
        np.testing.assert_array_equal(plain[name], steered[name])


@pytest.mark.slow
def test_every_field_it_draws_is_one_the_codec_knows(model):
    step = StepModel(model)
    inputs = step.inputs_of_zeros()
    random = np.random.default_rng(0)
    inputs["given"][:] = -1
    inputs["temperature"][:] = 3
    for _ in range(50):
        inputs["uniform"] = random.random((1, 4), dtype=np.float32)
        outputs = step.predict_on_batch(inputs)
        assert np.all(outputs["note"] >= 0)
        assert np.all(outputs["note"][0] < np.array(model.codec.sizes))
        inputs["previous"], inputs["state"] = outputs["note"], outputs["state"]


@pytest.mark.slow
def test_it_comes_back_from_its_file_the_same(model, fields, tmp_path):
    model.record = {"source": "a test"}
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert (loaded.preset, loaded.codec, loaded.record) == (model.preset, model.codec, model.record)
    notes = np.concatenate([model.codec.start_note[None], fields])[None]
    state = np.zeros((1, model.state_size), "float32")
    for expected, result in zip(model.score(notes, state), loaded.score(notes, state), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(result), keras.ops.convert_to_numpy(expected))


@pytest.mark.slow
def test_training_on_a_few_windows_makes_them_likelier(model, corpus):
    trained = NoteModel.new(model.preset)
    windows = Windows(
        corpus,
        "train",
        length=min(trained.window, 64),
        context=trained.context_notes,
        batch_size=8,
        batches=4,
        advance=False,
    )
    trained.compile(keras.optimizers.Adam(2e-3))
    history = trained.fit(windows, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert history["loss"][-1] == pytest.approx(sum(history[field][-1] for field in FIELDS), rel=1e-3)


@pytest.mark.slow
def test_fillers_change_neither_the_loss_nor_what_is_learned_from(model, corpus):
    window = Windows(corpus, "train", length=model.window, context=model.context_notes, batch_size=4, batches=1)[0][0]
    filled = np.concatenate([window, np.full_like(window, -1)])
    alone, with_fillers = model(window), model(filled)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(with_fillers)[4:], 0)
    loss, same = model.compute_loss(x=window, y_pred=alone), model.compute_loss(x=filled, y_pred=with_fillers)
    assert float(loss) == pytest.approx(float(same), rel=1e-5)


@pytest.mark.slow
def test_a_window_is_trained_as_if_what_is_before_it_had_been_heard(notes):
    keras.utils.set_random_seed(4)
    model = GatedNoteModel(width=32, hidden=32, depth=1, memory=40)
    fields = model.codec.encode(notes.without_leading_silence())[:100].astype("int32")[None]
    without = model(np.concatenate([np.full_like(fields[:, :40], -1), fields[:, 40:]], axis=1))
    with_context = model(fields)
    assert np.abs(keras.ops.convert_to_numpy(with_context - without)).max() > 1e-3
    # Of the state after the context, only the repeats are set; the rest is zero.
    state = model.state_after(fields[:, :40])
    repeats = keras.ops.convert_to_numpy(state)[0, sum(model.keyboard.sizes) :][: sum(model.repeats.sizes)]
    assert repeats[0] == fields[0, 39, 1]
    assert np.count_nonzero(keras.ops.convert_to_numpy(state)) == np.count_nonzero(repeats)


@pytest.mark.slow
def test_a_model_that_knows_nothing_scores_as_chance_does(notes):
    model = NoteModel.new("small")
    for head in (*model.heads, model.due_to_duration):
        head.kernel.assign(keras.ops.zeros(head.kernel.shape))
    fields = model.codec.encode(notes.without_leading_silence())[:100]
    (scores,) = KerasScorer(model).score_fields([fields])
    np.testing.assert_allclose(scores, np.tile(-np.log(model.codec.sizes), (100, 1)), rtol=1e-5)


@pytest.mark.slow
def test_a_probability_below_float32s_least_has_a_finite_score(notes):
    model = NoteModel.new("small")
    fields = model.codec.encode(notes.without_leading_silence())[:5]
    bias = np.zeros(128, "float32")
    bias[fields[0, 1]] = -500
    model.heads[1].bias.assign(bias)
    (scores,) = Generator(KerasRuntime(model), seed=0).score_fields([fields])
    assert scores[0, 1] == LEAST_LOG_PROB
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_the_tutorials_step_gives_the_fields_nearest_to_its_estimates(notes):
    keras.utils.set_random_seed(1)
    model = NoteModel.new("tutorial")
    model.step_seconds.bias.assign([0.5])
    model.step_seconds.kernel.assign(keras.ops.zeros((128, 1)))
    model.duration_seconds.bias.assign([-3.0])
    inputs = StepModel(model).inputs_of_zeros()
    inputs["given"][:] = -1
    outputs = StepModel(model)(inputs)
    step, _, duration, velocity = keras.ops.convert_to_numpy(outputs["note"])[0].tolist()
    assert (step, duration) == (50, 0)
    assert model.codec.velocities[velocity] == pytest.approx(100, abs=2)
    assert np.isnan(keras.ops.convert_to_numpy(outputs["log_prob"])).tolist() == [[True, False, True, True]]


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "most"), [("tiny", 300_000), ("small", 2_000_000), ("base", 8_000_000)])
def test_a_preset_is_no_larger_than_its_name_promises(preset, most):
    assert most / 2 < NoteModel.new(preset).count_params() <= most


@pytest.mark.slow
def test_a_wide_model_takes_larger_batches():
    sizes = {preset: NoteModel.new(preset).batch_size for preset in ("tutorial", "tiny", "small", "base")}
    assert sizes == {"tutorial": 64, "tiny": 8, "small": 8, "base": 32}


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(ArgumentError, match=r"enormous: no such preset; there are .*small"):
        NoteModel.new("enormous")


@pytest.mark.slow
def test_a_preset_comes_with_its_trained_weights_or_says_how_to_make_a_new_model():
    trained = NoteModel.from_preset("small")
    assert trained.preset == "small"
    assert trained.record["licence"].startswith("CC BY-NC-SA 4.0")
    assert NoteModel.from_preset("small", load_weights=False).record == {}
    with pytest.raises(ArgumentError, match=r"tiny: no trained weights .*NoteModel\.new\('tiny'\) makes a new model"):
        NoteModel.from_preset("tiny")


@pytest.mark.slow
def test_muon_takes_the_matrices_between_layers_and_adam_all_other_weights():
    model = NoteModel.new("tiny")
    optimizer = model.make_optimizer(1e-3, 0.01, 1.0)
    by_muon = {each.path.split("/")[-2] for each in model.trainable_variables if not optimizer._should_use_adamw(each)}
    assert by_muon == {
        *("keyboard_before", "trunk_to_heads", "keyboard_now"),
        *("decay", "candidate", "perceptron", "output"),
    }


def test_a_file_that_is_no_model_of_notes_is_refused(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ModelFileError, match=r"not a \.keras file"):
        load_model(tmp_path / "text.keras")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(ModelFileError, match="not a model of notes that kerasmusic saved"):
        load_model(tmp_path / "other.keras")
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "absent.keras")


@pytest.mark.parametrize(
    ("floatx", "policy", "message"),
    [
        ("float16", "float16", "float16: is Keras's floatx, and note models need float32; write .*keras.json"),
        ("bfloat16", "bfloat16", r"bfloat16: is Keras's floatx.*set_floatx\('float32'\)"),
        ("float32", "mixed_float16", r"mixed_float16: is Keras's dtype policy.*set_dtype_policy\('float32'\)"),
        (
            "float32",
            "mixed_bfloat16",
            r"mixed_bfloat16: is Keras's dtype policy.*set_dtype_policy\('float32'\).*precision='bfloat16'",
        ),
    ],
)
def test_a_model_is_neither_made_nor_loaded_where_keras_is_set_to_another_precision(floatx, policy, message, exported):
    try:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        with pytest.raises(ArgumentError, match=message):
            NoteModel.new("tutorial")
        with pytest.raises(ArgumentError, match=message):
            load_model(exported["tutorial"][0])
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def test_the_steps_inputs_are_those_of_an_exported_file():
    assert StepInputs._fields == (*INPUTS, STYLE)
