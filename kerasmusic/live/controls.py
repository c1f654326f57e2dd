"""The changes to a `Sampling` that a user makes with keys while a model plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kerasmusic.codec import FIELDS
from kerasmusic.edge import balance
from kerasmusic.edge.sampling import Sampling

HIGHEST_TEMPERATURE = 3.0
KEYS = tuple(f"{tonic} {mode}" for tonic in ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
             for mode in ("major", "minor"))  # fmt: skip


def warmer(sampling: Sampling, by: float) -> Sampling:
    """Raises the temperature of every field by `by`, or lowers it if `by` is negative, within 0 to 3.

    >>> warmer(Sampling(temperature={"pitch": 0.9}), 0.05).temperature
    {'step': 1.05, 'pitch': 0.95, 'duration': 1.05, 'velocity': 1.05}
    """
    if isinstance(sampling.temperature, Mapping):
        by_field = dict(zip(FIELDS, sampling.temperatures(), strict=True))
        return replace(
            sampling, temperature={name: _moved(each, by, 0.0, HIGHEST_TEMPERATURE) for name, each in by_field.items()}
        )
    return replace(sampling, temperature=_moved(sampling.temperature, by, 0.0, HIGHEST_TEMPERATURE))


def faster(sampling: Sampling, times: float) -> Sampling:
    """Multiplies the speed within its limits; where it has no number, that of 9 notes per second.

    >>> faster(Sampling(speed=None), 2).speed
    18.0
    """
    speed = sampling.speed if isinstance(sampling.speed, float | int) else balance.SPEED
    return replace(sampling, speed=_times(speed, times, balance.SPEEDS))


def louder(sampling: Sampling, by: float) -> Sampling:
    """Raises the mean velocity by `by`, or lowers it if `by` is negative; where it has no number, that of 64.

    >>> louder(Sampling(loudness="mf"), 4).loudness
    84.0
    """
    asked = sampling.loudness
    loudness = balance.LOUDNESS if asked is None or asked == balance.ANY else balance.parse_loudness(asked)
    return replace(sampling, loudness=_moved(loudness, by, *balance.LOUDNESSES))


def next_key(sampling: Sampling, by: int) -> Sampling:
    """Moves the key by `by` positions through the cycle of no key and `KEYS`.

    >>> next_key(Sampling(), 1).key
    'C major'
    """
    keys = (None, *KEYS)
    index = keys.index(sampling.key) if sampling.key in keys else 0
    return replace(sampling, key=keys[(index + by) % len(keys)])


def _times(value: float, times: float, limits: tuple[float, float]) -> float:
    return round(min(max(value * times, limits[0]), limits[1]), 2)


def _moved(value: float, by: float, low: float, high: float) -> float:
    return round(min(max(value + by, low), high), 6)
