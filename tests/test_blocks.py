import keras
import numpy as np
import pytest
from keras import layers

from kerasmusic.errors import ArgumentError
from kerasmusic.models import NoteModel
from kerasmusic.models.blocks import BLOCKS, Block, RecurrentBlock, find_block
from kerasmusic.models.presets import GATED, PRESETS, Preset

pytestmark = pytest.mark.every_backend


@pytest.mark.slow
def test_a_block_gives_the_same_note_by_note_and_as_a_sequence():
    keras.utils.set_random_seed(1)
    block = RecurrentBlock(8, 16)
    block.build((None, 8))
    random = np.random.default_rng(0)
    x, state = random.normal(size=(2, 5, 8)).astype("float32"), random.normal(size=(2, 8)).astype("float32")
    outputs, last = (keras.ops.convert_to_numpy(each) for each in block(x, state))
    for index in range(5):
        output, state = block.step(x[:, index], state)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(output), outputs[:, index], atol=1e-5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(state), last, atol=1e-5)


def test_an_unknown_block_is_refused_by_name():
    with pytest.raises(ArgumentError, match=r"recurent: no such block; did you mean recurrent\?"):
        find_block("recurent")


# Keras warns too.
@pytest.mark.filterwarnings("ignore:`build")
def test_a_block_that_leaves_a_layer_to_be_built_later_is_refused(monkeypatch):
    class LazyBlock(Block):
        state_size = 0

        def __init__(self, width, hidden, **kwargs):
            super().__init__(width, hidden, **kwargs)
            self.dense = layers.Dense(width, name="dense")

        def call(self, x, state):
            return self.dense(x), state

        step = call

    monkeypatch.setitem(BLOCKS, "lazy", LazyBlock)
    monkeypatch.setitem(PRESETS, "lazy", Preset(GATED, {"width": 8, "hidden": 8, "depth": 1, "block": "lazy"}))
    with pytest.raises(ArgumentError, match="LazyBlock: does not build its layer dense"):
        NoteModel.new("lazy")
