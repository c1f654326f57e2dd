import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasmusic.codec import PITCHES, NoteCodec
from kerasmusic.models.keyboard import Keyboard

CODEC = NoteCodec()


def random_fields(random, *shape):
    return np.stack([random.integers(size, size=shape) for size in CODEC.sizes], axis=-1).astype("int32")


def states_by_steps(keyboard, state, notes):
    states = []
    for t in range(notes.shape[1]):
        state = ops.convert_to_numpy(keyboard.after(state, notes[:, t]))
        states.append(state)
    return np.stack(states, axis=1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_a_sequence_gives_exactly_the_states_of_the_steps(seed):
    random = np.random.default_rng(seed)
    keyboard = Keyboard(CODEC)
    notes = random_fields(random, 2, 37)
    state = random.integers(0, 500, (2, PITCHES)).astype("float32")
    states, last = keyboard.sequence(state, notes)
    expected = states_by_steps(keyboard, state, notes)
    np.testing.assert_array_equal(ops.convert_to_numpy(states), expected)
    np.testing.assert_array_equal(ops.convert_to_numpy(last), expected[:, -1])


def test_it_says_of_a_real_performance_what_its_notes_say(notes):
    fields = CODEC.encode(notes.from_first())[:300]
    played = CODEC.decode(fields)
    states, _ = Keyboard(CODEC).sequence(np.zeros((1, PITCHES), "float32"), fields[None])
    states = ops.convert_to_numpy(states)[0]
    for index in (0, 10, 100, len(fields) - 1):
        now = played.start[index]
        for pitch in range(PITCHES):
            strikes = np.flatnonzero(played.pitch[: index + 1] == pitch)
            left = max(0.0, played.end[strikes[-1]] - now) if len(strikes) else 0.0
            assert states[index, pitch] / 100 == pytest.approx(left, abs=1e-6)


def test_time_passing_silences_keys_and_nothing_goes_below_silence():
    keyboard = Keyboard(CODEC)
    state = np.zeros((1, PITCHES), "float32")
    state[0, 60], state[0, 64] = 30, 80
    later = ops.convert_to_numpy(keyboard.later(state, np.array([50], "int32")))
    assert later[0, 60] == 0
    assert later[0, 64] == 30
    assert later.min() == 0
