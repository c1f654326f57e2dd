import hashlib
import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broken_midi import FILES
from kerasmusic import midi
from kerasmusic.bench.music import real_music
from kerasmusic.codec import NoteCodec
from kerasmusic.data.sources import open_source
from kerasmusic.errors import ArgumentError, MidiError
from kerasmusic.notes import Notes

pytestmark = pytest.mark.device


def write_file(path, *instruments, tempo=120.0):
    file = pretty_midi.PrettyMIDI(resolution=500, initial_tempo=tempo)
    file.instruments.extend(instruments)
    file.write(str(path))
    return path


def instrument(*notes, pedal=(), **options):
    made = pretty_midi.Instrument(program=0, **options)
    made.notes = [pretty_midi.Note(velocity, pitch, start, end) for start, end, pitch, velocity in notes]
    made.control_changes = [pretty_midi.ControlChange(64, value, time) for time, value in pedal]
    return made


def test_the_pedal_lengthens_notes_until_it_lifts_or_the_key_is_struck_again(tmp_path):
    played = instrument(
        (0.0, 0.5, 60, 64), (1.0, 1.2, 60, 64), (1.1, 1.3, 64, 64), (3.0, 3.5, 62, 64), pedal=[(0.2, 127), (2.0, 0)]
    )
    path = write_file(tmp_path / "pedal.mid", played)
    heard = midi.read(path)
    np.testing.assert_allclose(heard.end, [1.0, 2.0, 2.0, 3.5], atol=1e-3)
    np.testing.assert_allclose(midi.read(path, pedal=False).end, [0.5, 1.2, 1.3, 3.5], atol=1e-3)


def test_a_pedal_that_never_lifts_does_so_with_the_last_release(tmp_path):
    path = write_file(tmp_path / "p.mid", instrument((0.0, 0.5, 60, 64), (1.0, 2.0, 64, 64), pedal=[(0.0, 64)]))
    np.testing.assert_allclose(midi.read(path).end, [2.0, 2.0], atol=1e-3)


def test_instruments_are_merged_without_drums_or_one_is_chosen(tmp_path):
    path = write_file(
        tmp_path / "band.mid",
        instrument((0.0, 1.0, 60, 64)),
        instrument((0.5, 1.0, 36, 90), is_drum=True),
        instrument((0.25, 1.0, 48, 80)),
    )
    assert midi.read(path).pitch.tolist() == [60, 48]
    single = [midi.read(path, instrument=index).pitch.tolist() for index in range(3)]
    assert sorted(map(tuple, single)) == [(36,), (48,), (60,)]
    with pytest.raises(MidiError, match="has no instrument 3, only 3"):
        midi.read(path, instrument=3)


def test_tempo_counts(tmp_path):
    path = write_file(tmp_path / "slow.mid", instrument((1.0, 2.5, 60, 64)), tempo=50.0)
    notes = midi.read(path)
    assert notes.start[0] == pytest.approx(1.0, abs=2e-3)
    assert notes.duration[0] == pytest.approx(1.5, abs=2e-3)


def test_notes_on_the_grid_come_back_from_a_file_exactly(tmp_path):
    random = np.random.default_rng(0)
    start = np.arange(200) / 20
    notes = Notes(
        start, random.integers(21, 109, 200), random.integers(1, 300, 200) / 100, random.integers(1, 128, 200)
    )
    notes = notes.without_overlaps()
    midi.write(notes, tmp_path / "grid.mid")
    back = midi.read(tmp_path / "grid.mid")
    assert back.pitch.tolist() == notes.pitch.tolist()
    assert back.velocity.tolist() == notes.velocity.tolist()
    np.testing.assert_allclose(back.start, notes.start, atol=1e-9)
    np.testing.assert_allclose(back.end, notes.end, atol=1e-9)


def test_a_file_that_is_not_midi_is_refused_in_one_line_with_its_name(tmp_path, performances):
    (tmp_path / "text.mid").write_text("not music")
    (tmp_path / "cut.mid").write_bytes(performances[0][1][:1000])
    (tmp_path / "folder.mid").mkdir()
    write_file(tmp_path / "silent.mid", instrument())
    for name, reason in [
        ("text.mid", "not a MIDI file"),
        ("cut.mid", "not a MIDI file"),
        ("folder.mid", "cannot be read"),
        ("absent.mid", "no such file"),
        ("silent.mid", "has no notes"),
    ]:
        with pytest.raises(MidiError, match=reason) as caught:
            midi.read(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def read_one_by_one(paths):
    """The outcome of each file, read in a separate process; it is killed if one takes more than two seconds."""
    script = str(Path(__file__).with_name("read_within.py"))
    done = subprocess.run([sys.executable, script, *map(str, paths)], capture_output=True, text=True, check=False)
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} at {paths[len(outcomes)]}: {done.stderr}"
    return outcomes


def test_broken_files_are_read_with_sane_notes_or_refused_in_little_time_and_memory(broken_midi):
    paths = sorted(broken_midi.iterdir())
    outcomes = read_one_by_one(paths)
    assert len(outcomes) == len(paths) == len(FILES)
    read = [outcome for outcome in outcomes if "refused" not in outcome]
    assert len(read) >= 50
    for outcome in read:
        assert outcome["finite"]
        assert 0 <= outcome["pitch"][0] <= outcome["pitch"][1] <= 127
        assert 1 <= outcome["velocity"][0] <= outcome["velocity"][1] <= 127
        assert 0 <= outcome["seconds"][0] <= outcome["seconds"][1] <= midi.LONGEST_SECONDS
    for outcome in outcomes:
        if "refused" in outcome:
            assert outcome["refused"].startswith(f"{outcome['path']}: ")
            assert "\n" not in outcome["refused"]
    assert outcomes[-1]["bytes"] < 300e6


@pytest.mark.parametrize("name", FILES)
def test_odd_files_are_read_with_the_notes_they_have_or_refused(name):
    file = FILES[name]
    if file.notes:
        assert len(midi.read_bytes(file.data, name)) == file.notes
        return
    with pytest.raises(MidiError) as refused:
        midi.read_bytes(file.data, name)
    silent = f"{name}: has no notes" + (f" but {file.drums} of drums" if file.drums else "")
    assert (str(refused.value) == silent) == (file.notes == 0)


def midi_bytes(*events, ticks_per_beat=100):
    """A MIDI file of one track; events are (seconds at 120 beats per minute, message)."""
    track, now = mido.MidiTrack(), 0
    for seconds, message in events:
        tick = round(seconds * 2 * ticks_per_beat)
        track.append(message.copy(time=tick - now))
        now = tick
    file = io.BytesIO()
    mido.MidiFile(tracks=[track], ticks_per_beat=ticks_per_beat).save(file=file)
    return file.getvalue()


def strike(pitch):
    return mido.Message("note_on", note=pitch, velocity=64)


def release(pitch):
    return mido.Message("note_off", note=pitch)


def test_time_follows_each_change_of_tempo():
    data = midi_bytes(
        (0.0, strike(60)),
        (1.0, release(60)),
        (1.0, mido.MetaMessage("set_tempo", tempo=1_000_000)),
        (1.5, strike(62)),
        (2.0, mido.MetaMessage("set_tempo", tempo=250_000)),
        (3.0, release(62)),
    )
    notes = midi.read_bytes(data, "tempo.mid")
    # From 1 s on, time runs at half speed; from what would have been 2 s on, at double speed.
    np.testing.assert_allclose(notes.start, [0.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(notes.end, [1.0, 3.5], atol=1e-9)


@pytest.mark.parametrize(("value", "end"), [(63, 0.5), (64, 2.0)])
def test_the_pedal_is_down_from_64_on(tmp_path, value, end):
    path = write_file(tmp_path / "half.mid", instrument((0.0, 0.5, 60, 64), pedal=[(0.1, value), (2.0, 0)]))
    np.testing.assert_allclose(midi.read(path).end, [end], atol=1e-3)


def test_a_pedal_pressed_further_stays_the_same_press(tmp_path):
    pedal = [(0.1, 70), (0.3, 127), (0.7, 90), (2.0, 40), (3.0, 0)]
    path = write_file(tmp_path / "deep.mid", instrument((0.0, 0.5, 60, 64), (2.2, 2.5, 62, 64), pedal=pedal))
    np.testing.assert_allclose(midi.read(path).end, [2.0, 2.5], atol=1e-3)


def test_a_note_released_before_the_pedal_goes_down_is_not_held(tmp_path):
    path = write_file(tmp_path / "late.mid", instrument((0.0, 0.5, 60, 64), pedal=[(0.6, 127), (2.0, 0)]))
    np.testing.assert_allclose(midi.read(path).end, [0.5], atol=1e-3)


def test_pretty_midi_objects_are_read_with_and_without_pedal():
    file = pretty_midi.PrettyMIDI()
    file.instruments += [
        instrument((0.0, 0.5, 60, 64), pedal=[(0.1, 127), (2.0, 0)]),
        instrument((0.0, 1.0, 36, 64), is_drum=True),
    ]
    assert midi.from_pretty_midi(file).end.tolist() == [2.0]
    assert midi.from_pretty_midi(file, pedal=False).end.tolist() == [0.5]


def test_writing_leaves_no_temporary_file(tmp_path):
    for pitch in (60, 62):
        midi.write(Notes([0.0], [pitch], [1.0], [64]), tmp_path / "note.mid")
        assert midi.read(tmp_path / "note.mid").pitch.tolist() == [pitch]
    assert [path.name for path in tmp_path.iterdir()] == ["note.mid"]


def test_notes_of_no_length_are_written_and_read_as_short_ones(tmp_path):
    midi.write(Notes([0.0, 1.0, 1.5], [60, 62, 64], [0.5, 0.0, 0.0003], [64] * 3), tmp_path / "short.mid")
    back = midi.read(tmp_path / "short.mid")
    assert back.pitch.tolist() == [60, 62, 64]
    assert back.duration.max() < 0.6


def test_a_file_of_too_many_events_is_refused_before_it_is_parsed(tmp_path):
    # Program changes in running status, the shortest possible events: two bytes each.
    events = b"\x00\xc0\x00" + b"\x00\x00" * 10_000_001
    data = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(events)) + events
    (tmp_path / "black.mid").write_bytes(data)
    with pytest.raises(MidiError, match=r"black\.mid: has more than 20,000,000 bytes"):
        midi.read(tmp_path / "black.mid")


def test_a_file_that_lasts_longer_than_a_day_is_refused():
    def held(hours):
        # Delta times have at most 28 bits, so a slow tempo of two beats per minute and few ticks make up the day.
        return midi_bytes(
            (0.0, mido.MetaMessage("set_tempo", tempo=15_000_000)), (0.0, strike(60)), (hours * 120, release(60))
        )

    assert midi.read_bytes(held(23), "day.mid").seconds == pytest.approx(23 * 3600)
    with pytest.raises(MidiError, match=r"day\.mid: lasts 25 hours, more than 24"):
        midi.read_bytes(held(25), "day.mid")


def test_a_file_of_drums_alone_says_so(tmp_path):
    path = write_file(tmp_path / "drums.mid", instrument((0.0, 1.0, 36, 64), is_drum=True))
    with pytest.raises(MidiError, match="has no notes but 1 of drums"):
        midi.read(path)
    assert len(midi.read(path, instrument=0)) == 1


on_the_grid = st.tuples(st.integers(0, 10_000), st.integers(0, 127), st.integers(1, 3_000), st.integers(1, 127))


def notes_of_rows(rows):
    """Notes of rows of (start [ms], pitch, duration [ms], velocity)."""
    start, pitch, duration, velocity = np.array(rows).T
    return Notes(start / 1000, pitch, duration / 1000, velocity)


@settings(deadline=None, max_examples=200)
@given(st.lists(on_the_grid, min_size=1, max_size=40))
def test_any_notes_on_the_grid_come_back_from_a_file(rows):
    notes = notes_of_rows(rows).without_overlaps()
    back = midi.read_bytes(midi.to_bytes(notes), "x.mid")
    for column in ("start", "pitch", "velocity"):
        assert np.array_equal(getattr(back, column), getattr(notes, column))
    # The time between two strikes may differ from a whole millisecond in its last bit.
    np.testing.assert_allclose(back.duration, notes.duration, rtol=0, atol=1e-12)
    assert midi.read_bytes(midi.to_bytes(back), "x.mid") == back


@settings(deadline=None, max_examples=100)
@given(st.lists(on_the_grid, min_size=1, max_size=40, unique_by=lambda row: row[1]))
def test_notes_on_the_grid_that_no_strike_ends_come_back_as_they_are(rows):
    notes = notes_of_rows(rows)
    assert midi.read_bytes(midi.to_bytes(notes), "x.mid") == notes


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.floats(0, 80_000), st.integers(60, 62), st.floats(0, 5_000), st.integers(1, 127)),
                min_size=1, max_size=30))  # fmt: skip
def test_any_notes_come_back_within_half_a_tick_and_then_stay(rows):
    notes = Notes(*zip(*rows, strict=True))
    back = midi.read_bytes(midi.to_bytes(notes), "x.mid")
    for note in back:
        assert np.abs(notes.start[notes.pitch == note.pitch] - note.start).min() <= 0.5e-3 + 1e-9
    assert midi.read_bytes(midi.to_bytes(back), "x.mid") == back


def test_of_strikes_of_one_key_at_once_the_loudest_and_the_longest_are_written():
    notes = Notes([1.0, 1.0, 1.0002], [60, 60, 60], [0.5, 2.0, 1.0], [90, 40, 70])
    back = midi.read_bytes(midi.to_bytes(notes), "x.mid")
    assert list(back) == [(1.0, 60, 2.0, 90)]


def test_the_file_that_is_written_is_one_that_other_programs_read():
    notes = notes_of_rows([(0, 60, 500, 64), (0, 64, 500, 70), (20_000, 67, 30_000, 127)])
    theirs = pretty_midi.PrettyMIDI(io.BytesIO(midi.to_bytes(notes, program=5)))
    (instrument,) = theirs.instruments
    assert instrument.program == 5
    found = sorted((note.start, note.pitch, note.end - note.start, note.velocity) for note in instrument.notes)
    np.testing.assert_allclose(found, [tuple(note) for note in notes], atol=1e-9)


def test_notes_that_could_not_be_read_again_are_not_written(tmp_path):
    pause = Notes([0.0, 200 * 3600.0], [60, 62], [1.0, 1.0], [64, 64])
    with pytest.raises(ArgumentError, match=r"last 200\.0 hours, and a MIDI file may last 24; write them in parts"):
        midi.write(pause, tmp_path / "x.mid")
    count = midi.MAX_NOTES + 1
    dense = Notes(np.arange(count) / 1000, np.arange(count) % 128, np.full(count, 0.001), np.full(count, 64))
    with pytest.raises(ArgumentError, match="3,000,001 notes are more than a MIDI file may have"):
        midi.write(dense, tmp_path / "x.mid")
    with pytest.raises(ArgumentError, match="128: a program is within 0 to 127"):
        midi.write(pause[:1], tmp_path / "x.mid", program=128)
    assert not list(tmp_path.iterdir())


def test_the_longest_pause_and_the_latest_end_come_back():
    day = midi.LONGEST_SECONDS
    notes = Notes([0.0, day - 0.5], [60, 62], [1.0, 0.5], [64, 64])
    assert midi.read_bytes(midi.to_bytes(notes), "x.mid") == notes
    short = Notes([0.0, day], [60, 62], [1.0, 0.0], [64, 64])
    with pytest.raises(ArgumentError, match="hours"):
        midi.to_bytes(short)


@pytest.mark.slow
def test_a_file_of_as_many_notes_as_may_be_is_not_too_large_to_be_read():
    # Spread over a day, so that many delta times need more than one byte.
    count = midi.MAX_NOTES
    start = np.sort(np.random.default_rng(0).integers(0, int(midi.LONGEST_SECONDS * 1000) - 1, count))
    notes = Notes(start / 1000, np.arange(count) % 128, np.full(count, 0.001), np.full(count, 64))
    assert len(midi.to_bytes(notes)) <= midi.MAX_BYTES


def test_files_are_read_whatever_their_names(tmp_path):
    data = midi.to_bytes(Notes([0.0], [60], [1.0], [64]))
    for name in ("music", "music.KAR", "music.rmi", "music.txt"):
        (tmp_path / name).write_bytes(data)
        assert midi.read(tmp_path / name).pitch.tolist() == [60]


def test_an_empty_performance_is_a_file_without_notes():
    with pytest.raises(MidiError, match="has no notes"):
        midi.read_bytes(midi.to_bytes(Notes.empty()), "x.mid")


# By the number of files of MAESTRO v2.0.0's training and validation performances and of the Nottingham tunes: the
# digest of their fields as read with symusic 0.6.0, before there was a reader of kerasmusic's own.
DIGESTS = {
    1_104: "f6eb0337b3ea28468823c4c9c1359897504a345e7b8d37b64cb0b95a7b20b703",
    1_034: "711dd9851c393bc76ad903fa9feee23a58246d85402eac07fbe068beb5a8a735",
}
# symusic reads other notes in these three: it differs for keys struck twice before their release, for the pairing of
# releases with strikes, and for simultaneous strikes.
OTHERWISE = (
    "2009/MIDI-Unprocessed_03_R1_2009_03-08_ORIG_MID--AUDIO_03_R1_2009_03_R1_2009_08_WAV.midi",
    "jigs311.mid",
    "reelsd-g28.mid",
)


def test_corpora_keep_the_fields_that_the_reader_before_this_one_gave():
    root = real_music()
    source = root and open_source(root)
    names = source.list_files().names if source else []
    if len(names) not in DIGESTS:
        pytest.skip("needs MAESTRO or the Nottingham tunes; CONTRIBUTING.md says how to test on them")
    found, codec = hashlib.sha256(), NoteCodec()
    for name, data in source.read(names):
        if not name.endswith(OTHERWISE):
            found.update(codec.encode(midi.read_bytes(data, name).without_leading_silence()).astype("<i2").tobytes())
    assert found.hexdigest() == DIGESTS[len(names)]
