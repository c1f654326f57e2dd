import numpy as np
import pytest
from keras import layers, ops

from kerasmusic.errors import ArgumentError
from kerasmusic.models.choosing import Draws, Labels
from kerasmusic.models.contract import check_contract, require_contract
from kerasmusic.models.lookup import rows
from kerasmusic.models.note_model import NoteModel

pytestmark = [pytest.mark.every_backend, pytest.mark.slow]

UNITS = 8


class CountingModel(NoteModel):
    """A running sum of the pitches' embeddings, with a head for each field; small enough to check in no time."""

    window = 16
    labels_per_window = 16

    def __init__(self, units=UNITS, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.embedding = layers.Embedding(self.codec.sizes.pitch, units)
        self.heads = [layers.Dense(size) for size in self.codec.sizes]
        self.embedding.build(None)
        for head in self.heads:
            head.build((None, units))
        self.built = True

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    @property
    def state_size(self):
        return self.units

    def choose_fields(self, hidden, choose):
        for index, head in enumerate(self.heads):
            choose(index, head(hidden))

    def step(self, inputs):
        state = inputs.state + rows(self.embedding.embeddings, inputs.previous[:, 1])
        draws = Draws(inputs, self.codec)
        self.choose_fields(state, draws)
        return *draws.note_and_log_prob(), state

    def score(self, notes, state):
        states = state[:, None] + ops.cumsum(rows(self.embedding.embeddings, notes[:, :-1, 1]), axis=1)
        labels = Labels(notes[:, 1:])
        self.choose_fields(states, labels)
        return labels.log_prob(), states[:, -1]


def failure(model):
    """The name and the detail of the check that fails, the last one."""
    last = list(check_contract(model))[-1]
    assert not last.holds
    return last.name, last.detail


def test_a_model_that_keeps_the_contract_passes_every_check():
    checks = list(check_contract(CountingModel()))
    assert [check.name for check in checks] == ["configuration", "sizes", "step", "score", "state", "loss"]
    assert all(check.holds for check in checks)
    require_contract(CountingModel())


def test_the_checks_leave_the_model_as_it_was():
    model = CountingModel()
    before = model.get_weights()
    require_contract(model)
    for weight, same in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_an_argument_that_the_configuration_leaves_out_is_found():
    class Model(CountingModel):
        def get_config(self):
            return {name: value for name, value in super().get_config().items() if name != "units"}

    assert failure(Model(units=4))[0] == "configuration"


@pytest.mark.parametrize("size", [UNITS - 1, UNITS + 1])
def test_a_wrong_state_size_is_named_with_both_sizes(size):
    class Model(CountingModel):
        state_size = size

        def step(self, inputs):
            return super().step(inputs._replace(state=ops.zeros((inputs.state.shape[0], UNITS))))

    name, detail = failure(Model())
    assert name == "sizes"
    assert f"state as float32 of shape (2, {UNITS})" in detail
    assert f"state_size is {size}" in detail


@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_a_state_size_that_is_no_size_is_refused(size):
    class Model(CountingModel):
        state_size = size

    assert failure(Model()) == ("sizes", f"state_size is {size!r}; it must be a whole number of at least 1")


@pytest.mark.parametrize("size", [65, -1, 4.0, None])
def test_a_style_has_at_most_64_numbers(size):
    class Model(CountingModel):
        style_size = size

    assert failure(Model()) == ("sizes", f"style_size is {size!r}; it must be a whole number from 0 to 64")


def test_a_value_out_of_range_is_named_with_its_note_and_its_range():
    class Model(CountingModel):
        def step(self, inputs):
            note, log_prob, state = super().step(inputs)
            return note + ops.cast(ops.equal(inputs.given, -1), "int32") * 500, log_prob, state

    name, detail = failure(Model())
    assert name == "step"
    assert "the codec has 0 to " in detail


def test_a_step_that_ignores_what_is_given_is_found():
    class Model(CountingModel):
        def step(self, inputs):
            return super().step(inputs._replace(given=ops.full_like(inputs.given, -1)))

    name, detail = failure(Model())
    assert name == "step"
    assert "was given" in detail


def test_a_state_that_is_not_finite_is_found():
    class Model(CountingModel):
        def step(self, inputs):
            note, log_prob, state = super().step(inputs)
            return note, log_prob, ops.where(ops.equal(inputs.previous[:, :1], 0), float("inf"), state)

    name, detail = failure(Model())
    assert name == "step"
    assert "not finite" in detail


def test_a_score_that_disagrees_with_its_step_is_named_by_note_and_field():
    class Model(CountingModel):
        def score(self, notes, state):
            log_prob, state = super().score(notes, state)
            return log_prob + np.array([0.0, 0.0, 0.1, 0.0], "float32"), state

    name, detail = failure(Model())
    assert name == "score"
    assert detail.startswith("the log probability of note 0's duration is ")


def test_a_score_that_returns_an_older_state_is_found():
    class Model(CountingModel):
        def score(self, notes, state):
            log_prob, _ = super().score(notes, state)
            return log_prob, state

    name, detail = failure(Model())
    assert name == "state"
    assert "it must return the state after its last note" in detail


def test_losses_of_another_shape_are_found():
    class Model(CountingModel):
        labels_per_window = 5

    assert failure(Model()) == (
        "loss",
        "losses_of returns shape (2, 16, 4); it must be (2, 5, 4), as labels_per_window says",
    )


def test_an_error_of_the_models_own_code_is_told_with_its_place():
    class Model(CountingModel):
        def step(self, inputs):
            raise RuntimeError("of my own")

    name, detail = failure(Model())
    assert name == "sizes"
    assert detail.startswith("RuntimeError: of my own (test_contract.py, line ")
    with pytest.raises(ArgumentError, match=r"Model: sizes: RuntimeError: of my own .* see docs/extending.md"):
        require_contract(Model())
