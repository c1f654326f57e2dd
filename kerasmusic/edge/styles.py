"""Styles: the vector that conditions the music, as shares of the styles that a model knows by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kerasmusic.errors import ArgumentError, ModelFileError, check_name

# The shares of a style that is written with three decimals may miss 1 by this much.
TOLERANCE = 0.005
# The largest signed code; see `kerasmusic.models.exact_layers`.
HIGHEST = 127


def parse_style(text: str) -> dict[str, float]:
    """Parses a style into the share of each name: "Chopin", or "Bach:0.6,Debussy:0.4".

    Names without a share share equally.

    Raises:
        ArgumentError: a share is no number, or the shares do not add up to 1.

    >>> parse_style("Bach:0.6, Debussy:0.4")
    {'Bach': 0.6, 'Debussy': 0.4}
    """
    parts = [part.strip().rpartition(":") for part in text.split(",")]
    if not any(colon for _, colon, _ in parts):
        parts = [(name, ":", str(1 / len(parts))) for _, _, name in parts]
    shares: dict[str, float] = {}
    for name, colon, share in parts:
        try:
            number = float(share) if colon else math.nan
        except ValueError:
            number = math.nan
        if not (name.strip() and 0 <= number <= 1) or name.strip() in shares:
            raise ArgumentError(f"{text}: not a style; write a name, or names with shares: 'Bach:0.6,Debussy:0.4'")
        shares[name.strip()] = number
    if abs(sum(shares.values()) - 1) > TOLERANCE:
        raise ArgumentError(f"{text}: the shares of a style add up to 1, and these to {sum(shares.values()):g}")
    return shares


@dataclass(frozen=True)
class Styles:
    """The styles that a model knows.

    Args:
        vectors: the vector of each style, `style_size` numbers.
        whole: whether the step takes whole numbers, as that of an exact model does.
    """

    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)
    whole: bool = False

    @classmethod
    def from_record(cls, record: Mapping[str, object], name: str) -> Styles:
        """The styles in a file's record; errors call the file `name`.

        Raises:
            ModelFileError: they are not vectors of the size that the record says.
        """
        styles, size = record.get("styles", {}), record.get("style_size", 0)
        try:
            vectors = {str(each): [float(x) for x in vector] for each, vector in styles.items()}  # type: ignore[attr-defined]
            sound = all(len(vector) == size and np.isfinite(vector).all() for vector in vectors.values())
        except (AttributeError, TypeError, ValueError):
            sound = False
        if not sound:
            raise ModelFileError(f"{name}: its styles are damaged; export it again")
        return cls(vectors, record.get("precision") == "exact")

    def vector(self, style: str) -> NDArray[np.float64]:
        """The vector of a style, float64 `[style_size]`.

        Raises:
            ArgumentError: the style is invalid, or names one that the model does not know.
        """
        shares = parse_style(style)
        for name in shares:
            check_name("style", name, self.vectors)
        total = np.zeros(len(next(iter(self.vectors.values()))))
        # Sums in a fixed order are the same everywhere.
        for name, vector in self.vectors.items():
            total += shares.get(name, 0.0) * np.array(vector)
        return np.clip(np.rint(total), -HIGHEST, HIGHEST) if self.whole else total
