"""Experiments: variants train, and their blocks play what they score."""

import json

import numpy as np
import pytest

from kerasmusic.bench import experimental_blocks  # noqa: F401, registers the blocks
from kerasmusic.bench.experiments import part
from kerasmusic.command_line import main
from kerasmusic.models.contract import require_contract
from kerasmusic.models.gated_model import GatedNoteModel


@pytest.mark.slow
@pytest.mark.parametrize("block", ["dropout", "convolution", "rg_lru"])
def test_a_block_plays_what_it_scores(block):
    require_contract(GatedNoteModel(width=32, hidden=32, depth=2, block=block))


def test_a_part_of_a_corpus_is_whole_performances(corpus):
    first = part(corpus, 1)
    assert len(first.pieces("train")) == 1
    np.testing.assert_array_equal(first.pieces("validation"), corpus.pieces("validation"))
    assert part(corpus, 10**9).splits == corpus.splits


@pytest.mark.slow
def test_a_variant_trains_and_its_result_is_kept(midi_zip, tmp_path, capsys):
    settings = ["--data", str(midi_zip), "--folder", str(tmp_path), "--passes", "0.01"]
    arguments = ["bench", "experiments", *settings, "averaged weights"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert said.startswith("averaged weights: ")
    path = tmp_path / "averaged-weights.json"
    written = json.loads(path.read_text())
    assert written["variant"] == "averaged weights"
    assert written["notes"] == 8 * 256
    (nats,) = written["history"]["val_loss"]
    assert written["history"]["training_steps"] == [1]
    assert 10 < nats < 30
    assert 10 < written["nats"] < 30
    before = path.stat().st_mtime_ns
    assert main(arguments) == 0
    assert capsys.readouterr().out == said
    assert path.stat().st_mtime_ns == before


def test_an_unknown_variant_is_refused_before_any_training(tmp_path, capsys):
    assert main(["bench", "experiments", "--folder", str(tmp_path / "out"), "--data", "absent.zip", "dropuot 0.1"]) == 2
    said = capsys.readouterr().err
    assert "dropuot 0.1: no such variant; did you mean dropout 0.1" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
