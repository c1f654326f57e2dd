"""Makes the piano samples of the web page from recordings of a grand piano: `python -m kerasmusic.export.web_samples`.

The recordings are Alexander Holm's Salamander Grand Piano (CC BY 3.0), from npm packages that hold one of its sixteen
velocity layers each. Three layers make three MP3 files, since every browser decodes MP3. A file holds a clip of every
sixth key. The clips of a key have the same place in each file, and are equally loud but for their overtones; the page
sets the loudness.

Decoders disagree on the silence that an MP3 encoder adds at the start. Each file therefore begins with a pulse at a
known time, from which the page takes the delay.

It needs npm, and FFmpeg with LAME.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kerasmusic.errors import KerasMusicError, MissingPackageError
from kerasmusic.export.web_page import SOURCES
from kerasmusic.pitch_names import pitch_name

Samples = npt.NDArray[np.float64]

FOLDER = SOURCES / "samples"
PACKAGE = "@audio-samples/piano-velocity{layer}@1.0.5"
# The number of a recorded layer, and the velocity at which it was meant to be played.
LAYERS = {"soft": (3, 36), "medium": (8, 60), "loud": (14, 108)}
# Every C and F sharp of the piano.
PITCHES = range(24, 109, 6)
RATE = 48_000
# LAME's variable bitrate, from 0 (best) to 9.
QUALITY = "4"
PULSE_SECONDS = 0.1
FIRST_SECONDS = 0.3
GAP_SECONDS = 0.06
# A clip begins this long before its onset, which is where it first reaches this share of its early peak.
LEAD_SECONDS = 0.002
ONSET_SHARE = 0.1
EARLY_SECONDS = 0.1
# The loudness of a clip is that of its beginning.
LOUDNESS_SECONDS = 0.5
# The share of a clip in which it fades out, since the strings sound longer.
FADE_SHARE = 0.4
PEAK = 0.9
LOWEST_HERTZ = 500.0
# Pianos are tuned wider than equal temperament, and this one's highest key by a semitone: the most cents that are kept.
MOST_STRETCH = 15.0


def clip_seconds(pitch: int) -> float:
    """The length of a key's clip: lower strings sound longer.

    >>> clip_seconds(60), clip_seconds(24)
    (6.5, 8.5)
    """
    return round(min(8.5, 6.5 * 2 ** ((60 - pitch) / 26)), 2)


def make_samples(folder: Path) -> int:
    """Writes the files of all layers and their index.

    Returns:
        The size of the files in bytes.

    Raises:
        MissingPackageError: npm or FFmpeg is not installed.
        KerasMusicError: npm could not fetch a package, or FFmpeg failed.
    """
    for tool in ("npm", "ffmpeg"):
        if shutil.which(tool) is None:
            raise MissingPackageError(f"{tool} is not installed; run: apt install npm ffmpeg")
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as temporary:
        clips = {name: _read_layer(layer, Path(temporary)) for name, (layer, _) in LAYERS.items()}
    levels = _smooth_levels(clips["medium"])
    for pitch, clip in clips["medium"].items():
        clip *= 10 ** ((levels[pitch] - loudness(clip)) / 20)
        for layer in clips.values():
            layer[pitch] *= 10 ** ((bands(clip, pitch)[0] - bands(layer[pitch], pitch)[0]) / 20)
    peak = max(np.abs(clip).max() for layer in clips.values() for clip in layer.values())
    folder.mkdir(parents=True, exist_ok=True)
    for name, layer in clips.items():
        _encode(_joined([clip * PEAK / peak for clip in layer.values()]), folder / f"{name}.mp3")
    (folder / "index.json").write_text(json.dumps(_index(clips), indent=1) + "\n")
    return sum(path.stat().st_size for path in folder.iterdir())


def loudness(clip: Samples) -> float:
    """The level of a clip's beginning in decibels of full scale."""
    return float(10 * np.log10(np.mean(clip[: round(LOUDNESS_SECONDS * RATE)] ** 2)))


def overtones_from(pitch: int) -> int:
    """The frequency in hertz above which the page's filter makes a strike brighter or duller."""
    return round(min(12_000, 400 + 2 * 440 * 2 ** ((pitch - 69) / 12)))


def bands(clip: Samples, pitch: int) -> tuple[float, float]:
    """The levels of a clip's first second below and above that frequency, in decibels."""
    first = clip[:RATE]
    power = (np.abs(np.fft.rfft(first, axis=0)) ** 2).sum(axis=1)
    low = np.fft.rfftfreq(len(first), 1 / RATE) < overtones_from(pitch)
    below, above = (float(10 * np.log10(power[band].sum())) for band in (low, ~low))
    return below, above


def _sounding_pitch(clip: Samples, pitch: int) -> float:
    """The MIDI pitch of the strongest of the first partials, less the stretch that is kept."""
    length = 8 * RATE
    magnitudes = np.abs(np.fft.rfft(clip[:RATE].sum(axis=1) * np.hanning(min(RATE, len(clip))), length))
    found = []
    for partial in range(1, 5):
        hertz = partial * 440 * 2 ** ((pitch - 69) / 12)
        low, high = (round(hertz * 2 ** (semitones / 12) * length / RATE) for semitones in (-1.5, 1.5))
        place = low + int(np.argmax(magnitudes[low:high]))
        found.append((magnitudes[place], 1200 * np.log2(place * RATE / length / hertz)))
    cents = float(max(found)[1])
    return round(pitch + (cents - max(-MOST_STRETCH, min(MOST_STRETCH, cents))) / 100, 3)


def _index(recorded: dict[str, dict[int, Samples]]) -> dict[str, object]:
    """The description of the files and the clips, for the page.

    Times are in seconds from the start of a file, frequencies in hertz, and the level of the overtones above that
    frequency, in each layer, in decibels relative to what is below it.
    """
    clips, start = [], FIRST_SECONDS
    for pitch in PITCHES:
        levels = [bands(layer[pitch], pitch) for layer in recorded.values()]
        clips.append(
            {
                "pitch": _sounding_pitch(recorded["medium"][pitch], pitch),
                "start": round(start, 2),
                "seconds": clip_seconds(pitch),
                "hertz": overtones_from(pitch),
                "overtones": [round(above - below, 1) for below, above in levels],
            }
        )
        start += clip_seconds(pitch) + GAP_SECONDS
    layers = [{"file": f"{name}.mp3", "velocity": velocity} for name, (_, velocity) in LAYERS.items()]
    return {"pulse": PULSE_SECONDS, "layers": layers, "clips": clips}


def _joined(clips: list[Samples]) -> Samples:
    """The pulse and the clips, one after another."""
    start = np.zeros((round(FIRST_SECONDS * RATE), 2))
    start[round(PULSE_SECONDS * RATE)] = PEAK
    gap = np.zeros((round(GAP_SECONDS * RATE), 2))
    return np.concatenate([start, *(part for clip in clips for part in (clip, gap))])


def _read_layer(layer: int, temporary: Path) -> dict[int, Samples]:
    """The trimmed clips of one recorded layer, by pitch."""
    package = PACKAGE.format(layer=layer)
    done = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=temporary, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise KerasMusicError(f"npm could not fetch {package}; is there a network?")
    found = {}
    with tarfile.open(temporary / done.stdout.split()[-1]) as archive:
        for pitch in PITCHES:
            member = archive.extractfile(f"package/audio/{pitch_name(pitch)}v{layer}.ogg")
            assert member is not None
            found[pitch] = _trimmed(_decode(member.read()), pitch)
    return found


def _decode(data: bytes) -> Samples:
    """The samples of a sound file, of the shape (samples, 2)."""
    command = ["ffmpeg", "-v", "error", "-i", "-", "-f", "f32le", "-ac", "2", "-ar", str(RATE), "-"]
    decoded = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.float32).reshape(-1, 2).astype(np.float64)


def _trimmed(recording: Samples, pitch: int) -> Samples:
    """A clip from the onset to a fade-out, without the rumble below its pitch."""
    spectrum = np.fft.rfft(recording, axis=0)
    hertz = np.fft.rfftfreq(len(recording), 1 / RATE)[:, None]
    # Like a Butterworth filter of the fourth order.
    cutoff = min(LOWEST_HERTZ, 440 * 2 ** ((pitch - 69) / 12) / 4)
    recording = np.fft.irfft(spectrum / np.sqrt(1 + (cutoff / np.maximum(hertz, 1e-3)) ** 8), len(recording), axis=0)
    heights = np.abs(recording).max(axis=1)
    first = int(np.argmax(heights > 0.05 * heights.max()))
    early = heights[first : first + round(EARLY_SECONDS * RATE)].max()
    onset = int(np.argmax(heights > ONSET_SHARE * early))
    lead = round(LEAD_SECONDS * RATE)
    length = round(clip_seconds(pitch) * RATE)
    clip = np.zeros((length, 2))
    found = recording[max(0, onset - lead) :][:length]
    clip[: len(found)] = found
    clip[:lead] *= np.sin(np.linspace(0, np.pi / 2, lead))[:, None] ** 2
    fade = round(FADE_SHARE * length)
    clip[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade))[:, None] ** 2
    return clip


def _smooth_levels(clips: dict[int, Samples]) -> dict[int, float]:
    """A level for each pitch that follows the recorded ones without their unevenness, in decibels."""
    pitches = np.array(list(clips))
    fitted = np.polynomial.Polynomial.fit(pitches, [loudness(clip) for clip in clips.values()], 2)
    return dict(zip(clips, fitted(pitches).tolist(), strict=True))


def _encode(samples: Samples, path: Path) -> None:
    command = ["ffmpeg", "-v", "error", "-y", "-f", "f32le", "-ac", "2", "-ar", str(RATE), "-i", "-"]
    command += ["-codec:a", "libmp3lame", "-q:a", QUALITY, "-map_metadata", "-1", "-fflags", "+bitexact", str(path)]
    done = subprocess.run(command, input=samples.astype("<f4").tobytes(), capture_output=True, check=False)
    if done.returncode:
        raise KerasMusicError(f"FFmpeg could not write {path}: {done.stderr.decode().strip()}")


def main() -> None:
    """Makes the samples, and prints their size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write them (default: the page's sources)")
    folder = parser.parse_args().folder
    print(f"{folder}: {make_samples(folder):,} bytes")


if __name__ == "__main__":
    main()
