import io
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from kerasmusic import audio, midi
from kerasmusic.command_line import main
from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.notes import Notes


def has_fluidsynth():
    try:
        import fluidsynth  # noqa: F401
    except ImportError:
        return False
    return True


needs_fluidsynth = pytest.mark.skipif(not has_fluidsynth(), reason="FluidSynth's library is not installed")


def read_wav(file):
    with wave.open(file) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, 44_100)
        return np.frombuffer(opened.readframes(opened.getnframes()), "<i2") / 32768


def listen(samples, part):
    """Checks the sound of a piece: its length and level, no clipping, and silence at both ends."""
    assert part.seconds <= len(samples) / 44_100 < part.seconds + 5
    assert np.abs(samples).max() == pytest.approx(audio.PEAK, abs=0.01)
    assert np.sqrt(np.mean(samples**2)) > 0.01
    assert abs(samples[0]) < 1e-3
    assert abs(samples[-1]) < 1e-3
    # There is sound in every second in which a note sounds.
    for second in range(int(part.seconds)):
        if np.any((part.start < second + 0.5) & (part.end > second + 0.5)):
            assert np.abs(samples[second * 44_100 : (second + 1) * 44_100]).max() > 1e-3


@needs_fluidsynth
def test_music_is_rendered_at_a_good_level_without_clipping(notes, tmp_path):
    part = notes.without_leading_silence()[:40]
    audio.write_wav(part, tmp_path / "x.wav")
    listen(read_wav(str(tmp_path / "x.wav")), part)


@needs_fluidsynth
def test_the_loudest_music_does_not_clip_and_the_softest_is_audible(tmp_path):
    start = np.repeat(np.arange(4.0), 22)
    pitch = np.tile(np.arange(21, 109, 4), 4)
    for velocity in (127, 1):
        part = Notes(start, pitch, np.full(88, 1.5), np.full(88, velocity))
        samples = audio.synthesize(part)
        assert np.abs(samples).max() == pytest.approx(audio.PEAK, abs=0.01)
        # A clipped wave stays at its maximum; this one only touches it.
        assert np.mean(np.abs(samples) > 0.99 * audio.PEAK) < 1e-3


@needs_fluidsynth
def test_a_note_of_no_length_ends(tmp_path):
    samples = audio.synthesize(Notes([0.0, 3.0], [60, 72], [0.0, 0.5], [100, 100]))
    assert np.abs(samples[int(2.5 * 44_100) : int(2.9 * 44_100)]).max() < 0.01


@needs_fluidsynth
def test_the_pitch_of_the_sound_is_that_of_the_note():
    samples = audio.synthesize(Notes([0.0], [69], [2.0], [100]))[: 2 * 44_100]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 44_100 / len(samples) == pytest.approx(440, abs=3)


@needs_fluidsynth
def test_the_command_renders_a_midi_file(notes, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part = notes.without_leading_silence()[:40]
    midi.write(part, tmp_path / "x.mid")
    for arguments, name in ((["x.mid"], "x.wav"), (["x.mid", "-o", "y.wav"], "y.wav")):
        assert main(["render", *arguments]) == 0
        assert name in capsys.readouterr().out
        listen(read_wav(name), part)
    (tmp_path / "text.sf2").write_text("no sounds here at all")
    for arguments, word in (
        ("x.mid -o x.mp3", "x.mp3"), ("absent.mid", "absent.mid"),
        ("x.mid --soundfont absent.sf2 -o z.wav", "absent.sf2: no such SoundFont"),
        ("x.mid --soundfont text.sf2 -o z.wav", "text.sf2: not a SoundFont"),
    ):  # fmt: skip
        assert main(["render", *arguments.split()]) == 2
        said = capsys.readouterr().err
        assert word in said
        assert said.count("\n") == 1
    assert not (tmp_path / "z.wav").exists()


@needs_fluidsynth
def test_a_file_holds_the_sound_that_a_notebook_gets_to_the_sample(notes, tmp_path):
    part = notes.without_leading_silence()[:40]
    seconds = audio.write_wav(part, tmp_path / "x.wav")
    samples = audio.synthesize(part)
    assert seconds == len(samples) / 44_100
    np.testing.assert_allclose(read_wav(str(tmp_path / "x.wav")), samples, atol=1.6 / 32768)


@needs_fluidsynth
def test_strikes_and_releases_come_in_the_order_of_their_times_however_many_are_in_memory(notes, monkeypatch):
    part = notes.without_leading_silence()[:300]
    events = list(audio._events(part))
    assert events == sorted(events, key=lambda event: (event[0], event[1] > 0))
    assert [event[1:] for event in events if event[1]] == [(note.velocity, note.pitch) for note in part]
    assert len(events) == 2 * len(part)
    monkeypatch.setattr(audio, "BLOCK_NOTES", 7)
    assert list(audio._events(part)) == events


@needs_fluidsynth
def test_no_notes_are_silent():
    assert not audio.synthesize(Notes.empty()).any()


MEMORY_OF_RENDERING = """
import re, sys
from pathlib import Path
import numpy as np
from kerasmusic import audio
from kerasmusic.notes import Notes

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000

start = np.arange(0, 1500.0, 5.0)
notes = Notes(start, np.full(len(start), 60), np.full(len(start), 1.0), np.full(len(start), 80))
before = peak()
print(audio.write_wav(notes, "x.wav"), peak() - before)
"""


@needs_fluidsynth
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory of a process")
@pytest.mark.slow
def test_a_long_piece_is_rendered_in_150_megabytes(tmp_path):
    command = [sys.executable, "-c", MEMORY_OF_RENDERING]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    # As floating-point numbers in memory, the sound alone would take 260.
    assert seconds == pytest.approx(1497.5)
    assert (tmp_path / "x.wav").stat().st_size == 44 + 2 * round(seconds * 44_100)
    assert megabytes < 150
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


def test_music_too_long_for_a_wav_file_is_refused_in_one_line_before_rendering(tmp_path, capsys):
    midi.write(Notes([0.0, 20 * 3600.0], [60, 60], [1.0, 1.0], [80, 80]), tmp_path / "x.mid")
    assert main(["render", str(tmp_path / "x.mid")]) == 2
    assert capsys.readouterr().err == (
        f"kerasmusic: {tmp_path / 'x.wav'}: 20.0 hours are more than a WAV file holds, which is 13.5; render the music "
        "in parts\n"
    )
    assert not (tmp_path / "x.wav").exists()


def test_the_longest_sound_fills_a_wav_file_to_its_last_bytes():
    with io.BytesIO() as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(44_100)
        sound.writeframes(bytes(2))
        header = len(file.getvalue()) - 2
    samples = round((audio.LONGEST_WAV_SECONDS + audio.TAIL_SECONDS) * 44_100)
    # The size in the header excludes the first eight bytes.
    assert 2**32 - 4 <= header + 2 * samples - 8 < 2**32


@needs_fluidsynth
def test_another_soundfont_sounds_otherwise_only_where_it_is_another(tmp_path):
    part = Notes([0.0], [60], [1.0], [80])
    (tmp_path / "same.sf2").write_bytes(Path(audio.soundfont_path()).read_bytes())
    np.testing.assert_array_equal(audio.synthesize(part, soundfont=tmp_path / "same.sf2"), audio.synthesize(part))
    with pytest.raises(ArgumentError, match="no such SoundFont"):
        audio.synthesize(part, soundfont=tmp_path / "absent.sf2")


@needs_fluidsynth
def test_a_notebook_gets_a_player_of_the_same_sound(notes):
    pytest.importorskip("IPython")
    part = notes.without_leading_silence()[:40]
    player = audio.notebook_player(part)
    listen(read_wav(io.BytesIO(player.data)), part)
    assert "<audio" in player._repr_html_()


def test_without_ipython_one_line_says_how_to_install_it(notes, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingPackageError, match="pip install ipython"):
        audio.notebook_player(notes[:5])


@pytest.mark.parametrize("absent", ["the library", "the library's file", "the package"])
def test_without_fluidsynth_one_line_says_how_to_install_it_on_every_system(
    notes, tmp_path, monkeypatch, capsys, absent
):
    if absent == "the package":
        monkeypatch.setitem(sys.modules, "fluidsynth", None)
    else:
        # The errors of pyfluidsynth if the library is missing, and if the system cannot open it.
        errors = {"the library": "ImportError('no FluidSynth library')", "the library's file": "OSError('cannot open')"}
        (tmp_path / "fluidsynth.py").write_text(f"raise {errors[absent]}")
        monkeypatch.delitem(sys.modules, "fluidsynth", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
    midi.write(notes[:5], tmp_path / "x.mid")
    for command in (["render", str(tmp_path / "x.mid")], ["play"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert ("pyfluidsynth" if absent == "the package" else "FluidSynth's library") + " is not installed" in said
        for words in ("apt install libfluidsynth3", "brew install fluid-synth", "choco install fluidsynth"):
            assert words in said
        assert said.count("\n") == 1
    assert not (tmp_path / "x.wav").exists()
    # Everything else still works.
    assert main(["inspect", str(tmp_path / "x.mid")]) == 0


def test_without_pretty_midi_and_a_soundfont_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    with pytest.raises(MissingPackageError, match=r"SoundFont .+ run: pip install 'kerasmusic\[audio\]'"):
        audio.soundfont_path()
    with pytest.raises(MissingPackageError, match="pip install pretty_midi"):
        midi.to_pretty_midi(Notes.empty())
