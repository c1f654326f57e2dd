import numpy as np
import pretty_midi
import pytest

from kerasmusic import midi
from kerasmusic.command_line import main
from kerasmusic.commands.inspection import FIRST_NOTES, describe
from kerasmusic.errors import MidiError
from kerasmusic.notes import Notes


@pytest.fixture
def band(tmp_path):
    """A MIDI file of a piano, a bass without a name and drums."""
    file = pretty_midi.PrettyMIDI()
    for program, is_drum, name, pitches in ((0, False, "right hand", (60, 64, 60)), (32, False, "", (36,)),
                                            (0, True, "kit", (38, 42))):  # fmt: skip
        instrument = pretty_midi.Instrument(program, is_drum=is_drum, name=name)
        instrument.notes = [pretty_midi.Note(80, pitch, 0.5 * at, 0.5 * at + 0.25) for at, pitch in enumerate(pitches)]
        file.instruments.append(instrument)
    file.instruments[0].control_changes.append(pretty_midi.ControlChange(64, 100, 0.0))
    path = tmp_path / "band.mid"
    file.write(str(path))
    return path


def test_a_midi_files_instruments_are_said_with_what_is_heard_of_them(band):
    lines = list(describe(band))
    assert lines[0].startswith(f"{band}: 4 notes in ")
    assert lines[1] == "instruments 0: Acoustic Grand Piano 'right hand', 3 notes, with sustain pedal"
    assert lines[2] == "            1: Acoustic Bass, 1 note"
    assert lines[3] == "            2: drums 'kit', 2 notes, not heard"
    assert "pitch       C2 to E4 (36 to 64)" in lines
    assert "names       C 75%, E 25%" in lines


def test_a_midi_file_is_told_by_what_is_in_it_whatever_its_name(band, tmp_path):
    (tmp_path / "band").write_bytes(band.read_bytes())
    assert list(describe(tmp_path / "band"))[1:] == list(describe(band))[1:]
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(MidiError, match=r"page\.pdf: not a MIDI file but a PDF document"):
        describe(tmp_path / "page.pdf")


def test_its_first_notes_are_a_table(notes, tmp_path):
    midi.write(notes, tmp_path / "x.mid")
    lines = list(describe(tmp_path / "x.mid"))
    (heading,) = [index for index, line in enumerate(lines) if "start [s]" in line]
    rows = [line.split() for line in lines[heading + 1 : heading + 1 + FIRST_NOTES]]
    written = midi.read(tmp_path / "x.mid")[:FIRST_NOTES]
    np.testing.assert_allclose([float(row[0]) for row in rows], written.start, atol=6e-4)
    np.testing.assert_allclose([float(row[1]) for row in rows], written.step, atol=6e-4)
    assert [int(row[3].strip("()")) for row in rows] == written.pitch.tolist()
    assert [int(row[5]) for row in rows] == written.velocity.tolist()
    assert lines[-1].startswith("... and ")
    assert {len(line) for line in lines[heading : heading + 1 + FIRST_NOTES]} == {len(lines[heading])}


def test_a_short_file_has_no_more_notes_than_it_has(tmp_path):
    midi.write(Notes([0.0], [60], [0.5], [64]), tmp_path / "x.mid")
    lines = list(describe(tmp_path / "x.mid"))
    assert lines[0].endswith("1 note in 0.5 s, with the sustain pedal heard")
    assert lines[-1].split()[2] == "C4"


def test_the_command_says_it_and_ends_in_one_line_where_there_is_nothing_to_say(band, tmp_path, capsys):
    assert main(["inspect", str(band)]) == 0
    assert "Acoustic Bass" in capsys.readouterr().out
    (tmp_path / "x.mid").write_text("no music")
    assert main(["inspect", str(tmp_path / "x.mid")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
