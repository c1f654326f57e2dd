import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasmusic.codec import PITCHES, NoteCodec
from kerasmusic.models.keyboard import DUE, HORIZON, Keyboard, KeyboardState

pytestmark = pytest.mark.every_backend


CODEC = NoteCodec()
LENGTH = 37


def silence(batch=1):
    return KeyboardState(np.zeros((batch, PITCHES), "float32"), np.zeros((batch, HORIZON), "float32"))


def as_numpy(state):
    return KeyboardState(*map(ops.convert_to_numpy, state))


def played(keyboard, state, notes):
    """The states after each note, computed note by note."""
    states = []
    for t in range(notes.shape[1]):
        if t:
            state = keyboard.advance(state, notes[:, t, 0])
        state = as_numpy(keyboard.note_on(state, notes[:, t]))
        states.append(state)
    return KeyboardState(*(np.stack(part, axis=1) for part in zip(*states, strict=True)))


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 60, 127]))
def test_a_sequence_gives_exactly_the_states_of_the_steps(seed, most):
    random = np.random.default_rng(seed)
    keyboard = Keyboard(CODEC)
    notes = np.stack([random.integers(min(size, most), size=(2, LENGTH)) for size in CODEC.sizes], axis=-1).astype(
        "int32"
    )
    before = KeyboardState(
        random.integers(0, 500, (2, PITCHES)).astype("float32"),
        np.where(random.random((2, HORIZON)) < 0.1, DUE, 0).astype("float32"),
    )
    before.due[:, -1] = 0
    expected = played(keyboard, before, notes)
    for states, wanted in zip(as_numpy(keyboard.scan(before, notes)), expected, strict=True):
        np.testing.assert_array_equal(states, wanted)


@pytest.mark.slow
def test_it_says_of_a_real_performance_what_its_notes_say(notes):
    fields = CODEC.encode(notes.without_leading_silence())[:300]
    sounded = CODEC.decode(fields)
    start, end = (np.rint(times * 100).astype(int) for times in (sounded.start, sounded.end))
    states = as_numpy(Keyboard(CODEC).scan(silence(), fields[None]))
    for index in (0, 10, 100, len(fields) - 1):
        now = start[index]
        for pitch in range(PITCHES):
            strikes = np.flatnonzero(sounded.pitch[: index + 1] == pitch)
            left = max(0, end[strikes[-1]] - now) if len(strikes) else 0
            assert states.ticks[0, index, pitch] == left
        short = end - start < HORIZON
        due = set((end[: index + 1] - now)[short[: index + 1]].tolist()) & set(range(1, HORIZON))
        assert set((np.flatnonzero(states.due[0, index]) + 1).tolist()) == due
        assert set(np.unique(states.due).tolist()) <= {0.0, DUE}


def test_time_passing_silences_keys_and_nothing_goes_below_silence():
    state = silence()
    state.ticks[0, 60], state.ticks[0, 64] = 30, 80
    state.due[0, 29] = state.due[0, 79] = DUE
    later = as_numpy(Keyboard(CODEC).advance(state, np.array([50], "int32")))
    assert later.ticks[0, 60] == 0
    assert later.ticks[0, 64] == 30
    assert later.ticks.min() == 0
    assert np.flatnonzero(later.due[0]).tolist() == [29]


def test_a_pause_longer_than_the_horizon_leaves_nothing_due():
    state = silence()
    state.due[0, :-1] = DUE
    longest = len(CODEC.step_ticks) - 1
    assert CODEC.step_ticks[longest] == pytest.approx(1_200, abs=60)
    assert not as_numpy(Keyboard(CODEC).advance(state, np.array([longest], "int32"))).due.any()
