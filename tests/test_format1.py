"""Tests that files of format 1 stay readable; they were made before 0.1.0 with a custom block, an echo and a codec."""

import json
from pathlib import Path

import numpy as np
import pytest

from kerasmusic.codec import FIELDS
from kerasmusic.edge import TFLiteRuntime
from kerasmusic.edge.golden import verify

FOLDER = Path(__file__).parent / "format1"
SCORES = json.loads((FOLDER / "scores.json").read_text())


@pytest.mark.every_backend
@pytest.mark.slow
def test_its_weights_give_the_same_probabilities_and_its_optimizer_trains_on(tmp_path):
    pytest.importorskip("keras")
    from kerasmusic.models.note_model import load_model
    from kerasmusic.models.scoring import KerasScorer

    model = load_model(FOLDER / "model.keras", compile=True)
    assert (model.preset, model.record["licence"]) == ("old", "free")
    (scores,) = KerasScorer(model).score_fields([np.array(SCORES["fields"])])
    np.testing.assert_allclose(scores, SCORES["log_prob"], atol=1e-4)
    assert model.optimizer.exclude_layers == ["head_"]
    windows = np.zeros((2, model.context_notes + 1 + 8, len(FIELDS)), np.int32)
    assert np.isfinite(model.fit(windows, batch_size=2, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").block == "recurrent"


@pytest.mark.device
def test_its_exported_file_plays_the_passage_inside_it():
    runtime = TFLiteRuntime(FOLDER / "model.tflite")
    assert "settings" not in runtime.record["golden"]
    assert verify(runtime).holds
