import keras
import numpy as np
import pytest

from kerasmusic.models.linear_recurrence import linear_recurrence

pytestmark = pytest.mark.every_backend


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 64, 100])
def test_it_equals_the_recurrence_written_as_a_loop(length):
    random = np.random.default_rng(length)
    decay = random.uniform(0, 1, (3, length, 5)).astype("float32")
    update = random.normal(size=(3, length, 5)).astype("float32")
    state = initial = random.normal(size=(3, 5)).astype("float32")
    expected = []
    for t in range(length):
        state = decay[:, t] * state + update[:, t]
        expected.append(state)
    result = keras.ops.convert_to_numpy(linear_recurrence(decay, update, initial))
    np.testing.assert_allclose(result, np.stack(expected, axis=1), rtol=1e-5, atol=1e-5)


def test_it_is_exact_where_the_arithmetic_is():
    decay = (np.arange(200).reshape(1, 200, 1) % 7 > 0).astype("float32")
    update = (1.0 - decay) * np.arange(200, dtype="float32").reshape(1, 200, 1)
    result = keras.ops.convert_to_numpy(linear_recurrence(decay, update, np.zeros((1, 1), "float32")))
    assert result[0, :, 0].tolist() == [float(t - t % 7) for t in range(200)]
