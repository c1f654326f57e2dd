from collections import Counter

import keras
import numpy as np
import pytest

from build_models import TINY
from kerasmusic.codec import NoteCodec
from kerasmusic.errors import ArgumentError
from kerasmusic.models import NoteModel
from kerasmusic.models.blocks import BLOCKS, Block, RecurrentBlock
from kerasmusic.models.linear_recurrence import linear_recurrence
from kerasmusic.models.note_model import load_model
from kerasmusic.models.precision import computing_in
from kerasmusic.models.presets import GATED, PRESETS, Preset
from kerasmusic.training import train as training
from kerasmusic.training.settings import Settings
from kerasmusic.training.train import resume, train

pytestmark = [pytest.mark.every_backend, pytest.mark.slow]

# What multiplies matrices and what adds up, by backend.
PRODUCTS = {"dot_general", "MatMul", "BatchMatMulV2", "Einsum"}
SUMS = {"reduce_sum", "cumsum", "cumlogsumexp", "scatter-add", "Sum", "Cumsum", "BiasAddGrad", "UnsortedSegmentSum"}


@pytest.fixture(autouse=True)
def presets(monkeypatch):
    """Tiny models: with the layers of `base`, and with a block of one's own."""
    monkeypatch.setitem(PRESETS, "echoing", Preset(GATED, {**TINY, "memory": 50}))
    monkeypatch.setitem(BLOCKS, "averaging", Averaging)
    monkeypatch.setitem(PRESETS, "averaging", Preset(GATED, {**TINY, "block": "averaging"}))


class Averaging(Block):
    """A block of one's own, of Keras's layers, that knows nothing of precisions."""

    def __init__(self, width, hidden, **kwargs):
        super().__init__(width, hidden, **kwargs)
        self.dense = keras.layers.Dense(width, name="dense")

    def build(self, input_shape):
        self.dense.build((None, self.width))
        super().build(input_shape)

    @property
    def state_size(self):
        return self.width

    def call(self, x, state):
        states = linear_recurrence(0.9 * keras.ops.ones_like(x), 0.1 * x, state)
        return x + self.dense(states), states[:, -1]


@pytest.fixture
def windows(notes):
    fields = NoteCodec().encode(notes.without_leading_silence())
    return np.stack([fields[start : start + 120] for start in (0, 60)]).astype("int32")


def make(preset, precision):
    keras.utils.set_random_seed(3)
    with computing_in(precision):
        return NoteModel.new(preset)


def operations(model, windows):
    """How many operations of each kind and dtype a training step's loss and gradient take, before the optimizer's."""
    if keras.backend.backend() == "jax":
        import jax

        def loss(weights, windows):
            losses, _ = model.stateless_call(weights, [each.value for each in model.non_trainable_variables], windows)
            return model.compute_loss(windows, None, losses)

        weights = [each.value for each in model.trainable_variables]
        return Counter(_of_jaxpr(jax.make_jaxpr(jax.grad(loss))(weights, windows).jaxpr))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def gradient(windows):
            with tf.GradientTape() as tape:
                loss = model.compute_loss(windows, None, model(windows))
            return tape.gradient(loss, [each.value for each in model.trainable_variables])

        graph = gradient.get_concrete_function(windows).graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return Counter((node.op, tf.dtypes.as_dtype(node.attr["T"].type).name) for node in nodes if node.attr["T"].type)
    pytest.skip("operations are listed on JAX and TensorFlow only")


def _of_jaxpr(jaxpr):
    for equation in jaxpr.eqns:
        yield equation.primitive.name, equation.invars[-1].aval.dtype.name if equation.invars else None
        for parameter in equation.params.values():
            for each in parameter if isinstance(parameter, list | tuple) else [parameter]:
                inner = getattr(each, "jaxpr", each)
                if hasattr(inner, "eqns"):
                    yield from _of_jaxpr(inner)


@pytest.mark.parametrize("preset", ["tiny", "echoing", "averaging", "tutorial"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_matrix_product_of_a_training_step_is_in_its_precision(preset, precision, windows):
    found = operations(make(preset, precision), windows)
    products = {(kind, dtype): count for (kind, dtype), count in found.items() if kind in PRODUCTS}
    assert {dtype for _, dtype in products} == {precision}
    assert sum(products.values()) >= 9


@pytest.mark.parametrize("preset", ["tiny", "echoing"])
def test_every_sum_of_a_training_step_in_bfloat16_is_in_float32(preset, windows):
    found = operations(make(preset, "bfloat16"), windows)
    sums = {(kind, dtype): count for (kind, dtype), count in found.items() if kind in SUMS and "int" not in dtype}
    assert {dtype for _, dtype in sums} == {"float32"}
    assert sum(sums.values()) >= 20


@pytest.mark.parametrize("preset", ["tiny", "echoing", "averaging", "tutorial"])
def test_bfloat16_gives_almost_the_same_losses(preset, windows):
    exact, rounded = (keras.ops.convert_to_numpy(make(preset, each)(windows)) for each in ("float32", "bfloat16"))
    assert rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, atol=0.1)
    assert abs(rounded.sum(axis=-1).mean() - exact.sum(axis=-1).mean()) < 0.01


def test_the_keyboard_and_the_repeats_of_a_model_in_bfloat16_are_exact(windows):
    states = []
    for precision in ("float32", "bfloat16"):
        model = make("echoing", precision)
        state = np.zeros((len(windows), model.state_size), np.float32)
        for notes in (windows[:, :61], windows[:, 60:]):
            _, state = model.score(notes, state)
        states.append(keras.ops.convert_to_numpy(state))
    learned = sum(block.state_size for block in model.blocks)
    assert states[1].dtype == np.float32
    np.testing.assert_array_equal(states[0][:, :-learned], states[1][:, :-learned])


def test_a_block_in_bfloat16_remembers_500_notes():
    with computing_in("bfloat16"):
        block = RecurrentBlock(4, 8)
    block.build((None, 4))
    for layer in (block.decay, block.candidate):
        layer.kernel.assign(np.zeros((4, 4)))
    block.decay.bias.assign(np.full(4, np.log(499)))
    _, state = block(np.ones((1, 500, 4), np.float32), np.ones((1, 4), np.float32))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(state), (1 - 1 / 500) ** 500, rtol=1e-4)


def test_a_run_in_bfloat16_is_resumed_in_it_and_leaves_a_model_in_float32(corpus, tmp_path, monkeypatch):
    trained = []
    fit = training._fit

    def noting(model, *arguments):
        trained.append(model)
        fit(model, *arguments)

    monkeypatch.setattr(training, "_fit", noting)
    settings = {"batch_size": 2, "precision": "bfloat16", "validations": 2}
    train("tiny", corpus, tmp_path / "run", Settings(epochs=1, **settings))
    resume(corpus, tmp_path / "run", Settings(epochs=2, **settings))
    assert [model.compute_dtype for model in trained] == ["bfloat16", "bfloat16"]
    assert trained[1].blocks[0].perceptron.compute_dtype == "bfloat16"
    assert {each.dtype for each in [*trained[1].variables, *trained[1].optimizer.variables]} <= {
        *("float32", "int32", "int64", "uint32"),
    }
    saved = load_model(tmp_path / "run")
    assert {layer.compute_dtype for layer in saved._flatten_layers()} == {"float32"}
    assert saved.record["settings"]["precision"] == "bfloat16"


def test_keras_has_its_former_policy_after_a_training_and_after_an_error():
    with computing_in("bfloat16"):
        with computing_in("float32"):
            assert NoteModel.new("tutorial").compute_dtype == "float32"
        assert NoteModel.new("tutorial").compute_dtype == "bfloat16"
    with pytest.raises(ArgumentError, match="float8: no such precision"), computing_in("float8"):
        pass
    with pytest.raises(RuntimeError), computing_in("bfloat16"):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"


def test_a_policy_of_the_program_is_not_replaced_by_that_of_a_training(corpus, tmp_path):
    try:
        keras.config.set_dtype_policy("mixed_float16")
        with pytest.raises(ArgumentError, match="mixed_float16: is Keras's dtype policy"):
            train("tiny", corpus, tmp_path / "run", Settings(epochs=1, precision="bfloat16"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert not (tmp_path / "run").exists()
