"""Composers: brings together the ways in which tables of performances write a composer's name."""

from __future__ import annotations

import re
import unicodedata

#: The columns of a table that name the composer: MAESTRO's, and a plain one.
COLUMNS = ("canonical_composer", "composer")

# A piece by several, such as an arrangement, counts as the first one's; so does whatever follows it in parentheses.
_FURTHER = re.compile(r"\s/\s|;|\(")
# Family names of which a table has only a part, or has more than one word.
_SAME = {"Mendelssohn-Bartholdy": "Mendelssohn", "Mendelssohn Bartholdy": "Mendelssohn", "Bartholdy": "Mendelssohn"}


def composer_name(written: str) -> str | None:
    """The family name of the first composer that a table names, or None if it names none.

    >>> composer_name("Frédéric Chopin"), composer_name("Chopin, Frédéric (1810-1849)"), composer_name("Chopin")
    ('Chopin', 'Chopin', 'Chopin')
    >>> composer_name("Franz Schubert / Franz Liszt"), composer_name("Mendelssohn-Bartholdy, Felix (1809-1847)")
    ('Schubert', 'Mendelssohn')
    >>> composer_name("???") is None
    True
    """
    first = _FURTHER.split(unicodedata.normalize("NFC", written), maxsplit=1)[0]
    family, comma, _ = first.partition(",")
    words = family.replace(":", " ").split()
    name = " ".join(words) if comma else "".join(words[-1:])
    return _SAME.get(name, name) if any(letter.isalpha() for letter in name) else None
