import io

import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasmusic import midi
from kerasmusic.audio import import_fluidsynth, soundfont_path
from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.midi_channels import instruments_from_song
from kerasmusic.midi_parser import parse
from midi_model import (
    Event,
    control,
    exclusive,
    file_bytes,
    meta,
    notes_of,
    off,
    on,
    pedal,
    program,
    random_tracks,
    tempo,
)

pytestmark = pytest.mark.device


def read(*tracks, sustained=True, **options):
    """The notes of tracks as (start [s], pitch, duration [s], velocity); a quarter note lasts half a second."""
    return [tuple(note) for note in midi.read_bytes(file_bytes(*tracks, **options), "x.mid", pedal=sustained)]


def instruments(*tracks, **options):
    return instruments_from_song(parse(file_bytes(*tracks, **options), "x.mid"))


def test_the_pedal_of_one_track_holds_the_notes_of_another():
    right = [on(0, 60), off(240, 60)]
    left = [pedal(120, 127), pedal(600, 0)]
    assert read(right, left) == [(0.0, 60, 0.75, 64)]
    assert read(right, left, sustained=False) == [(0.0, 60, 0.25, 64)]


def test_a_key_signature_that_there_is_not_and_the_finest_division_change_nothing():
    events = [meta(0, 0x59, b"\xfe\xff"), on(0, 60), off(32_767, 60)]
    assert read(events, division=32_767) == [(0.0, 60, 0.5, 64)]


def test_each_channel_has_a_pedal_of_its_own():
    left = [pedal(0, 127, channel=1), on(0, 48, channel=1), off(240, 48, channel=1), pedal(480, 0, channel=1)]
    assert read([on(0, 60), off(240, 60)], left) == [(0.0, 48, 0.75, 64), (0.0, 60, 0.25, 64)]


def test_a_program_change_leaves_the_pedal_down():
    events = [pedal(0, 127), on(0, 60), program(120, 5), off(120, 60), pedal(240, 0)]
    assert read(events) == [(0.0, 60, 0.5, 64)]


def test_reset_all_controllers_lifts_the_pedal():
    assert read([pedal(0, 127), on(0, 60), off(240, 60), control(240, 121, 0)]) == [(0.0, 60, 0.5, 64)]


@pytest.mark.parametrize("number", [120, 123, 124, 125, 126, 127])
def test_all_notes_off_ends_notes_that_are_not_released(number):
    assert read([on(0, 60), control(240, number, 0), meta(480, 1)]) == [(0.0, 60, 0.25, 64)]


def test_all_notes_off_leaves_notes_to_the_pedal_and_all_sound_off_does_not():
    held = [pedal(0, 127), on(0, 60)]
    assert read([*held, control(240, 123, 0), pedal(240, 0)]) == [(0.0, 60, 0.5, 64)]
    assert read([*held, control(240, 120, 0), pedal(240, 0)]) == [(0.0, 60, 0.25, 64)]
    assert read([*held, off(120, 60), control(120, 120, 0), pedal(240, 0)]) == [(0.0, 60, 0.25, 64)]


def test_a_key_struck_twice_and_released_once_is_two_strikes():
    assert read([on(0, 60, 64), on(480, 60, 80), off(480, 60)]) == [(0.0, 60, 0.5, 64), (0.5, 60, 0.5, 80)]


def test_the_first_release_releases_the_last_strike():
    events = [on(0, 60, 64), on(480, 60, 80), off(240, 60), off(240, 60)]
    assert read(events) == [(0.0, 60, 0.5, 64), (0.5, 60, 0.25, 80)]


def test_a_key_never_released_is_so_with_the_end_of_its_track():
    assert read([on(0, 60), meta(480, 1)], [on(0, 64), off(960, 64)]) == [(0.0, 60, 0.5, 64), (0.0, 64, 1.0, 64)]


def test_a_note_of_no_length_is_kept_and_with_the_pedal_sounds_on():
    assert read([on(480, 60), off(0, 60)]) == [(0.5, 60, 0.0, 64)]
    assert read([pedal(0, 64), on(480, 60), off(0, 60), pedal(240, 63)]) == [(0.5, 60, 0.25, 64)]


def test_of_strikes_of_one_key_at_once_one_is_kept_with_the_louder_velocity_and_the_longer_end():
    piano, strings = [on(0, 60, 90), off(240, 60)], [on(0, 60, 40, channel=1), off(960, 60, channel=1)]
    assert read(piano, strings) == [(0.0, 60, 1.0, 90)]
    assert read(strings, piano, sustained=False) == [(0.0, 60, 1.0, 90)]


def test_a_pedal_that_never_lifts_does_so_with_the_last_release_of_its_channel():
    held = [pedal(0, 127), on(0, 60), off(240, 60), on(0, 64), off(240, 64)]
    other = [on(0, 48, channel=1), off(960, 48, channel=1)]
    assert read(held, other) == [(0.0, 48, 1.0, 64), (0.0, 60, 0.5, 64), (0.25, 64, 0.25, 64)]
    assert read([*held, control(240, 120, 0)]) == [(0.0, 60, 0.75, 64), (0.25, 64, 0.5, 64)]


def test_of_simultaneous_events_the_first_in_the_file_acts_first():
    assert read([on(0, 60), off(480, 60), pedal(0, 127), pedal(480, 0)]) == [(0.0, 60, 0.5, 64)]
    assert read([on(0, 60), pedal(480, 127), off(0, 60), pedal(480, 0)]) == [(0.0, 60, 1.0, 64)]


def test_the_tempo_counts_in_whichever_track_it_is():
    slow = [tempo(0, 1_000_000)]
    assert read([on(0, 60), off(480, 60)], slow) == [(0.0, 60, 1.0, 64)]
    late = [tempo(240, 1_000_000)]
    assert read([on(0, 60), off(480, 60)], late) == [(0.0, 60, 0.75, 64)]


def test_a_tempo_of_zero_is_passed_over():
    events = [tempo(0, 1_000_000), tempo(0, 0), on(0, 60), off(480, 60)]
    assert read(events) == [(0.0, 60, 1.0, 64)]


@pytest.mark.parametrize(("frames", "rate"), [(24, 24), (25, 25), (29, 30_000 / 1_001), (30, 30)])
def test_times_in_smpte_frames_are_seconds_whatever_the_tempo(frames, rate):
    ticks = 40
    division = -frames * 256 + ticks
    (note,) = read([tempo(0, 250_000), on(ticks * frames, 60), off(ticks, 60)], division=division)
    assert note == pytest.approx((frames / rate, 60, 1 / rate, 64))


def test_the_tracks_of_format_2_are_played_one_after_another_each_on_its_own():
    first = [tempo(0, 1_000_000), pedal(0, 127), on(0, 60), off(480, 60), meta(480, 1)]
    second = [on(0, 62), off(480, 62)]
    assert read(first, second, kind=2) == [(0.0, 60, 1.0, 64), (2.0, 62, 0.5, 64)]
    assert [each.start.tolist() for each in instruments(first, second, kind=2)] == [[0.0], [2.0]]


def test_an_instrument_is_a_program_in_a_channel_of_a_track():
    first = [
        meta(0, 3, b"both hands"), program(0, 5), on(0, 60), off(480, 60), program(0, 6), on(0, 62), off(480, 62),
        program(0, 5), on(0, 64), off(480, 64),
    ]  # fmt: skip
    second = [on(0, 36, channel=9), off(480, 36, channel=9), on(0, 65, channel=2), off(480, 65, channel=2)]
    found = instruments(first, second, [pedal(0, 127, channel=2), program(0, 40, channel=2)])
    assert [(each.name, each.program, each.channel, each.is_drum, each.has_pedal) for each in found] == [
        ("both hands", 5, 0, False, False), ("both hands", 6, 0, False, False),
        ("", 0, 9, True, False), ("", 40, 2, False, True),
    ]  # fmt: skip
    assert [each.pitch.tolist() for each in found] == [[60, 64], [62], [36], [65]]


def test_a_track_without_strikes_is_no_instrument():
    assert instruments([program(0, 5), pedal(0, 127)]) == []
    assert instruments() == []


# Few keys, channels and times, so that all interactions occur.
KEYS, CHANNELS = st.sampled_from([60, 61]), st.sampled_from([0, 1, 9])
EVENTS = st.one_of(
    st.builds(on, st.sampled_from([0, 0, 1, 5, 200]), KEYS, st.integers(0, 127), CHANNELS),
    st.builds(off, st.sampled_from([0, 1, 5, 20_000]), KEYS, CHANNELS),
    st.builds(pedal, st.sampled_from([0, 1, 5]), st.sampled_from([0, 63, 64, 127]), CHANNELS),
    st.builds(control, st.sampled_from([0, 1]), st.sampled_from([1, 66, 120, 121, 123, 126]), st.just(0), CHANNELS),
    st.builds(program, st.sampled_from([0, 1, 300_000]), st.integers(0, 127), CHANNELS),
    st.builds(tempo, st.sampled_from([0, 2]), st.sampled_from([0, 1, 300_000, 1_000_000, 0xFFFFFF])),
    st.builds(exclusive, st.sampled_from([0, 3]), st.binary(max_size=5), st.sampled_from([0xF0, 0xF7])),
    st.builds(meta, st.sampled_from([0, 2]), st.sampled_from([1, 3, 0x51, 0x59]), st.binary(max_size=2)),
    st.builds(Event, st.just(1), st.sampled_from([0xD0, 0xD1]), st.sampled_from([b"\x00", b"\x7f"])),
    st.builds(Event, st.just(1), st.sampled_from([0xE0, 0xA1]), st.sampled_from([b"\x00\x00", b"\x7f\x7f"])),
)


@settings(deadline=None, max_examples=400)
@pytest.mark.slow
@given(
    st.lists(st.lists(EVENTS, max_size=40), min_size=1, max_size=3),
    st.sampled_from([1, 96, 480, 500, 32_767]),
    st.booleans(),
    st.booleans(),
)
def test_files_of_all_kinds_are_read_as_a_synthesizer_plays_them_event_by_event(tracks, division, sustained, running):
    assert_as_event_by_event(tracks, division, sustained, running)


@pytest.mark.parametrize("seed", range(300))
def test_long_files_are_read_as_a_synthesizer_plays_them_event_by_event(seed):
    random = np.random.default_rng(seed)
    assert_as_event_by_event(random_tracks(random), 480, seed % 2 == 0, seed % 3 == 0)


def assert_as_event_by_event(tracks, division, sustained, running):
    """Compares the notes read from tracks with those of a plain Python model of their events."""
    expected = notes_of(tracks, division, sustained=sustained)
    read_instruments = instruments(*tracks, division=division, running=running)
    found = midi.merge_instruments(read_instruments, pedal=sustained)
    assert [note[1:4:2] for note in found] == [note[1:4:2] for note in expected]
    times = np.array([note[0:3:2] for note in found]).reshape(-1, 2)
    np.testing.assert_allclose(times, np.array([note[0:3:2] for note in expected]).reshape(-1, 2), rtol=1e-9, atol=1e-9)


RATE, CELL, ORGAN = 8000, 0.15, 17
# Keys by channel, within an octave, so that no key is a harmonic of another.
KEYS_OF = ((60, 66), (63, 69))
# The attack of one key leaks a little into the frequencies of all others.
LOUD = 30.0


def played_by_fluidsynth(data, path, seconds):
    """Renders a file with FluidSynth's own player, mono, without reverb and release."""
    path.write_bytes(data)
    synth = import_fluidsynth().Synth(gain=0.5, samplerate=float(RATE))
    try:
        synth.setting("synth.reverb.active", 0)
        synth.setting("synth.chorus.active", 0)
        synth.sfload(soundfont_path(), 1)
        synth.play_midi_file(str(path))
        parts = [synth.get_samples(64) for _ in range(int(seconds * RATE / 64))]
    finally:
        synth.delete()
    return np.concatenate(parts).reshape(-1, 2).mean(axis=1)


def loudness(sound, key, until):
    """The level of a key in the tenth of a second before a time."""
    window = sound[int((until - 0.1) * RATE) : int(until * RATE)]
    turns = 440 * 2 ** ((key - 69) / 12) * np.arange(len(window)) / RATE
    # A key struck again while the pedal is down sounds twice, and the partials of the two may cancel.
    partials = [np.exp(-2j * np.pi * partial * turns) for partial in (1, 2, 3)]
    return max(abs(np.mean(window * np.hanning(len(window)) * partial)) for partial in partials)


def cells(random, count):
    """Two tracks of two channels, with one event in each cell of time, in either track."""
    tracks = [[program(0, ORGAN, channel) for channel in (0, 1)], []]
    times = [0, 0]
    for cell in range(1, count):
        index, channel = random.integers(2).item(), random.integers(2).item()
        key, number = random.choice(KEYS_OF[channel]).item(), random.choice([120, 121, 123]).item()
        # A cell is 144 ticks: 0.15 s.
        delta = (cell - times[index]) * 144
        tracks[index].append(
            [on(delta, key, 100, channel), off(delta, key, channel), pedal(delta, 127, channel),
             pedal(delta, 0, channel), control(delta, number, 0, channel)]
            [random.choice(5, p=[0.4, 0.25, 0.15, 0.1, 0.1])]
        )  # fmt: skip
        times[index] = cell
    # The reader lifts a pedal that is never lifted at the last release.
    tracks[0] += [pedal((count - times[0]) * 144, 0), pedal(0, 0, channel=1)]
    tracks[1].append(meta((count - times[1]) * 144, 1))
    return tracks


@pytest.mark.parametrize("seed", range(24))
def test_keys_fall_silent_when_fluidsynth_plays_them_silent(seed, tmp_path):
    try:
        import_fluidsynth()
    except MissingPackageError as missing:
        pytest.skip(str(missing))
    count = 24
    data = file_bytes(*cells(np.random.default_rng(seed), count))
    sound = played_by_fluidsynth(data, tmp_path / "x.mid", count * CELL)
    notes = midi.read_bytes(data, "x.mid")
    told, heard = [], []
    for key in (*KEYS_OF[0], *KEYS_OF[1]):
        for cell in range(1, count - 1):
            until = (cell + 1) * CELL
            told.append(bool(((notes.pitch == key) & (notes.start < until) & (notes.end >= until - 1e-6)).any()))
            heard.append(bool(loudness(sound, key, until) > LOUD))
    assert told == heard
    assert 5 < sum(told) < len(told) - 5


def test_pretty_midi_objects_mean_what_their_files_do():
    random = np.random.default_rng(0)
    for _ in range(20):
        midi_object = pretty_midi.PrettyMIDI(resolution=500)
        for channel in range(2):
            instrument = pretty_midi.Instrument(channel)
            start, length = random.integers(0, 60, 20) / 10, random.integers(1, 20, 20) / 10
            instrument.notes = [
                pretty_midi.Note(int(random.integers(1, 128)), int(random.integers(60, 64)), a, a + b)
                for a, b in zip(start.tolist(), length.tolist(), strict=True)
            ]
            instrument.control_changes = [
                pretty_midi.ControlChange(int(random.choice([64, 64, 64, 120, 121, 123])), int(value), time)
                for time, value in zip(
                    random.permutation(80)[:12] / 10 + 0.05, random.integers(0, 128, 12), strict=True
                )
            ]
            midi_object.instruments.append(instrument)
        with_file = io.BytesIO()
        midi_object.write(with_file)
        expected = midi.read_bytes(with_file.getvalue(), "x.mid")
        found = midi.from_pretty_midi(midi_object)
        assert found.pitch.tolist() == expected.pitch.tolist()
        assert found.velocity.tolist() == expected.velocity.tolist()
        np.testing.assert_allclose(found.start, expected.start, atol=1e-9)
        np.testing.assert_allclose(found.end, expected.end, atol=1e-9)


def test_the_controllers_of_a_pretty_midi_object_need_not_be_sorted():
    midi_object = pretty_midi.PrettyMIDI()
    instrument = pretty_midi.Instrument(0)
    instrument.notes = [pretty_midi.Note(64, 60, 0.0, 0.5)]
    instrument.control_changes = [pretty_midi.ControlChange(64, 0, 2.0), pretty_midi.ControlChange(64, 127, 0.1)]
    midi_object.instruments.append(instrument)
    assert midi.from_pretty_midi(midi_object).end.tolist() == [2.0]


def test_an_impossible_note_of_a_pretty_midi_object_is_refused():
    midi_object = pretty_midi.PrettyMIDI()
    midi_object.instruments.append(pretty_midi.Instrument(0))
    midi_object.instruments[0].notes.append(pretty_midi.Note(64, 200, 0.0, 0.5))
    with pytest.raises(ArgumentError, match="pitch of 200"):
        midi.from_pretty_midi(midi_object)
