import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasmusic.models.exact_layers import (
    DECAY_UNITS,
    DECAYS,
    ExactBlock,
    ExactDense,
    ExactEmbedding,
    ExactNorm,
    positive_codes,
    with_end,
    with_ends,
)  # fmt: skip

pytestmark = pytest.mark.every_backend

WIDTH = 24


def random_dense(layer, random):
    layer.kernel.assign(np.float32(random.integers(-127, 128, layer.kernel.shape) + random.uniform(-0.4, 0.4)))
    layer.bias.assign(np.float32(random.normal(size=layer.bias.shape)))
    layer.multiplier.assign(np.float32(random.uniform(1e-3, 1e-2, layer.multiplier.shape)))
    return layer


def random_block(seed):
    random = np.random.default_rng(seed)
    block = ExactBlock(WIDTH, 40)
    for layer in (block.decay, block.candidate, block.perceptron, block.output_dense):
        random_dense(layer, random)
    block.candidate.multiplier.assign(np.full(WIDTH, 0.5, "float32"))
    block.norm.set_scale(coarse=0.01, code=4 / 127)
    block.state_code.assign(np.full((1, WIDTH), 2e-3, "float32"))
    return block


@given(seed=st.integers(0, 2**32 - 1), ends=st.sampled_from([1, 2]), shifted=st.sampled_from([0, 3]))
@settings(max_examples=20, deadline=None)
def test_a_product_is_the_integers_and_its_factor_is_rounded_down_once(seed, ends, shifted):
    random = np.random.default_rng(seed)
    layer = random_dense(ExactDense(WIDTH, 5, ends=ends, shifted=shifted), random)
    codes = random.integers(-128, 128, (4, WIDTH)) if ends == 2 else random.integers(0, 256, (4, WIDTH))
    inputs = (with_ends if ends == 2 else with_end)(np.float32(codes))
    weights = np.round(ops.convert_to_numpy(layer.kernel)).astype(np.int64)
    values = codes - np.where(np.arange(WIDTH) >= WIDTH - shifted, 128, 0)
    expected = values @ weights + np.round(ops.convert_to_numpy(layer.bias) * np.float32(128)).astype(np.int64)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.product(inputs)), expected)
    scaled = np.floor(np.float32(expected) * ops.convert_to_numpy(layer.multiplier))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(inputs)), scaled)


@given(seed=st.integers(0, 2**32 - 1), size=st.floats(0.4, 1.4))
@settings(max_examples=20, deadline=None)
def test_a_norm_gives_the_codes_of_a_vector_over_its_root_mean_square(seed, size):
    norm = ExactNorm(WIDTH)
    norm.set_scale(coarse=0.14, code=4 / 127)
    x = np.round(1000 * size * np.random.default_rng(seed).normal(size=(3, WIDTH))).astype("float32")
    expected = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True)) / (4 / 127)
    np.testing.assert_allclose(ops.convert_to_numpy(norm(x)), np.clip(expected, -128, 127), atol=2.0)


def test_a_vector_whose_squares_have_no_exact_sum_gets_the_last_factor():
    norm = ExactNorm(WIDTH)
    norm.set_scale(coarse=1.0, code=1.0)
    norm.factors.assign(np.arange(4096, dtype="float32")[:, None] / 4096)
    large = np.full((1, WIDTH), 3000.0, "float32") * np.arange(WIDTH, dtype="float32")
    codes = ops.convert_to_numpy(norm(large))
    assert codes[0].tolist() == [0.0, *[127.0] * (WIDTH - 1)]


def test_codes_always_reach_both_ends():
    ends = ops.convert_to_numpy(with_ends(np.zeros((2, 3, 4), "float32")))
    assert ends.shape == (2, 3, 6)
    assert ends[..., 4:].tolist() == [[[-128.0, 127.0]] * 3] * 2
    assert ops.convert_to_numpy(with_end(positive_codes(np.float32([[300.0, 0.2]])))).tolist() == [[255.0, 0.0, 255.0]]


def test_an_embedding_has_whole_multiples_of_its_unit():
    table = ExactEmbedding(3, 2)
    table.unit.assign(8.0)
    table.embeddings.assign([[0.4, 200.0], [-1.6, -127.0], [3.0, 0.0]])
    assert ops.convert_to_numpy(table(np.array([1, 0], "int32"))).tolist() == [[-16.0, -1016.0], [0.0, 1016.0]]


def test_decays_are_the_sigmoid_on_a_grid_fine_enough_for_500_notes():
    logits = DECAYS.inner * np.arange(DECAYS.first, DECAYS.last + 1)
    decays = DECAYS.table / DECAY_UNITS
    np.testing.assert_allclose(decays, 1 / (1 + np.exp(-logits)), atol=2**-13)
    assert decays[0] < 1e-6
    assert decays[-1] == 1
    notes = 1 / (1 - decays[np.abs(logits - np.log(499)) < 0.1])
    assert np.abs(np.diff(notes)).max() < 40


@pytest.mark.slow
def test_a_block_gives_the_same_note_by_note_and_as_a_sequence_to_the_bit():
    block = random_block(0)
    x = np.round(2000 * np.random.default_rng(1).normal(size=(2, 30, WIDTH))).astype("float32")
    initial = np.round(500 * np.random.default_rng(2).normal(size=(2, WIDTH))).astype("float32")
    outputs, last = block(x, initial)
    state = initial
    for time in range(30):
        output, state = block.step(x[:, time], state)
        np.testing.assert_array_equal(ops.convert_to_numpy(output), ops.convert_to_numpy(outputs)[:, time])
    np.testing.assert_array_equal(ops.convert_to_numpy(state), ops.convert_to_numpy(last))
    assert np.abs(ops.convert_to_numpy(last)).max() > 100
    np.testing.assert_array_equal(ops.convert_to_numpy(last), np.round(ops.convert_to_numpy(last)))
