"""Sound: notes played by FluidSynth, for those who have its library and `kerasmusic[audio]`."""

from __future__ import annotations

import os
import wave
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.files import written_beside
from kerasmusic.notes import Notes
from kerasmusic.quiet import import_silently

if TYPE_CHECKING:
    import IPython.display

SAMPLE_RATE = 44_100
# A little below full scale, so that no player's resampling clips it.
PEAK = 0.8
FADE_SECONDS = 0.5
# After the last release, while the strings ring out.
TAIL_SECONDS = 1.5
# FluidSynth's own is 0.2. Of piano music, at this little clips and nothing is faint; what is so is made again.
GAIN = 0.8
LARGEST_GAIN = 10.0
CLIPPED = 0.99
FAINT = 0.1
# Long enough that no sample of a SoundFont's begins with a click, too short to be heard.
ATTACK_SECONDS = 0.002
INSTALL = (
    "'apt install libfluidsynth3' on Debian, 'brew install fluid-synth' on macOS, 'choco install fluidsynth' on Windows"
)


def synthesizer_module() -> ModuleType:
    """The module `fluidsynth` of pyfluidsynth.

    Raises:
        MissingPackageError: it or FluidSynth's library is not installed.
    """
    try:
        return import_silently("fluidsynth")
    except (ImportError, OSError) as error:
        # A library that is listed but not there fails as it is opened.
        is_library = isinstance(error, OSError) or "library" in str(error).lower()
        missing = "FluidSynth's library is" if is_library else "pyfluidsynth is"
        raise MissingPackageError(
            f"{missing} not installed; run: pip install 'kerasmusic[audio]', and {INSTALL}"
        ) from None


def soundfont_path(soundfont: str | os.PathLike[str] | None = None) -> str:
    """The path of a SoundFont, by default of the small one that pretty_midi brings.

    Raises:
        ArgumentError: there is no such file, or it is no SoundFont.
        MissingPackageError: none is named, and pretty_midi is not installed.
    """
    if soundfont is None:
        try:
            return str(resources.files(import_silently("pretty_midi")).joinpath("TimGM6mb.sf2"))
        except ImportError:
            raise MissingPackageError(
                "the SoundFont that pretty_midi brings is not there; run: pip install 'kerasmusic[audio]', or name an "
                ".sf2 file"
            ) from None
    path = os.fspath(soundfont)
    try:
        with Path(path).open("rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        raise ArgumentError(f"{path}: no such SoundFont; name an .sf2 file") from None
    except OSError as error:
        raise ArgumentError(f"{path}: cannot be read ({error.strerror})") from None
    # FluidSynth would play silence.
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise ArgumentError(f"{path}: not a SoundFont; name an .sf2 file")
    return path


def synthesize(notes: Notes, *, soundfont: str | os.PathLike[str] | None = None) -> NDArray[np.float32]:
    """The sound of notes, mono float32 `[samples]` at 44.1 kHz, at most `PEAK` loud, faded in and out.

    Args:
        notes: what to play.
        soundfont: an `.sf2` file; by default the small one that pretty_midi brings.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        ArgumentError: there is no such SoundFont, or it is none.
    """
    path = soundfont_path(soundfont)
    piece = notes.restruck()
    gain, stereo = GAIN, _render(piece, path, GAIN)
    while np.abs(stereo).max(initial=0.0) >= CLIPPED:
        gain /= 4
        stereo = _render(piece, path, gain)
    loudest = float(np.abs(stereo).max(initial=0.0))
    if 0 < loudest < FAINT:
        # FluidSynth's sixteen bits would be few bits of sound once it is raised.
        stereo = _render(piece, path, min(gain * PEAK / loudest, LARGEST_GAIN))
    sound = stereo.mean(axis=1)
    loudest = float(np.abs(sound).max(initial=0.0))
    if loudest:
        sound *= PEAK / loudest
    attack, fade = (min(len(sound), round(seconds * SAMPLE_RATE)) for seconds in (ATTACK_SECONDS, FADE_SECONDS))
    sound[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)
    sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


def _render(notes: Notes, soundfont: str, gain: float) -> NDArray[np.float32]:
    """What FluidSynth makes of notes at a gain: float32 `[samples, 2]`, left and right, of full scale 1."""
    from tqdm import tqdm

    synth = synthesizer_module().Synth(gain=gain, samplerate=float(SAMPLE_RATE))
    try:
        synth.program_select(0, synth.sfload(soundfont), 0, 0)
        # Releases before strikes, for a key that is struck again at once.
        events = [(round(note.start * SAMPLE_RATE), note.velocity, note.pitch) for note in notes]
        events += [(round((note.start + max(note.duration, 0.001)) * SAMPLE_RATE), 0, note.pitch) for note in notes]
        parts, at = [], 0
        for sample, velocity, pitch in tqdm(sorted(events), desc="rendering", leave=False, disable=None):
            if sample > at:
                parts.append(synth.get_samples(sample - at))
                at = sample
            if velocity:
                synth.noteon(0, pitch, velocity)
            else:
                synth.noteoff(0, pitch)
        parts.append(synth.get_samples(round(TAIL_SECONDS * SAMPLE_RATE)))
    finally:
        synth.delete()
    return np.concatenate(parts).reshape(-1, 2).astype(np.float32) / np.float32(32768)


def write_wav(notes: Notes, path: str | os.PathLike[str], *, soundfont: str | os.PathLike[str] | None = None) -> float:
    """Writes the sound of notes as a 16-bit WAV file, and returns how many seconds it lasts; see `synthesize`."""
    samples = np.rint(synthesize(notes, soundfont=soundfont) * 32767).astype("<i2")
    with written_beside(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return len(samples) / SAMPLE_RATE


def notebook_player(notes: Notes, *, soundfont: str | os.PathLike[str] | None = None) -> IPython.display.Audio:
    """A player of notes for a notebook; see `synthesize`.

    Raises:
        MissingPackageError: IPython, pyfluidsynth or FluidSynth's library is not installed.
    """
    try:
        from IPython.display import Audio
    except ImportError:
        raise MissingPackageError("a player in a notebook needs IPython; run: pip install ipython") from None
    # The level is right as it is: by default it would be raised to what clips.
    return Audio(synthesize(notes, soundfont=soundfont), rate=SAMPLE_RATE, normalize=False)
