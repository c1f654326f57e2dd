import keras
import numpy as np
import pytest

from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ArgumentError
from kerasmusic.models.gated_model import GatedNoteModel
from kerasmusic.models.growing import grown
from kerasmusic.models.note_model import NoteModel
from kerasmusic.models.presets import GATED, PRESETS, Preset
from kerasmusic.models.scoring import KerasScorer

pytestmark = pytest.mark.every_backend


@pytest.fixture
def narrow():
    keras.utils.set_random_seed(0)
    model = GatedNoteModel(width=32, hidden=64, depth=2, preset="narrow", record={"licence": "free"})
    # Equal biases would hide a mistake.
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(np.array(variable) + random.normal(0, 0.1, variable.shape))
    return model


@pytest.fixture
def preset_of(monkeypatch):
    """Adds presets of gated models."""

    def add(name, **sizes):
        monkeypatch.setitem(PRESETS, name, Preset(GATED, sizes))
        return name

    return add


@pytest.mark.parametrize(("factor", "memory"), [(1, 0), (2, 0), (3, 0), (1, 50), (2, 50)])
@pytest.mark.slow
def test_a_wider_model_gives_real_music_the_same_probabilities(narrow, preset_of, notes, factor, memory):
    wide = grown(narrow, preset_of("wide", width=32 * factor, hidden=64 * factor, depth=2, memory=memory))
    fields = NoteCodec().encode(notes.without_leading_silence())[:300]
    (expected,), (found,) = (list(KerasScorer(model).score_fields([fields])) for model in (narrow, wide))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert wide.record == {"licence": "free"}
    assert wide.preset == "wide"


@pytest.mark.slow
def test_the_copies_are_read_unevenly_so_that_they_come_to_differ(narrow, preset_of):
    wide = grown(narrow, preset_of("wide", width=64, hidden=128, depth=2))
    kernel = np.array(wide.trunk_to_heads.kernel)
    np.testing.assert_allclose(kernel[:32, :32] + kernel[32:, :32], np.array(narrow.trunk_to_heads.kernel), atol=1e-6)
    assert np.abs(kernel[:32] - kernel[32:]).mean() > 0.1 * np.abs(kernel).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 48, "hidden": 96, "depth": 2},
        {"width": 64, "hidden": 64, "depth": 2},
        {"width": 64, "hidden": 128, "depth": 3},
        {"width": 16, "hidden": 32, "depth": 2},
    ],
)
def test_other_shapes_cannot_be_grown_into(narrow, preset_of, sizes):
    with pytest.raises(ArgumentError, match="other: cannot start from a model of the preset narrow"):
        grown(narrow, preset_of("other", **sizes))


@pytest.mark.slow
def test_the_tutorials_model_cannot_become_another():
    with pytest.raises(ArgumentError, match="small: cannot start from a model of the preset tutorial"):
        grown(NoteModel.new("tutorial"), "small")
