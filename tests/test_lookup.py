import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasmusic.models.exact_layers import DECAYS
from kerasmusic.models.exact_model import roots_of
from kerasmusic.models.exact_sampling import WEIGHTS
from kerasmusic.models.lookup import WholeFunction, value_of

pytestmark = pytest.mark.every_backend

USED = {"decays": DECAYS, "weights": WEIGHTS, "roots": roots_of(2365)}
FUNCTIONS = {"sqrt": ops.sqrt, "exp": ops.exp, "sigmoid": ops.sigmoid}


@pytest.mark.parametrize("name", USED)
def test_a_table_holds_what_a_function_of_float32_gives_even_if_that_is_off(name):
    function = USED[name]
    x = np.arange(function.first - 50 if function.first else 0, function.last + 1, dtype="float32")
    found = ops.convert_to_numpy(value_of(function, x))
    computed = FUNCTIONS[function.function](x * np.float32(function.inner))
    for off in (-5e-7, 0.0, 5e-7):
        values = np.floor(ops.convert_to_numpy(computed).astype(np.float64) * (1 + off) * function.outer)
        np.testing.assert_array_equal(found, values)
    assert function.tolerance > 8e-7


def test_the_tolerance_is_the_relative_distance_to_the_nearest_whole_number():
    # 2.1 * sqrt(x): 0, 2.1, 2.97, 3.64: the nearest to a whole number is 2.97, but for the 0, which is exact.
    assert WholeFunction("sqrt", 1.0, 2.1, 0, 3).tolerance == pytest.approx((3 - np.sqrt(8.82)) / np.sqrt(8.82))


@pytest.mark.slow
@settings(deadline=None)
@given(x=st.lists(st.integers(-(10**6), 10**6), min_size=1))
def test_beyond_its_table_a_function_does_not_change(x):
    values = ops.convert_to_numpy(value_of(DECAYS, np.float32(x)))
    inside = DECAYS.table[np.clip(np.array(x) - DECAYS.first, 0, DECAYS.last - DECAYS.first)]
    np.testing.assert_array_equal(values, inside)
