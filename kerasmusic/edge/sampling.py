"""Sampling: the settings that control how notes are drawn from a model's probabilities."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np

from kerasmusic.codec import FIELDS
from kerasmusic.edge import balance
from kerasmusic.edge.chords import CHORD_SECONDS, ChordFunction, ChordTrack
from kerasmusic.edge.controls import allowed_pitches
from kerasmusic.edge.styles import parse_style
from kerasmusic.errors import ArgumentError

if TYPE_CHECKING:
    from kerasmusic.notes import Notes

# Excludes pitches that the model itself finds very unlikely but would still draw now and then in a long piece. Times
# have no min-p: the probability of a long duration is spread over many narrow bins, all of which min-p would exclude,
# and a piece without long durations soon stops being music.
MIN_P: Mapping[str, float] = MappingProxyType({"pitch": 0.02})
# The largest finite value of the step's float32 inputs.
LARGEST_NUMBER = float(np.finfo(np.float32).max)


class SamplingChanges(TypedDict, total=False):
    """The fields of `Sampling` as optional keyword arguments."""

    temperature: float | Mapping[str, float]
    min_p: float | Mapping[str, float]
    key: str | None
    pitch_range: str | None
    speed: float | Literal["any"] | None
    polyphony: float | Literal["any"] | None
    loudness: float | str | None
    style: str | None
    chords: str | ChordFunction | None
    chord_seconds: float


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings that control how notes are drawn from a model's probabilities.

    Args:
        temperature: one number for all fields, or a mapping by field such as `{"pitch": 1.1, "step": 0.9}`; 0 takes
            the likeliest value, 1 draws from the model's own probabilities. Omitted fields have 1.
        min_p: one number or a mapping by field; values less likely than `min_p` times the likeliest value are never
            drawn. Omitted fields have 0. It works best for pitch alone, as in the default, `MIN_P`.
        key: a key to stay in, such as "C major"; None for any.
        pitch_range: a pitch range to stay in, such as "C2-C6"; None for all pitches.
        speed: notes per second, from 0.5 to 30, on average over some hundred notes; "any" for those of a performance
            that the seed chooses; None leaves the model its own, which depends on the temperature and drifts in long
            pieces.
        polyphony: notes sounding at once, from 0.5 to 20, on average over time, kept to within a factor of about 1.3;
            "any" and None as for the speed.
        loudness: a dynamic such as "mf", or a mean velocity from 1 to 127; "any" and None as for the speed.
        style: a style such as "Chopin" or "Bach:0.6,Debussy:0.4"; None for none. A model that knows no styles ignores
            it.
        chords: a progression to prefer, such as "Am F C G", or a function from seconds since the piece's beginning to
            a chord's name or its pitch classes or None; None for no chords.
        chord_seconds: how long each chord of a progression lasts.

    Raises:
        ArgumentError: a value is out of range, or a field, key or pitch range is invalid.

    >>> import dataclasses
    >>> dataclasses.replace(Sampling(key="D minor"), temperature=0.9).key
    'D minor'
    """

    temperature: float | Mapping[str, float] = 1.0
    min_p: float | Mapping[str, float] = field(default_factory=lambda: MIN_P)
    key: str | None = None
    pitch_range: str | None = None
    speed: float | Literal["any"] | None = balance.ANY
    polyphony: float | Literal["any"] | None = balance.ANY
    loudness: float | str | None = balance.ANY
    style: str | None = None
    chords: str | ChordFunction | None = None
    chord_seconds: float = CHORD_SECONDS

    def __post_init__(self) -> None:
        self.temperatures()
        self.min_ps()
        allowed_pitches(self.key, self.pitch_range)
        if self.style is not None:
            parse_style(self.style)
        self.chord_track()
        self.targets(seed=0)

    def targets(self, seed: int) -> balance.Targets:
        """The targets that a seed's piece keeps to.

        >>> Sampling(speed=6, polyphony=None, loudness="mf").targets(seed=7)
        Targets(speed=6.0, polyphony=None, loudness=80.0)
        """
        of_seed = balance.Targets.of_seed(seed)
        loudness = of_seed.loudness if self.loudness == balance.ANY else self.loudness
        return balance.Targets(
            _target("speed", self.speed, of_seed.speed, balance.SPEEDS, " notes per second"),
            _target("polyphony", self.polyphony, of_seed.polyphony, balance.POLYPHONIES, " notes"),
            None if loudness is None else balance.parse_loudness(loudness),
        )

    def for_seed(self, seed: int) -> Sampling:
        """These settings with the targets of a seed's piece.

        >>> Sampling(loudness="mf").for_seed(7).loudness
        80.0
        """
        return replace(self, **self.targets(seed)._asdict())

    def like(self, notes: Notes, *, keep: Collection[str] = frozenset()) -> Sampling:
        """These settings with the speed, the polyphony and the loudness of notes, but for those named in `keep`.

        What the notes are too few or too short to tell is kept as well.
        """
        found = balance.Targets.of(notes)._asdict().items()
        return replace(self, **{name: each for name, each in found if each is not None and name not in keep})

    def temperatures(self) -> list[float]:
        """The temperature of each field."""
        return by_field("temperature", self.temperature, default=1.0, highest=math.inf)

    def chord_track(self) -> ChordTrack | None:
        """The chords by time, if there are any."""
        return None if self.chords is None else ChordTrack(self.chords, self.chord_seconds)

    def min_ps(self) -> list[float]:
        """The min-p of each field."""
        return by_field("min_p", self.min_p, default=0.0, highest=1.0)


def _target(
    name: str, asked: float | str | None, of_seed: float | None, limits: tuple[float, float], unit: str
) -> float | None:
    if isinstance(asked, str):
        if asked != balance.ANY:
            raise ArgumentError(f"{asked}: a {name} is a number of{unit}, {balance.ANY!r} or None")
        return of_seed
    return None if asked is None else balance.within(name, asked, limits, unit)


def by_field(name: str, value: float | Mapping[str, float], *, default: float, highest: float) -> list[float]:
    """Expands one number for all fields, or a mapping by field, to a list; each number is from 0 to `highest`.

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


def parse_by_field(name: str, text: str) -> float | dict[str, float]:
    """Parses a number, or numbers by field such as "pitch=1.1,step=0.9".

    Raises:
        ArgumentError: it is neither; the message calls it a `name`.

    >>> parse_by_field("temperature", "pitch=1.1,step=0.9")
    {'pitch': 1.1, 'step': 0.9}
    """
    try:
        if "=" not in text:
            return float(text)
        return {field.strip(): float(number) for field, number in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise ArgumentError(f"{text}: not a {name}; write a number, or numbers by field: pitch=1.1,step=0.9") from None
