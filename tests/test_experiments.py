"""Experiments: variants train, and their blocks play what they score."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from kerasmusic.bench import experimental_blocks, experiments  # noqa: F401, registers the blocks
from kerasmusic.bench.experiments import part
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
def test_a_variant_trains_and_its_result_is_kept(midi_zip, tmp_path):
    arguments = ["--data", str(midi_zip), "--out", str(tmp_path), "--passes", "0.01", "averaged weights"]
    result = CliRunner().invoke(experiments.main, arguments, catch_exceptions=False)
    assert "averaged weights: " in result.output
    written = json.loads((tmp_path / "averaged-weights.json").read_text())
    assert written["variant"] == "averaged weights"
    assert written["notes"] == 8 * 256
    ((steps, _, nats),) = written["curve"]
    assert steps == 1
    assert 10 < nats < 30
    assert 10 < written["nats"] < 30
    assert CliRunner().invoke(experiments.main, arguments, catch_exceptions=False).output == ""
