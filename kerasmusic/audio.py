"""Sound: notes played by FluidSynth, for those who have its library and `kerasmusic[audio]`."""

from __future__ import annotations

import os
import wave
from importlib import resources
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.files import written_beside
from kerasmusic.notes import Notes

SAMPLE_RATE = 44_100
# A little below full scale, so that no player's resampling clips it.
PEAK = 0.8
FADE_SECONDS = 0.5
INSTALL = (
    "'apt install libfluidsynth3' on Debian, 'brew install fluid-synth' on macOS, 'choco install fluidsynth' on Windows"
)


def synthesizer_module() -> ModuleType:
    """The module `fluidsynth` of pyfluidsynth.

    Raises:
        MissingPackageError: it or FluidSynth's library is not installed.
    """
    try:
        import fluidsynth
    except ImportError as error:
        missing = "FluidSynth's library is" if "library" in str(error).lower() else "pyfluidsynth is"
        raise MissingPackageError(
            f"{missing} not installed; run: pip install 'kerasmusic[audio]', and {INSTALL}"
        ) from None
    return fluidsynth


def soundfont_path(soundfont: str | os.PathLike[str] | None = None) -> str:
    """The path of a SoundFont, by default of the small one that pretty_midi brings.

    Raises:
        ArgumentError: there is no such file.
    """
    if soundfont is None:
        return str(resources.files("pretty_midi").joinpath("TimGM6mb.sf2"))
    if not os.path.isfile(soundfont):
        raise ArgumentError(f"{os.fspath(soundfont)}: no such SoundFont; name an .sf2 file")
    return os.fspath(soundfont)


def synthesize(notes: Notes, *, soundfont: str | os.PathLike[str] | None = None) -> NDArray[np.float32]:
    """The sound of notes, mono float32 `[samples]` at 44.1 kHz, at most `PEAK` loud, faded out at the end.

    Args:
        notes: what to play.
        soundfont: an `.sf2` file; by default the small one that pretty_midi brings.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        ArgumentError: there is no such SoundFont.
    """
    synthesizer_module()  # pretty_midi reports its absence in a longer way
    midi = notes.restruck().to_pretty_midi()
    sound = np.asarray(midi.fluidsynth(fs=SAMPLE_RATE, sf2_path=soundfont_path(soundfont)), np.float32)
    loudest = float(np.abs(sound).max(initial=0.0))
    if loudest:
        sound *= PEAK / loudest
    fade = min(len(sound), round(FADE_SECONDS * SAMPLE_RATE))
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


def write_wav(notes: Notes, path: str | os.PathLike[str], *, soundfont: str | os.PathLike[str] | None = None) -> float:
    """Writes the sound of notes as a 16-bit WAV file, and returns how many seconds it lasts; see `synthesize`."""
    samples = np.rint(synthesize(notes, soundfont=soundfont) * 32767).astype("<i2")
    with written_beside(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return len(samples) / SAMPLE_RATE
