"""Styles in training: what a model learns of the composers that its corpus names."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from build_models import TINY
from kerasmusic.edge.styles import Styles
from kerasmusic.errors import ArgumentError
from kerasmusic.export.quantizing import make_exact
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.growing import grown
from kerasmusic.models.note_model import NoteModel, load_model
from kerasmusic.models.presets import GATED, PRESETS, Preset
from kerasmusic.training.settings import Settings
from kerasmusic.training.train import resume, train
from kerasmusic.training.windows import Windows

pytestmark = [pytest.mark.every_backend, pytest.mark.slow]

STYLES = ["Bach", "Chopin", "Verdi"]
SHORT = {"epochs": 5, "batch_size": 4, "validations": 1, "seed": 3}


@pytest.fixture
def mini(monkeypatch):
    """A preset small enough to train in seconds."""
    monkeypatch.setitem(PRESETS, "mini", Preset(GATED, {"width": 32, "hidden": 32, "depth": 2}))
    return "mini"


def styled(seed=0, **sizes):
    """A new model that a style changes already."""
    keras.utils.set_random_seed(seed)
    model = GatedNoteModel(**{**TINY, "style_size": 4, "styles": STYLES, **sizes})
    for projection in (model.style_trunk, model.style_hidden):
        projection.kernel.assign(keras.random.normal(projection.kernel.shape))
    model.styles.embeddings.assign(keras.random.normal(model.styles.embeddings.shape))
    return model


def windows_of(corpus, model, **options):
    sizes = {"length": 64, "context": model.context_notes, "batch_size": 8, "batches": 10, **options}
    return Windows(corpus, "train", styles=model.style_names, **sizes)


def losses(model, windows, *style):
    """Nats per note of windows under a style's index, or one for each window, or without."""
    inputs = (windows, np.broadcast_to(np.int32(style[0]), len(windows))) if style else windows
    return model.predict_on_batch(inputs).sum(axis=-1).mean(axis=-1)


def table(model):
    return ops.convert_to_numpy(model.styles.embeddings)


@pytest.mark.parametrize("memory", [0, 50])
def test_a_style_left_out_scores_as_no_style_and_another_scores_otherwise(corpus, memory):
    model = styled(memory=memory)
    ((windows, _),) = windows_of(corpus, model)[0]
    without = losses(model, windows)
    np.testing.assert_array_equal(losses(model, windows, -1), without)
    assert np.abs(losses(model, windows, 0) - without).min() > 1e-3
    mixed = np.array([-1, 0, 1, 2] * 2, np.int32)
    by_window = losses(model, windows, mixed)
    np.testing.assert_allclose(by_window[::4], without[::4], atol=1e-4)
    np.testing.assert_allclose(by_window[1::4], losses(model, windows, 0)[1::4], atol=1e-4)


def test_training_changes_the_vectors_of_the_composers_in_the_windows_alone(corpus):
    model = styled()
    before = table(model)
    optimizer = model.make_optimizer(1e-2, weight_decay=0.1, clip=1.0)
    model.exclude_from_decay(optimizer)
    model.compile(optimizer)
    model.fit(windows_of(corpus, model), epochs=1, verbose=0)
    changed = np.abs(table(model) - before).max(axis=1)
    assert (changed[:2] > 1e-3).all()
    np.testing.assert_array_equal(table(model)[2], before[2])


def test_a_model_tells_its_composers_apart_and_plays_without_them_too(corpus):
    keras.utils.set_random_seed(0)
    # New, as `train` makes it: a style changes nothing yet.
    model = GatedNoteModel(**TINY, style_size=8, styles=STYLES)
    model.compile(model.make_optimizer(1e-2, weight_decay=0.0, clip=1.0))
    model.fit(windows_of(corpus, model, batch_size=16, batches=60, transposition=0), epochs=1, verbose=0)
    later = windows_of(corpus, model, batch_size=64, transposition=0, seed=9)
    ((windows, style),) = later[0]
    known = style >= 0
    right, wrong = losses(model, windows, style), losses(model, windows, np.where(known, 1 - style, style))
    assert right[known].mean() < losses(model, windows)[known].mean() < wrong[known].mean()


def test_an_exact_model_trains_its_styles_on_as_the_whole_numbers_that_it_plays(corpus):
    notes = next(corpus.performances("train"))[:300].astype(np.int32)
    exact = make_exact(styled(), np.concatenate([np.int32(corpus.codec.start_note)[None], notes])[None])
    ((windows, _),) = windows_of(corpus, exact)[0]
    played = Styles(exact.style_vectors(), whole=True).vector("Chopin").astype(np.float32)
    np.testing.assert_array_equal(ops.convert_to_numpy(exact.styles_at(np.int32([1, -1]))), [played, 0 * played])
    np.testing.assert_array_equal(losses(exact, windows, -1), losses(exact, windows))
    before = table(exact)
    optimizer = keras.optimizers.AdamW(0.3)
    exact.exclude_from_decay(optimizer)
    exact.compile(optimizer)
    exact.fit(windows_of(corpus, exact), epochs=1, verbose=0)
    assert (np.abs(table(exact) - before)[:2].max(axis=1) > 0.3).all()
    np.testing.assert_array_equal(table(exact)[2], before[2])
    vectors = ops.convert_to_numpy(exact.styles_at(np.int32([0, 1, 2])))
    np.testing.assert_array_equal(vectors, vectors.round())


def test_a_run_learns_the_composers_with_enough_music_and_goes_on_with_them(corpus, tmp_path, mini):
    notes = corpus.notes_by_composer("train")
    fewest = max(notes.values())
    train(mini, corpus, tmp_path / "run", Settings(**SHORT, style_notes=fewest))
    model = load_model(tmp_path / "run")
    (most,) = [composer for composer, count in notes.items() if count == fewest]
    assert model.style_names == [most]
    assert np.isfinite(list(model.style_vectors().values())).all()
    before = table(load_model(tmp_path / "run" / "checkpoint.keras"))
    # With other composers now: the run keeps its styles.
    other = dataclasses.replace(corpus, composers=["Verdi" if each != most else most for each in corpus.composers])
    resume(other, tmp_path / "run", Settings(**{**SHORT, "epochs": 8}, style_notes=1))
    again = load_model(tmp_path / "run" / "checkpoint.keras")
    assert again.style_names == [most]
    assert not np.array_equal(table(again), before)


@pytest.mark.parametrize(
    ("preset", "style_notes", "composers"),
    [("mini", 0, None), ("tutorial", 1, None), ("mini", 40_000, None), ("mini", 1, "")],
)
def test_without_enough_music_or_where_none_are_wanted_a_run_has_no_styles(
    corpus, tmp_path, mini, preset, style_notes, composers
):
    if composers is not None:
        corpus = dataclasses.replace(corpus, composers=[None] * len(corpus.composers))
    train(preset, corpus, tmp_path, Settings(**SHORT, style_notes=style_notes))
    model = load_model(tmp_path)
    assert (list(model.style_names), model.style_size, model.style_vectors()) == ([], 0, {})


@pytest.mark.parametrize("style_notes", [40_000, 0])
def test_a_trained_models_styles_are_trained_on_where_the_music_has_them(corpus, tmp_path, style_notes):
    start = styled()
    train(start, corpus, tmp_path, Settings(**SHORT, style_notes=style_notes, weight_decay=0.1))
    model = load_model(tmp_path)
    assert model.style_names == STYLES
    changed = (table(model) != table(start)).any(axis=1).tolist()
    assert changed == [bool(style_notes), bool(style_notes), False]


def test_a_resumed_run_does_not_let_the_styles_decay_that_the_music_lacks(corpus, tmp_path):
    start = styled()
    train(start, corpus, tmp_path, Settings(**SHORT, weight_decay=0.1))
    resume(corpus, tmp_path, Settings(**{**SHORT, "epochs": 8}, weight_decay=0.1))
    np.testing.assert_array_equal(table(load_model(tmp_path / "checkpoint.keras"))[2], table(start)[2])


def test_a_wider_model_keeps_the_styles(corpus, monkeypatch):
    monkeypatch.setitem(PRESETS, "wide", Preset(GATED, {"width": 64, "hidden": 64, "depth": 2}))
    narrow = styled()
    wide = grown(narrow, "wide")
    assert wide.style_vectors() == narrow.style_vectors()
    ((windows, _),) = windows_of(corpus, narrow)[0]
    np.testing.assert_allclose(losses(wide, windows, 1), losses(narrow, windows, 1), atol=1e-4)


def test_a_preset_that_learns_no_styles_ignores_them():
    assert NoteModel.new("tutorial", styles=STYLES).style_size == 0
    assert NoteModel.new("tiny", styles=STYLES).style_names == STYLES


def test_a_number_of_notes_below_zero_is_refused():
    with pytest.raises(ArgumentError, match=r"^-1: a composer's notes are 0, for no styles, or more$"):
        Settings(minutes=1, style_notes=-1)
