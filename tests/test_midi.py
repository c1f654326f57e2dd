import numpy as np
import pretty_midi
import pytest

from kerasmusic import midi
from kerasmusic.errors import MidiError
from kerasmusic.midi_readers import READERS
from kerasmusic.notes import Notes


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


@pytest.fixture(params=sorted(READERS))
def reader(request):
    return request.param


@pytest.mark.parametrize("pedal", [True, False])
def test_both_readers_give_the_same_notes_within_a_millisecond(performances, pedal):
    for name, data in performances:
        fast, slow = (midi.read_bytes(data, name, pedal=pedal, reader=reader) for reader in ("symusic", "pretty_midi"))
        assert len(fast) == len(slow) > 300
        # Onsets a rounding error apart may be sorted either way.
        orders = [np.lexsort((notes.pitch, np.round(notes.start, 4))) for notes in (fast, slow)]
        for column in ("start", "pitch", "end", "velocity"):
            first, second = (getattr(notes, column)[order] for notes, order in zip((fast, slow), orders, strict=True))
            np.testing.assert_allclose(first, second, atol=1e-3)


def test_the_pedal_lengthens_notes_until_it_lifts_or_the_key_is_struck_again(tmp_path, reader):
    played = instrument(
        (0.0, 0.5, 60, 64), (1.0, 1.2, 60, 64), (1.1, 1.3, 64, 64), (3.0, 3.5, 62, 64), pedal=[(0.2, 127), (2.0, 0)]
    )
    path = write_file(tmp_path / "pedal.mid", played)
    heard = midi.read(path, reader=reader)
    np.testing.assert_allclose(heard.end, [1.0, 2.0, 2.0, 3.5], atol=1e-3)
    np.testing.assert_allclose(midi.read(path, pedal=False, reader=reader).end, [0.5, 1.2, 1.3, 3.5], atol=1e-3)


def test_a_pedal_that_never_lifts_does_so_with_the_last_release(tmp_path, reader):
    path = write_file(tmp_path / "p.mid", instrument((0.0, 0.5, 60, 64), (1.0, 2.0, 64, 64), pedal=[(0.0, 64)]))
    np.testing.assert_allclose(midi.read(path, reader=reader).end, [2.0, 2.0], atol=1e-3)


def test_instruments_are_merged_without_drums_or_one_is_chosen(tmp_path, reader):
    path = write_file(
        tmp_path / "band.mid",
        instrument((0.0, 1.0, 60, 64)),
        instrument((0.5, 1.0, 36, 90), is_drum=True),
        instrument((0.25, 1.0, 48, 80)),
    )
    assert midi.read(path, reader=reader).pitch.tolist() == [60, 48]
    single = [midi.read(path, instrument=index, reader=reader).pitch.tolist() for index in range(3)]
    assert sorted(map(tuple, single)) == [(36,), (48,), (60,)]
    with pytest.raises(MidiError, match="has no instrument 3, only 3"):
        midi.read(path, instrument=3, reader=reader)


def test_tempo_counts(tmp_path, reader):
    path = write_file(tmp_path / "slow.mid", instrument((1.0, 2.5, 60, 64)), tempo=50.0)
    notes = midi.read(path, reader=reader)
    assert notes.start[0] == pytest.approx(1.0, abs=2e-3)
    assert notes.duration[0] == pytest.approx(1.5, abs=2e-3)


def test_notes_on_the_grid_come_back_from_a_file_exactly(tmp_path, reader):
    random = np.random.default_rng(0)
    start = np.arange(200) / 20
    notes = Notes(
        start, random.integers(21, 109, 200), random.integers(1, 300, 200) / 100, random.integers(1, 128, 200)
    )
    notes = notes.restruck()
    midi.write(notes, tmp_path / "grid.mid")
    back = midi.read(tmp_path / "grid.mid", reader=reader)
    assert back.pitch.tolist() == notes.pitch.tolist()
    assert back.velocity.tolist() == notes.velocity.tolist()
    np.testing.assert_allclose(back.start, notes.start, atol=1e-9)
    np.testing.assert_allclose(back.end, notes.end, atol=1e-9)


def test_what_is_no_midi_file_is_refused_in_one_line_that_names_it(tmp_path, reader, performances):
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
            midi.read(tmp_path / name, reader=reader)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_broken_files_are_read_with_sane_notes_or_refused(bad_midi, reader):
    read = 0
    for path in bad_midi:
        try:
            notes = midi.read(path, reader=reader)
        except MidiError:
            continue
        read += 1
        assert np.isfinite(notes.end).all()
        assert notes.seconds < midi.LONGEST_SECONDS
    assert read > 40
