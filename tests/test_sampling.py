import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasmusic.models.sampling import GIVEN, controls_by_field, draw

pytestmark = pytest.mark.every_backend


def drawn(logits, uniform, *, given=-1, temperature=1.0, min_p=0.0, bias=None):
    """Values for one row of logits and many uniforms."""
    uniform = np.asarray(uniform, "float32").reshape(-1, 1)
    logits = np.tile(np.asarray(logits, "float32"), (len(uniform), 1))
    column = np.ones_like(uniform)
    (controls,) = controls_by_field(
        given=np.full(uniform.shape, given, "int32"),
        uniform=uniform,
        temperature=temperature * column,
        min_p=min_p * column,
        bias=np.zeros_like(logits) if bias is None else np.tile(np.asarray(bias, "float32"), (len(uniform), 1)),
        sizes=[logits.shape[1]],
    )
    return ops.convert_to_numpy(draw(logits, controls))


def test_it_draws_each_value_as_often_as_its_probability_says():
    probabilities = np.array([0.1, 0.0, 0.6, 0.3])
    values = drawn(np.log(np.maximum(probabilities, 1e-30)), (np.arange(1000) + 0.5) / 1000)
    np.testing.assert_allclose(np.bincount(values, minlength=4) / 1000, probabilities, atol=2e-3)


def test_a_temperature_of_zero_takes_the_likeliest_whatever_the_randomness():
    logits = np.random.default_rng(0).normal(size=50)
    logits[17] = logits.max() + 1e-4
    values = drawn(logits, np.linspace(0, 1 - 2**-24, 100), temperature=0.0)
    assert set(values.tolist()) == {17}


def test_heat_flattens_and_cold_sharpens():
    uniform = (np.arange(1000) + 0.5) / 1000
    shares = [np.mean(drawn([0.0, 1.0], uniform, temperature=heat)) for heat in (0.25, 1.0, 4.0)]
    odds = [1 / (1 + np.exp(-1 / heat)) for heat in (0.25, 1.0, 4.0)]
    np.testing.assert_allclose(shares, odds, atol=2e-3)


def test_min_p_rules_out_the_unlikely_even_when_hot():
    values = drawn(np.log([0.5, 0.4, 0.09, 0.01]), np.linspace(0, 0.9999, 500), min_p=0.2, temperature=5.0)
    assert set(values.tolist()) == {0, 1}


def test_a_bias_steers_the_draw():
    values = drawn([0.0, 0.0, 0.0], np.linspace(0, 1 - 2**-24, 50), bias=[-1e4, 0.0, -1e4])
    assert set(values.tolist()) == {1}


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_given_value_is_taken_even_where_it_was_ruled_out(taken):
    logits, uniform = np.log([1e-6, 0.25, 0.75]), [0.0, 0.5, 1 - 2**-24]
    values = drawn(logits, uniform, given=taken, min_p=0.5, temperature=0.0)
    assert values.tolist() == [taken] * 3
    bias = np.full(3, 1e4)
    bias[taken] = -np.inf
    assert drawn(logits, uniform, given=taken, bias=bias).tolist() == [taken] * 3


def test_the_controls_of_fields_are_told_apart():
    first, second = controls_by_field(
        given=np.array([[-1, 1]], "int32"),
        uniform=np.array([[0.25, 0.5]], "float32"),
        temperature=np.array([[0.5, 2.0]], "float32"),
        min_p=np.array([[1.0, np.exp(-1.0)]], "float32"),
        bias=np.arange(5, dtype="float32")[None],
        sizes=[3, 2],
    )
    as_lists = [[np.ravel(ops.convert_to_numpy(part)).tolist() for part in control] for control in (first, second)]
    assert as_lists[0] == [[0, 1, 2], [0.25], [0], [0.5]]
    assert as_lists[1] == [[3, pytest.approx(GIVEN)], [0.5], [pytest.approx(-1)], [2]]


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=300),
    st.sampled_from([0.0, 2.0**-24, 0.5, 1 - 2.0**-24, 1 - 2.0**-12]),
    st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    st.sampled_from([0.0, 0.05, 1.0]),
)
def test_no_randomness_draws_what_is_not_there_or_was_ruled_out(logits, uniform, temperature, min_p):
    (value,) = drawn(logits, [uniform], temperature=temperature, min_p=min_p)
    assert 0 <= value < len(logits)
    likeliest = np.max(np.asarray(logits, "float32"))
    assert logits[value] >= likeliest + (np.log(min_p) if min_p else -np.inf) - 1e-4
    if temperature == 0:
        assert logits[value] == pytest.approx(likeliest, abs=1e-5)
