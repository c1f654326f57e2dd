"""The two libraries that parse MIDI files, each reduced to the same plain columns.

symusic parses a MAESTRO file some hundred times faster; pretty_midi is pure Python and runs everywhere. What the notes
mean (which instruments count, what the pedal does) is decided once, in `kerasmusic.midi`, for both.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kerasmusic.imports import import_silently

if TYPE_CHECKING:
    import pretty_midi

SUSTAIN_CONTROLLER = 64


@dataclass(frozen=True)
class Instrument:
    """One instrument of a MIDI file: its note columns and its sustain controller, all times in seconds."""

    name: str
    program: int
    is_drum: bool
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    pitch: NDArray[np.int32]
    velocity: NDArray[np.int32]
    sustain_time: NDArray[np.float64]
    sustain_value: NDArray[np.int32]


def instruments_by_symusic(data: bytes) -> list[Instrument]:
    """Parses a MIDI file with symusic, in ticks, and converts them to seconds in double precision."""
    import symusic

    score: Any = symusic.Score.from_midi(data)
    if score.ticks_per_quarter <= 0:
        raise ValueError(f"{score.ticks_per_quarter} ticks a quarter note")
    tempos = score.tempos.numpy()
    tempo_tick = np.concatenate([[0], np.asarray(tempos["time"], np.int64)])
    tempo_seconds = np.concatenate([[500_000], np.asarray(tempos["mspq"], np.int64)]) / 1e6 / score.ticks_per_quarter
    order = np.argsort(tempo_tick, kind="stable")
    tempo_tick, tempo_seconds = tempo_tick[order], tempo_seconds[order]
    tempo_start = np.concatenate([[0.0], np.cumsum(np.diff(tempo_tick) * tempo_seconds[:-1])])

    def seconds(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        segment = np.searchsorted(tempo_tick, ticks, side="right") - 1
        return tempo_start[segment] + (ticks - tempo_tick[segment]) * tempo_seconds[segment]

    instruments = []
    for track in score.tracks:
        notes, controls = track.notes.numpy(), track.controls.numpy()
        onset = notes["time"].astype(np.int64)
        sustain = controls["number"] == SUSTAIN_CONTROLLER
        instruments.append(
            Instrument(
                name=track.name,
                program=track.program,
                is_drum=track.is_drum,
                start=seconds(onset),
                end=seconds(onset + notes["duration"]),
                pitch=notes["pitch"].astype(np.int32),
                velocity=notes["velocity"].astype(np.int32),
                sustain_time=seconds(controls["time"][sustain].astype(np.int64)),
                sustain_value=controls["value"][sustain].astype(np.int32),
            )
        )
    return instruments


def instruments_of_pretty_midi(midi: pretty_midi.PrettyMIDI) -> list[Instrument]:
    """The instruments of a `PrettyMIDI` object."""
    instruments = []
    for instrument in midi.instruments:
        notes = instrument.notes
        sustain = [change for change in instrument.control_changes if change.number == SUSTAIN_CONTROLLER]
        instruments.append(
            Instrument(
                name=instrument.name,
                program=int(instrument.program),
                is_drum=instrument.is_drum,
                start=np.array([note.start for note in notes], np.float64),
                end=np.array([note.end for note in notes], np.float64),
                pitch=np.array([note.pitch for note in notes], np.int32),
                velocity=np.array([note.velocity for note in notes], np.int32),
                sustain_time=np.array([change.time for change in sustain], np.float64),
                sustain_value=np.array([change.value for change in sustain], np.int32),
            )
        )
    return instruments


def instruments_by_pretty_midi(data: bytes) -> list[Instrument]:
    """Parses a MIDI file with pretty_midi."""
    pretty_midi = import_silently("pretty_midi")
    with warnings.catch_warnings():
        # It warns of tempo changes outside the first track, and honours them as far as it can.
        warnings.simplefilter("ignore", RuntimeWarning)
        return instruments_of_pretty_midi(pretty_midi.PrettyMIDI(io.BytesIO(data)))


READERS = {"symusic": instruments_by_symusic, "pretty_midi": instruments_by_pretty_midi}


def default_reader() -> str:
    """The name of the fastest reader that is installed."""
    return "symusic" if importlib.util.find_spec("symusic") else "pretty_midi"
