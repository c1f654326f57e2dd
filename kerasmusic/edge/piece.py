"""Pieces: the name of a piece of music, from which the same notes can be made on any device."""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from kerasmusic.codec import FIELDS
from kerasmusic.edge.sampling import Sampling, parse_by_field
from kerasmusic.errors import ArgumentError, suggest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ID_DIGITS = 10
# Settings that a name leaves out have these values, not the defaults, so a later version with other defaults plays the
# same piece.
NEUTRAL: Mapping[str, Any] = MappingProxyType(
    {"temperature": 1.0, "min_p": 0.0, "speed": None, "polyphony": None, "loudness": None}
)
# Within a word, these characters have no meaning to a shell.
PLAIN = ":,=#"
# How the parts of a name are read, and the fields of `Sampling` that have other names.
READERS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "notes": int,
        "seconds": float,
        "primer": str,
        "temperature": lambda text: parse_by_field("temperature", text),
        "min-p": lambda text: parse_by_field("min-p", text),
        "key": str,
        "range": str,
        "speed": float,
        "polyphony": float,
        "loudness": float,
        "style": str,
        "chords": str,
        "chord-seconds": float,
    }
)
FIELD_NAMES = MappingProxyType({"min-p": "min_p", "range": "pitch_range", "chord-seconds": "chord_seconds"})


def model_id(path: Path) -> str:
    """The first digits of the SHA-256 of a model's file, by which pieces name it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:ID_DIGITS]


def primer_id(fields: NDArray[np.integer]) -> str:
    """The CRC-32 of a primer's notes as the model hears them, int `[n, 4]` of `codec.encode`, in hexadecimal."""
    return f"{zlib.crc32(fields.astype('<i4').tobytes()):08x}"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of music: the model, the seed and the settings that make it. `str` gives its name, which `parse` reads.

    Args:
        model: the `model_id` of the model's file.
        seed: the seed of the random numbers.
        sampling: the sampling settings.
        primer: the `primer_id` of the notes that the piece continues; None if there are none.
        notes: the number of notes that the model makes; None for any.
        seconds: how many seconds of music it makes; None for any.

    >>> str(Piece(model="0123456789", seed=7, sampling=Sampling(key="D minor"), notes=300))
    '0123456789/7/notes=300/min-p=pitch=0.02/key=Dminor/speed=13.2/polyphony=7.9/loudness=72'
    """

    model: str
    seed: int
    sampling: Sampling = field(default_factory=Sampling)
    primer: str | None = None
    notes: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        sampling = self.sampling
        if not isinstance(sampling.chords, str | None):
            raise ArgumentError("a piece whose chords are a function has no name; give the chords as text")
        chords = ",".join(re.split(r"[\s,]+", (sampling.chords or "").strip(" ,")))
        parts = {
            "notes": _number(self.notes),
            "seconds": _number(self.seconds),
            "primer": self.primer or "",
            "temperature": _by_field(sampling.temperatures(), 1.0),
            "min-p": _by_field(sampling.min_ps(), 0.0),
            "key": "".join((sampling.key or "").split()),
            "range": "".join((sampling.pitch_range or "").split()),
            **{name: _number(target) for name, target in sampling.targets(self.seed)._asdict().items()},
            "style": sampling.style or "",
            "chords": chords,
            "chord-seconds": _number(sampling.chord_seconds) if chords else "",
        }
        return "/".join(
            [self.model, str(self.seed), *(f"{name}={quote(text, safe=PLAIN)}" for name, text in parts.items() if text)]
        )

    @classmethod
    def parse(cls, name: str) -> Piece:
        """The piece of a name.

        Raises:
            ArgumentError: it is not the name of a piece, or has a setting that this version does not know.

        >>> Piece.parse("0123456789/7/notes=300/temperature=pitch=1.1").sampling.temperatures()
        [1.0, 1.1, 1.0, 1.0]
        """
        model, seed, *rest = [*name.strip().split("/"), ""]
        parts = dict(part.partition("=")[::2] for part in rest if part)
        if not re.fullmatch(rf"[0-9a-f]{{{ID_DIGITS}}}", model) or not re.fullmatch(r"[0-9]{1,20}", seed):
            raise ArgumentError(f"{name}: not the name of a piece, such as 0123456789/7/notes=300")
        for part in parts.keys() - READERS.keys():
            raise ArgumentError(
                f"{name}: this version of kerasmusic knows no setting {part} of a piece; {suggest(part, READERS)}"
            )
        try:
            read = {part: READERS[part](unquote(text)) for part, text in parts.items()}
        except ArgumentError:
            raise
        except ValueError:
            raise ArgumentError(f"{name}: a number in this name is damaged; copy the name again") from None
        if not all(0 < read.get(length, 1) < math.inf for length in ("notes", "seconds")):
            raise ArgumentError(f"{name}: a piece has more than 0 notes and seconds; copy the name again")
        about = {part: read.pop(part) for part in ("primer", "notes", "seconds") if part in read}
        changes = {FIELD_NAMES.get(part, part): value for part, value in read.items()}
        return cls(model=model, seed=int(seed), sampling=Sampling(**{**NEUTRAL, **changes}), **about)


def _number(value: float | None) -> str:
    """A number as a name writes it, with all its digits; nothing for None."""
    if value is None:
        return ""
    return str(int(value)) if value == int(value) else repr(float(value))


def _by_field(numbers: list[float], neutral: float) -> str:
    """Numbers by field, as `parse_by_field` reads them; fields that have the neutral value are left out."""
    if len(set(numbers)) == 1:
        return "" if numbers[0] == neutral else _number(numbers[0])
    named = zip(FIELDS, numbers, strict=True)
    return ",".join(f"{name}={_number(number)}" for name, number in named if number != neutral)
