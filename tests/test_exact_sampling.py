import functools

import keras
import numpy as np
import pytest

from kerasmusic.codec import NoteCodec
from kerasmusic.models.exact_sampling import GRID, WEIGHTS, ExactDraws
from kerasmusic.models.note_model import StepInputs

pytestmark = pytest.mark.every_backend

CODEC = NoteCodec()
SPREAD = (np.arange(2000) + 0.5) / 2000


class Draw(keras.Model):
    """The draw of the first field as a model, so that the backend compiles it."""

    def call(self, inputs):
        *inputs, logits = inputs
        return ExactDraws(StepInputs(*inputs), CODEC)(0, logits)


# One model for all, so that each size of a batch is compiled once.
draw = functools.cache(Draw)


def drawn(logits, uniform, *, given=-1, temperature=1.0, min_p=0.0, bias=None):
    """Values of the first field for one row of logits, in units of the grid, and many uniforms."""
    uniform = np.asarray(uniform, "float32").reshape(-1, 1)
    row = np.full(CODEC.sizes.step, -20_000.0, "float32")
    row[: len(logits)] = logits
    every = np.ones((len(uniform), 4), "float32")
    biases = np.zeros((len(uniform), CODEC.size), "float32")
    if bias is not None:
        biases[:, : len(bias)] = bias
    inputs = StepInputs(
        previous=np.zeros((len(uniform), 4), "int32"),
        given=np.full((len(uniform), 4), given, "int32"),
        state=np.zeros((len(uniform), 1), "float32"),
        uniform=uniform * every,
        temperature=temperature * every,
        min_p=min_p * every,
        bias=biases,
    )
    tensors = [each for each in inputs if each is not None]
    return draw().predict_on_batch([*tensors, np.tile(row, (len(uniform), 1))])


def test_the_weights_of_all_values_have_an_exact_sum():
    table = WEIGHTS.table
    assert table[0] == 0
    assert max(CODEC.sizes) * table[-1] < 2**24


@pytest.mark.slow
def test_it_draws_each_value_as_often_as_its_probability_says():
    logits = np.array([0, -40, 25, -7])
    probabilities = np.exp(logits / GRID) / np.exp(logits / GRID).sum()
    found = np.bincount(drawn(logits, SPREAD), minlength=4) / len(SPREAD)
    np.testing.assert_allclose(found, probabilities, atol=2e-3)


@pytest.mark.parametrize("temperature", [0.25, 0.9, 4.0])
def test_heat_flattens_and_cold_sharpens(temperature):
    share = np.mean(drawn([0, 32], SPREAD, temperature=temperature))
    assert share == pytest.approx(1 / (1 + np.exp(-1 / temperature)), abs=4e-3)


@pytest.mark.parametrize("temperature", [0.3, 0.8, 0.9, 0.95, 1.05])
def test_a_compiled_draw_is_numpys_to_the_bit_at_any_temperature(temperature):
    logits = -3.0 * np.arange(CODEC.sizes.step, dtype="float32")
    # Of a batch of 1, as on a device, the temperature is one number, and XLA divides by it inexactly.
    some = SPREAD[::16]
    found = [drawn(logits, [each], temperature=temperature)[0] for each in some]
    above = np.floor(logits * (np.float32(1) / np.float32(temperature)))
    sums = np.cumsum(np.exp(above.astype(np.float64) / GRID) * WEIGHTS.outer // 1)
    sought = np.floor(np.float32(some) * np.float32(sums[-1]))
    np.testing.assert_array_equal(found, np.searchsorted(sums, sought, side="right"))


def test_a_temperature_of_zero_takes_the_first_of_the_likeliest():
    assert set(drawn([0, 5, 5, 4], [0.0, 0.3, 1 - 2**-24], temperature=0.0).tolist()) == {1}


def test_min_p_rules_out_the_unlikely_even_when_hot():
    logits = np.round(GRID * np.log([0.5, 0.4, 0.09, 0.01]))
    assert set(drawn(logits, SPREAD, min_p=0.2, temperature=5.0).tolist()) == {0, 1}


def test_a_bias_steers_the_draw():
    assert set(drawn([0, 0, 0], SPREAD, bias=[-1e4, 0.0, -1e4]).tolist()) == {1}


@pytest.mark.parametrize("taken", [0, 1, 127])
def test_a_given_value_is_taken_even_where_it_was_ruled_out(taken):
    values = drawn([-500, 0, 10], [0.0, 0.5, 1 - 2**-24], given=taken, min_p=0.5, bias=[-1e5, -1e5])
    assert set(values.tolist()) == {taken}


@pytest.mark.parametrize("uniform", [0.0, 2.0**-30, 1 - 2.0**-24])
def test_a_value_of_weight_0_is_never_drawn(uniform):
    assert drawn([-1000, -1000, 0, -1000], [uniform]).tolist() == [2]
