import wave

import numpy as np
import pytest

from kerasmusic import audio
from kerasmusic.errors import MissingPackageError


def has_fluidsynth():
    try:
        import fluidsynth  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.skipif(not has_fluidsynth(), reason="FluidSynth's library is not installed")
def test_music_is_heard_at_a_good_level_without_clipping(notes, tmp_path):
    part = notes.from_first()[:40]
    audio.write_wav(part, tmp_path / "x.wav")
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 44_100)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    assert part.seconds <= len(samples) / 44_100 < part.seconds + 5
    assert np.abs(samples).max() == pytest.approx(audio.PEAK, abs=0.01)
    assert np.sqrt(np.mean(samples**2)) > 0.01
    assert abs(samples[-1]) < 1e-3


@pytest.mark.skipif(has_fluidsynth(), reason="FluidSynth's library is installed")
def test_without_the_library_one_line_says_how_to_install_it(notes, tmp_path):
    with pytest.raises(MissingPackageError, match="apt install"):
        audio.write_wav(notes[:5], tmp_path / "x.wav")
    assert not list(tmp_path.iterdir())
