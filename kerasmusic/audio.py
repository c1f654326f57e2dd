"""Renders notes as sound with FluidSynth; needs its library and `kerasmusic[audio]`.

The peak level is known only after everything has been rendered. So the sound is first recorded into a temporary file,
then read again block by block and normalised. Memory use does not depend on the length of the performance.
"""

from __future__ import annotations

import heapq
import io
import os
import tempfile
import wave
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, MissingPackageError
from kerasmusic.files import atomic_write
from kerasmusic.notes import SHORTEST_SECONDS, Notes
from kerasmusic.progress import progress
from kerasmusic.quiet import import_silently

if TYPE_CHECKING:
    import IPython.display

SAMPLE_RATE = 44_100
# Below full scale, so that resampling in a player does not clip.
PEAK = 0.8
FADE_SECONDS = 0.5
# Rendered after the last release, while the strings ring out.
TAIL_SECONDS = 1.5
# FluidSynth's default is 0.2. At this gain piano music seldom clips and is never faint; if it is, it is rendered again.
GAIN = 0.8
MAX_GAIN = 10.0
FULL_SCALE = 32768
CLIPPED = 0.99 * FULL_SCALE
FAINT = 0.1 * FULL_SCALE
# Long enough to hide a click at the beginning of a SoundFont's sample, too short to be audible.
ATTACK_SECONDS = 0.002
# Samples and notes that are in memory at one time.
BLOCK_SAMPLES = 65_536
BLOCK_NOTES = 4_096
# FluidSynth renders 16 bits for each of left and right.
BYTES_PER_SAMPLE = 4
# A WAV file's size is a 32-bit number and counts 36 bytes of its header and two bytes per sample.
LONGEST_WAV_SECONDS = (2**32 - 1 - 36) // 2 / SAMPLE_RATE - TAIL_SECONDS
INSTALL = (
    "'apt install libfluidsynth3' on Debian, 'brew install fluid-synth' on macOS, 'choco install fluidsynth' on Windows"
)


def import_fluidsynth() -> ModuleType:
    """Imports pyfluidsynth's module `fluidsynth`.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
    """
    try:
        return import_silently("fluidsynth")
    except (ImportError, OSError) as error:
        # A library that the system lists but does not have fails when it is opened, with an OSError.
        is_library = isinstance(error, OSError) or "library" in str(error).lower()
        missing = "FluidSynth's library is" if is_library else "pyfluidsynth is"
        raise MissingPackageError(
            f"{missing} not installed; run: pip install 'kerasmusic[audio]', and {INSTALL}"
        ) from None


def soundfont_path(soundfont: str | os.PathLike[str] | None = None) -> str:
    """The path of a SoundFont, by default of the small one that comes with pretty_midi.

    Raises:
        ArgumentError: the file does not exist or is not a SoundFont.
        MissingPackageError: no file is named, and pretty_midi is not installed.
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
    # FluidSynth would not complain, but play silence.
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise ArgumentError(f"{path}: not a SoundFont; name an .sf2 file")
    return path


def check_installed(soundfont: str | os.PathLike[str] | None = None) -> None:
    """Checks that `synthesize` can run, before there are notes to play.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        ArgumentError: the SoundFont does not exist or is not one.
    """
    soundfont_path(soundfont)
    import_fluidsynth()


def synthesize(notes: Notes, *, soundfont: str | os.PathLike[str] | None = None) -> NDArray[np.float32]:
    """Renders notes as mono sound, float32 `[samples]` at 44.1 kHz with peak `PEAK`, faded in and out.

    Args:
        notes: the performance.
        soundfont: an `.sf2` file; by default the small one that comes with pretty_midi.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        ArgumentError: the SoundFont does not exist or is not one.
    """
    return np.concatenate(list(_sound(notes, soundfont, io.BytesIO())))


def write_wav(notes: Notes, path: str | os.PathLike[str], *, soundfont: str | os.PathLike[str] | None = None) -> float:
    """Renders notes to a 16-bit mono WAV file, and returns its length in seconds; see `synthesize`.

    Raises:
        ArgumentError: the notes last longer than a WAV file can.
    """
    if notes.seconds > LONGEST_WAV_SECONDS:
        raise ArgumentError(
            f"{path}: {notes.seconds / 3600:.1f} hours are more than a WAV file holds, which is "
            f"{LONGEST_WAV_SECONDS / 3600:.1f}; render the music in parts"
        )
    check_installed(soundfont)
    samples = 0
    with (
        atomic_write(path) as temporary,
        tempfile.TemporaryFile(dir=temporary.parent) as recording,
        wave.open(str(temporary), "wb") as file,
    ):
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for block in _sound(notes, soundfont, recording):
            file.writeframesraw(np.rint(block * (FULL_SCALE - 1)).astype("<i2").tobytes())
            samples += len(block)
    return samples / SAMPLE_RATE


def _sound(
    notes: Notes, soundfont: str | os.PathLike[str] | None, recording: IO[bytes]
) -> Iterator[NDArray[np.float32]]:
    """Yields the sound of `synthesize` in blocks; `recording` is an empty file for intermediate results."""
    path, notes = soundfont_path(soundfont), notes.without_overlaps()
    gain = GAIN
    loudest, level = _record(notes, path, gain, recording)
    while loudest >= CLIPPED:
        gain /= 4
        loudest, level = _record(notes, path, gain, recording)
    if 0 < loudest < FAINT:
        # Rendered again at a higher gain: amplifying 16-bit samples would leave few significant bits.
        _, level = _record(notes, path, min(gain * PEAK * FULL_SCALE / loudest, MAX_GAIN), recording)
    samples = recording.seek(0, os.SEEK_END) // BYTES_PER_SAMPLE
    recording.seek(0)
    # FluidSynth renders silence as noise of one bit.
    scale = PEAK / max(level, 1) if len(notes) else 0.0
    attack, fade = (round(seconds * SAMPLE_RATE) - 1 for seconds in (ATTACK_SECONDS, FADE_SECONDS))
    for begin in range(0, samples, BLOCK_SAMPLES):
        block = _sum_channels(np.frombuffer(recording.read(BYTES_PER_SAMPLE * BLOCK_SAMPLES), np.int16))
        at = np.arange(begin, begin + len(block))
        envelope = np.minimum(at / attack, (samples - 1 - at) / fade).clip(max=1)
        yield (block * (scale * envelope)).astype(np.float32)


def _record(notes: Notes, soundfont: str, gain: float, recording: IO[bytes]) -> tuple[int, int]:
    """Renders notes into a file, and stops where the sound clips.

    Returns:
        The peak of either channel, and the peak of their sum.
    """
    recording.seek(0)
    recording.truncate()
    loudest = level = 0
    for block in _play(notes, soundfont, gain):
        loudest = max(loudest, _peak(block))
        if loudest >= CLIPPED:
            break
        level = max(level, _peak(_sum_channels(block)))
        recording.write(block.tobytes())
    return loudest, level


def _sum_channels(block: NDArray[np.int16]) -> NDArray[np.int32]:
    """The sum of the left and the right channel."""
    return block[0::2].astype(np.int32) + block[1::2]


def _peak(samples: NDArray[np.signedinteger]) -> int:
    # Not np.abs: in int16 the absolute value of -32768 overflows.
    return max(int(samples.max()), -int(samples.min()))


def _play(notes: Notes, soundfont: str, gain: float) -> Iterator[NDArray[np.int16]]:
    """Renders notes with FluidSynth; yields blocks of int16, left and right interleaved."""
    synth = import_fluidsynth().Synth(gain=gain, samplerate=float(SAMPLE_RATE))
    try:
        synth.program_select(0, synth.sfload(soundfont), 0, 0)
        at = 0
        with progress("rendering", " notes", len(notes)) as bar:
            for sample, velocity, pitch in _events(notes):
                yield from map(synth.get_samples, _block_sizes(sample - at))
                at = sample
                if velocity:
                    synth.noteon(0, pitch, velocity)
                    bar.update()
                else:
                    synth.noteoff(0, pitch)
            yield from map(synth.get_samples, _block_sizes(round(TAIL_SECONDS * SAMPLE_RATE)))
    finally:
        synth.delete()


def _block_sizes(samples: int) -> Iterator[int]:
    while samples > 0:
        yield min(samples, BLOCK_SAMPLES)
        samples -= BLOCK_SAMPLES


def _events(notes: Notes) -> Iterator[tuple[int, int, int]]:
    """Yields sample, velocity and pitch of each strike and release in order of time; a release has velocity 0."""
    releases: list[tuple[int, int, int]] = []
    for begin in range(0, len(notes), BLOCK_NOTES):
        for note in notes[begin : begin + BLOCK_NOTES]:
            sample = round(note.start * SAMPLE_RATE)
            # Releases come before strikes, for a key that is struck again at its release.
            while releases and releases[0][0] <= sample:
                yield heapq.heappop(releases)
            yield sample, note.velocity, note.pitch
            end = note.start + max(note.duration, SHORTEST_SECONDS)
            heapq.heappush(releases, (round(end * SAMPLE_RATE), 0, note.pitch))
    yield from sorted(releases)


def notebook_player(notes: Notes, *, soundfont: str | os.PathLike[str] | None = None) -> IPython.display.Audio:
    """An audio player for a notebook; see `synthesize`.

    Raises:
        MissingPackageError: IPython, pyfluidsynth or FluidSynth's library is not installed.
    """
    try:
        from IPython.display import Audio
    except ImportError:
        raise MissingPackageError("a player in a notebook needs IPython; run: pip install ipython") from None
    # Already normalised; IPython would raise it to full scale.
    return Audio(synthesize(notes, soundfont=soundfont), rate=SAMPLE_RATE, normalize=False)
