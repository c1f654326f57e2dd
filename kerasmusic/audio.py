"""Sound: notes played by FluidSynth, for those who have its library and `kerasmusic[audio]`.

Its level is known only once all of it was made. So it is first recorded into a temporary file, and then read again
piece by piece at the level that is right: a performance of any length takes the same memory.
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
# A little below full scale, so that no player's resampling clips it.
PEAK = 0.8
FADE_SECONDS = 0.5
# After the last release, while the strings ring out.
TAIL_SECONDS = 1.5
# FluidSynth's own is 0.2. Of piano music, at this little clips and nothing is faint; what is so is made again.
GAIN = 0.8
MAX_GAIN = 10.0
FULL_SCALE = 32768
CLIPPED = 0.99 * FULL_SCALE
FAINT = 0.1 * FULL_SCALE
# Long enough that no sample of a SoundFont's begins with a click, too short to be heard.
ATTACK_SECONDS = 0.002
# Samples, and notes, that are in memory at one time.
PIECE_SAMPLES = 65_536
PIECE_NOTES = 4_096
# Of what FluidSynth makes: 16 bits left and right.
BYTES_PER_SAMPLE = 4
# A WAV file counts its bytes in 32 bits, of which 36 bytes go to its header and two to each sample.
LONGEST_WAV_SECONDS = (2**32 - 1 - 36) // 2 / SAMPLE_RATE - TAIL_SECONDS
INSTALL = (
    "'apt install libfluidsynth3' on Debian, 'brew install fluid-synth' on macOS, 'choco install fluidsynth' on Windows"
)


def import_fluidsynth() -> ModuleType:
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


def check_installed(soundfont: str | os.PathLike[str] | None = None) -> None:
    """Raises what `synthesize` would, before there are notes to play.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        ArgumentError: there is no such SoundFont, or it is none.
    """
    soundfont_path(soundfont)
    import_fluidsynth()


def synthesize(notes: Notes, *, soundfont: str | os.PathLike[str] | None = None) -> NDArray[np.float32]:
    """The sound of notes, mono float32 `[samples]` at 44.1 kHz, at most `PEAK` loud, faded in and out.

    Args:
        notes: what to play.
        soundfont: an `.sf2` file; by default the small one that pretty_midi brings.

    Raises:
        MissingPackageError: pyfluidsynth or FluidSynth's library is not installed.
        ArgumentError: there is no such SoundFont, or it is none.
    """
    return np.concatenate(list(_sound(notes, soundfont, io.BytesIO())))


def write_wav(notes: Notes, path: str | os.PathLike[str], *, soundfont: str | os.PathLike[str] | None = None) -> float:
    """Writes the sound of notes as a 16-bit WAV file, and returns how many seconds it lasts; see `synthesize`.

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
        for piece in _sound(notes, soundfont, recording):
            file.writeframesraw(np.rint(piece * (FULL_SCALE - 1)).astype("<i2").tobytes())
            samples += len(piece)
    return samples / SAMPLE_RATE


def _sound(
    notes: Notes, soundfont: str | os.PathLike[str] | None, recording: IO[bytes]
) -> Iterator[NDArray[np.float32]]:
    """The sound of notes as `synthesize` has it, in pieces; `recording` is an empty file to keep it in meanwhile."""
    path, notes = soundfont_path(soundfont), notes.without_overlaps()
    gain = GAIN
    loudest, level = _record(notes, path, gain, recording)
    while loudest >= CLIPPED:
        gain /= 4
        loudest, level = _record(notes, path, gain, recording)
    if 0 < loudest < FAINT:
        # FluidSynth's sixteen bits would be few bits of sound once it is raised.
        _, level = _record(notes, path, min(gain * PEAK * FULL_SCALE / loudest, MAX_GAIN), recording)
    samples = recording.seek(0, os.SEEK_END) // BYTES_PER_SAMPLE
    recording.seek(0)
    # FluidSynth's silence is a noise of one bit.
    scale = PEAK / max(level, 1) if len(notes) else 0.0
    attack, fade = (round(seconds * SAMPLE_RATE) - 1 for seconds in (ATTACK_SECONDS, FADE_SECONDS))
    for begin in range(0, samples, PIECE_SAMPLES):
        piece = _both(np.frombuffer(recording.read(BYTES_PER_SAMPLE * PIECE_SAMPLES), np.int16))
        at = np.arange(begin, begin + len(piece))
        envelope = np.minimum(at / attack, (samples - 1 - at) / fade).clip(max=1)
        yield (piece * (scale * envelope)).astype(np.float32)


def _record(notes: Notes, soundfont: str, gain: float, recording: IO[bytes]) -> tuple[int, int]:
    """Records what FluidSynth makes of notes, and stops where it clips.

    Returns:
        The largest sample of either channel, and the largest sum of both.
    """
    recording.seek(0)
    recording.truncate()
    loudest = level = 0
    for piece in _play(notes, soundfont, gain):
        loudest = max(loudest, _largest(piece))
        if loudest >= CLIPPED:
            break
        level = max(level, _largest(_both(piece)))
        recording.write(piece.tobytes())
    return loudest, level


def _both(piece: NDArray[np.int16]) -> NDArray[np.int32]:
    """The sum of left and right."""
    return piece[0::2].astype(np.int32) + piece[1::2]


def _largest(samples: NDArray[np.signedinteger]) -> int:
    # In int16, the absolute value of the least number is itself.
    return max(int(samples.max()), -int(samples.min()))


def _play(notes: Notes, soundfont: str, gain: float) -> Iterator[NDArray[np.int16]]:
    """Renders notes by FluidSynth at a gain, in pieces of int16, left and right by turns."""
    synth = import_fluidsynth().Synth(gain=gain, samplerate=float(SAMPLE_RATE))
    try:
        synth.program_select(0, synth.sfload(soundfont), 0, 0)
        at = 0
        with progress("rendering", " notes", len(notes)) as bar:
            for sample, velocity, pitch in _events(notes):
                yield from map(synth.get_samples, _parts(sample - at))
                at = sample
                if velocity:
                    synth.noteon(0, pitch, velocity)
                    bar.update()
                else:
                    synth.noteoff(0, pitch)
            yield from map(synth.get_samples, _parts(round(TAIL_SECONDS * SAMPLE_RATE)))
    finally:
        synth.delete()


def _parts(samples: int) -> Iterator[int]:
    while samples > 0:
        yield min(samples, PIECE_SAMPLES)
        samples -= PIECE_SAMPLES


def _events(notes: Notes) -> Iterator[tuple[int, int, int]]:
    """The sample, the velocity and the pitch of each strike in turn, and of each release, whose velocity is 0."""
    releases: list[tuple[int, int, int]] = []
    for begin in range(0, len(notes), PIECE_NOTES):
        for note in notes[begin : begin + PIECE_NOTES]:
            sample = round(note.start * SAMPLE_RATE)
            # Releases before strikes, for a key that is struck again at once.
            while releases and releases[0][0] <= sample:
                yield heapq.heappop(releases)
            yield sample, note.velocity, note.pitch
            end = note.start + max(note.duration, SHORTEST_SECONDS)
            heapq.heappush(releases, (round(end * SAMPLE_RATE), 0, note.pitch))
    yield from sorted(releases)


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
