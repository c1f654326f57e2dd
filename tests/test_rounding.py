import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasmusic.export.rounding import round_weights


def error(weights, integers, inputs, scale):
    return float(np.square(inputs @ (weights - integers * np.float32(scale)).T).mean())


@given(seed=st.integers(0, 2**32 - 1), inputs=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_what_goes_together_is_rounded_better_than_weight_by_weight(seed, inputs):
    random = np.random.default_rng(seed)
    # Of a single output it need not be better, of many it is.
    weights = random.normal(size=(64, inputs)).astype(np.float32)
    # Inputs with few independent factors, like those of a layer.
    seen = (random.normal(size=(500, 3)) @ random.normal(size=(3, inputs))).astype(np.float32)
    seen += 0.1 * random.normal(size=seen.shape).astype(np.float32)
    scale = float(np.abs(weights).max() / 127)
    together = round_weights(weights, seen, scale)
    nearest = np.round(weights / scale).astype(np.int8)
    assert together.dtype == np.int8
    assert np.abs(together.astype(int)).max() <= 127
    if inputs > 3:
        assert error(weights, together, seen, scale) < 0.95 * error(weights, nearest, seen, scale)


def test_many_inputs_that_are_alike_lose_almost_nothing():
    random = np.random.default_rng(0)
    weights = random.normal(size=(8, 64)).astype(np.float32)
    seen = np.repeat(random.normal(size=(200, 1)), 64, axis=1).astype(np.float32)
    nearest = np.round(weights / 0.05).astype(np.int8)
    assert error(weights, round_weights(weights, seen, 0.05), seen, 0.05) < 0.05 * error(weights, nearest, seen, 0.05)


def test_weights_that_are_multiples_of_the_scale_stay():
    weights = np.float32([[0.5, -1.0], [63.5, 0.0]])
    seen = np.float32([[1, 1], [1, -1]])
    np.testing.assert_array_equal(round_weights(weights, seen, 0.5), [[1, -2], [127, 0]])


def test_an_input_that_is_never_there_does_no_harm():
    seen = np.float32([[1, 0], [2, 0]])
    np.testing.assert_array_equal(round_weights(np.float32([[0.6, 0.6]]), seen, 1.0), [[1, 1]])
    assert round_weights(np.float32([[0.6]]), np.float32([[0.0]]), 1.0) == pytest.approx(1)
