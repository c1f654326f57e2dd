"""Controls: what a person changes while a model plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kerasmusic.codec import FIELDS
from kerasmusic.edge.generator import DENSITY, Generator

WARMEST = 3.0
DENSEST = 3.0
KEYS = tuple(f"{tonic} {mode}" for tonic in ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
             for mode in ("major", "minor"))  # fmt: skip


@dataclass
class Controls:
    """What a person changes while the model plays.

    Args:
        temperature: one number for all fields, or by field.
        density: see `kerasmusic.edge.controls.bias_of`.
        key: such as "C major", or None for any.
        pitch_range: such as "C2-C6", or None for any.
    """

    temperature: float | Mapping[str, float] = 1.0
    density: float = DENSITY
    key: str | None = None
    pitch_range: str | None = None

    def warm(self, by: float) -> None:
        """Raises the temperature of every field, or lowers it, to 0 at least.

        >>> controls = Controls({"pitch": 0.9})
        >>> controls.warm(0.05)
        >>> controls.temperature
        {'step': 1.05, 'pitch': 0.95, 'duration': 1.05, 'velocity': 1.05}
        """
        if isinstance(self.temperature, Mapping):
            self.temperature = {name: _moved(self.temperature.get(name, 1.0), by, 0.0, WARMEST) for name in FIELDS}
        else:
            self.temperature = _moved(self.temperature, by, 0.0, WARMEST)

    def thicken(self, by: float) -> None:
        """Makes notes come closer together, or further apart."""
        self.density = _moved(self.density, by, -DENSEST, DENSEST)

    def turn_key(self, by: int) -> None:
        """Goes on to the next of `KEYS`, or back; before the first there is any key.

        >>> controls = Controls()
        >>> controls.turn_key(1)
        >>> controls.key
        'C major'
        """
        keys = (None, *KEYS)
        at = keys.index(self.key) if self.key in keys else 0
        self.key = keys[(at + by) % len(keys)]

    def apply(self, generator: Generator) -> None:
        """Lets a generator play by them from its next note on."""
        generator.change(temperature=self.temperature, density=self.density, key=self.key, pitch_range=self.pitch_range)


def _moved(value: float, by: float, low: float, high: float) -> float:
    return round(min(max(value + by, low), high), 6)
