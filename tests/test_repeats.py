import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kerasmusic.codec import FIELDS, NoteCodec
from kerasmusic.models.repeats import ECHO_FIELDS, SURE, Echo, Repeats, RepeatsState

pytestmark = pytest.mark.every_backend


CODEC = NoteCodec()
PITCH = ECHO_FIELDS.index("pitch")


def silence(repeats, batch=1):
    return RepeatsState(*(np.zeros((batch, size), "float32") for size in repeats.sizes))


def as_numpy(parts):
    return type(parts)(*map(ops.convert_to_numpy, parts))


def played(repeats, notes):
    """Plays notes `[batch, T, 4]` one by one; returns the last state and the echo after each note."""
    state, echoes = silence(repeats, len(notes)), []
    for t in range(notes.shape[1]):
        state, echo = map(as_numpy, repeats.note_on(state, notes[:, t]))
        echoes.append(echo)
    return state, Echo(*(np.stack(part, axis=1) for part in zip(*echoes, strict=True)))


def melody(*pitches, velocity=16):
    """Notes, int32 `[1, T, 4]`, each with a different step and duration."""
    index = np.arange(len(pitches))
    return np.stack([index + 1, pitches, index + 20, np.full(len(pitches), velocity)], axis=-1).astype("int32")[None]


def random_notes(seed, length, keys):
    """Notes on few keys, so that many repeat; the first is the codec's start note, as always."""
    random = np.random.default_rng(seed)
    notes = np.stack([random.integers(size, size=(2, length)) for size in CODEC.sizes], axis=-1).astype("int32")
    notes[..., 1] = 60 + notes[..., 1] % keys
    notes[:, 0] = CODEC.start_note
    return notes


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 40]), st.sampled_from([3, 16, 50]))
@pytest.mark.slow
def test_a_sequence_gives_exactly_the_states_and_echoes_of_the_steps(seed, keys, memory):
    repeats = Repeats(memory)
    notes = random_notes(seed, 37, keys)
    state, echo = played(repeats, notes)
    last, echoes = map(as_numpy, repeats.scan(silence(repeats, 2), notes))
    for found, expected in zip((*last, *echoes), (*state, *echo), strict=True):
        np.testing.assert_array_equal(found, expected)
    middle, first = map(as_numpy, repeats.scan(silence(repeats, 2), notes[:, :20]))
    last, second = map(as_numpy, repeats.scan(middle, notes[:, 20:]))
    for found, expected in zip(last, state, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.concatenate([first.note, second.note], axis=1), echo.note)


@pytest.mark.parametrize("transposed", [0, 7, -12])
def test_what_was_heard_before_is_expected_to_go_on_as_then_on_the_pitches_of_now(transposed):
    before = melody(60, 62, 59, 65, 64, 72, 48, 57, velocity=20)
    again = before[:, :5] + np.array([0, transposed, 0, 0], "int32")
    _, echo = played(Repeats(50), np.concatenate([before, again], axis=1))
    followed = dict(zip(FIELDS, before[0, 5], strict=True))
    expected = {**followed, "pitch": followed["pitch"] + transposed}
    assert dict(zip(ECHO_FIELDS, echo.note[0, -1].tolist(), strict=True)) == expected
    # Four intervals match; the first note of the repeat followed a different interval.
    assert echo.strength[0, -1] == [4 / SURE]


def test_of_equal_agreements_the_latest_counts_and_of_others_the_longer():
    _, echo = played(Repeats(50), melody(60, 61, 70, 80, 60, 61, 50, 90, 60, 61))
    assert echo.note[0, -1, PITCH] == 50
    _, echo = played(Repeats(50), melody(40, 60, 61, 70, 80, 45, 61, 62, 50, 90, 40, 60, 61))
    assert echo.note[0, -1, PITCH] == 70


def test_a_slip_within_a_repeat_costs_little():
    passage = [60, 62, 59, 65, 64, 72, 48, 57, 70, 51, 66, 68, 43]
    again = [*passage[:7], 58, *passage[8:12]]
    _, echo = played(Repeats(50), melody(*passage, *again))
    assert echo.note[0, -1, PITCH] == passage[12]
    # Six intervals added 1 each, the two around the wrong note subtracted 1 each, and three more added 1 each.
    assert echo.strength[0, -1] == [7 / SURE]


def test_nothing_is_expected_of_what_was_never_heard_and_it_forgets():
    _, echo = played(Repeats(50), melody(60, 61, 63, 66, 70, 75))
    assert not echo.strength.any()
    passage, other = [60, 62, 59, 65, 64, 72], [40, 43, 42, 46, 51, 45, 56, 48, 57, 66]
    far = melody(*passage, *other, *passage)
    assert played(Repeats(16), far)[1].strength[0, -1] == [5 / SURE]
    assert played(Repeats(15), far)[1].strength[0, -1] < 5 / SURE


def test_an_echo_stays_on_the_keyboard_and_never_is_more_than_sure():
    up = melody(0, 60, 61, 120, 10, 100, 101)
    assert played(Repeats(50), up)[1].note[0, -1, PITCH] == 127
    _, echo = played(Repeats(50), melody(*[60, 62] * 30))
    assert echo.strength.max() == 1


def test_the_start_note_is_not_heard():
    notes = melody(60, 62, 59, 65)
    with_start = np.concatenate([CODEC.start_note[None, None], notes], axis=1)
    for found, expected in zip(played(Repeats(9), with_start)[0], played(Repeats(9), notes)[0], strict=True):
        np.testing.assert_array_equal(found[:, :4], expected[:, :4])


@pytest.mark.slow
@pytest.mark.parametrize("silent", [0, 30, 300])
def test_after_a_context_it_expects_what_it_does_after_having_heard_it(notes, silent):
    repeats = Repeats(300)
    heard = CODEC.encode(notes.without_leading_silence())[: 300 - silent]
    context = np.concatenate([np.zeros((silent, 4), "int32"), heard])[None]
    state = as_numpy(repeats.state_after(context))
    expected, _ = played(repeats, heard[None]) if len(heard) else (silence(repeats), None)
    for part in ("pitch", "intervals", "others"):
        np.testing.assert_array_equal(getattr(state, part), getattr(expected, part))
    # Agreements from long ago that have not recurred may differ.
    assert np.mean(state.agreement == expected.agreement) > 0.99
