"""Sampling: the settings by which a model's probabilities become notes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypedDict

import numpy as np

from kerasmusic.codec import FIELDS
from kerasmusic.edge.controls import allowed_pitches
from kerasmusic.errors import ArgumentError

# Excludes the pitches that the model itself finds far-fetched, which it is bound to draw now and then in a long piece.
# Not the times: a long duration has its probability spread over many narrow bins, each of them small, and a piece
# without long durations soon stops being music.
MIN_P: Mapping[str, float] = MappingProxyType({"pitch": 0.02})
# Fed its own output, the model drifts towards denser music (exposure bias), and the default density compensates. At 0,
# 5,000 notes of the bundled model end at twice the notes per second of performances, at -0.2 at as many; see
# docs/training.md.
DENSITY = -0.2
# The largest number that the step's inputs can hold.
LARGEST_NUMBER = float(np.finfo(np.float32).max)


class SamplingChanges(TypedDict, total=False):
    """The fields of `Sampling` as keyword arguments, each of which may be left out."""

    temperature: float | Mapping[str, float]
    min_p: float | Mapping[str, float]
    key: str | None
    pitch_range: str | None
    density: float


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The settings by which notes are drawn from a model's probabilities.

    Args:
        temperature: one number for all fields, or by field, such as `{"pitch": 1.1, "step": 0.9}`; 0 takes the
            likeliest value, 1 draws from the model's own probabilities. A field left out has 1.
        min_p: likewise; a value less likely than this share of the likeliest is never drawn. A field left out has 0.
            Best for pitch alone; see `MIN_P`, the default.
        key: a key to stay in, such as "C major"; None for any.
        pitch_range: pitches to stay in, such as "C2-C6"; None for all.
        density: more or fewer notes per second; 0 leaves the model's own. See `controls.bias_of`.

    Raises:
        ArgumentError: a value out of its range, or no such field, key or range.

    >>> import dataclasses
    >>> dataclasses.replace(Sampling(key="D minor"), temperature=0.9).key
    'D minor'
    """

    temperature: float | Mapping[str, float] = 1.0
    min_p: float | Mapping[str, float] = field(default_factory=lambda: MIN_P)
    key: str | None = None
    pitch_range: str | None = None
    density: float = DENSITY

    def __post_init__(self) -> None:
        self.temperatures()
        self.min_ps()
        allowed_pitches(self.key, self.pitch_range)
        if not math.isfinite(self.density):
            raise ArgumentError(f"{self.density:g}: a density is a number, such as 0.5, or -0.5 for fewer notes")

    def temperatures(self) -> list[float]:
        """The temperature of each field."""
        return by_field("temperature", self.temperature, default=1.0, highest=math.inf)

    def min_ps(self) -> list[float]:
        """The min-p of each field."""
        return by_field("min_p", self.min_p, default=0.0, highest=1.0)


def by_field(name: str, value: float | Mapping[str, float], *, default: float, highest: float) -> list[float]:
    """One number per field, from one number for all or a mapping by field, each from 0 to `highest`.

    >>> by_field("temperature", {"pitch": 1.1}, default=1.0, highest=math.inf)
    [1.0, 1.1, 1.0, 1.0]
    """
    values = value if isinstance(value, Mapping) else dict.fromkeys(FIELDS, value)
    for field_name, number in values.items():
        if field_name not in FIELDS:
            raise ArgumentError(f"{field_name}: no such field for {name}; there are {', '.join(FIELDS)}")
        if not 0 <= number <= min(highest, LARGEST_NUMBER):
            limit = f"0 or more, up to {LARGEST_NUMBER:.2g}" if math.isinf(highest) else f"from 0 to {highest:g}"
            raise ArgumentError(f"{number:g}: a {name} is {limit}")
    return [float(values.get(name, default)) for name in FIELDS]
