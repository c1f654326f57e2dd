"""Experiments: variants train, and their blocks play what they score."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from kerasmusic.bench import experimental_blocks, experiments  # noqa: F401, registers the blocks
from kerasmusic.bench.experiments import VARIANTS, part, train_variant
from kerasmusic.models.contract import require_contract
from kerasmusic.models.gated_model import GatedNoteModel


@pytest.mark.slow
@pytest.mark.parametrize("block", ["dropout", "convolution", "rg_lru"])
def test_a_block_plays_what_it_scores(block):
    require_contract(GatedNoteModel(width=32, hidden=32, depth=2, block=block))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["averaged weights", "dropout 0.1", "RG-LRU"])
def test_a_variant_trains(corpus, name):
    untrained, trained = (train_variant(VARIANTS[name], corpus, passes) for passes in (0.01, 30))
    assert trained["nats"] < untrained["nats"] - 1
    assert trained["notes"] > untrained["notes"]
    assert trained["curve"][-1][0] * 8 * 256 == trained["notes"]


def test_a_part_of_a_corpus_is_whole_performances(corpus):
    first = part(corpus, 1)
    assert len(first.pieces("train")) == 1
    np.testing.assert_array_equal(first.pieces("validation"), corpus.pieces("validation"))
    assert part(corpus, 10**9).splits == corpus.splits


@pytest.mark.slow
def test_results_are_kept(midi_zip, tmp_path):
    arguments = ["--data", str(midi_zip), "--out", str(tmp_path), "--passes", "0.01", "no transposition"]
    result = CliRunner().invoke(experiments.main, arguments, catch_exceptions=False)
    assert "no transposition: " in result.output
    written = json.loads((tmp_path / "no-transposition.json").read_text())
    assert (written["variant"], written["parameters"] > 10_000) == ("no transposition", True)
    assert CliRunner().invoke(experiments.main, arguments, catch_exceptions=False).output == ""
