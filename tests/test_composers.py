import unicodedata

import pytest

from kerasmusic.data.composers import composer_name
from kerasmusic.edge.styles import parse_style


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("Bach", ["Bach", "Johann Sebastian Bach", "Johann Sebastian Bach / Ferruccio Busoni"]),
        ("Chopin", ["Chopin", "Frédéric Chopin", "Chopin, Frédéric (1810-1849)", " Frederic  Chopin "]),
        (
            "Mendelssohn",
            ["Felix Mendelssohn", "Mendelssohn-Bartholdy, Felix (1809-1847)", "Felix Mendelssohn Bartholdy"],
        ),
        ("Scriabin", ["Alexander Scriabin", "Scriabin, Aleksandr Nikolayevich (1872-1915)", "Scriabin"]),
        ("Tchaikovsky", ["Pyotr Ilyich Tchaikovsky / Mikhail Pletnev", "Tchaikovsky, Peter Ilich (1840-1893)"]),
        ("Weber", ["Carl Maria von Weber", "Weber, Carl Maria von (1786-1826)"]),
        ("Whiteman", ["Whiteman, Paul (1890-1967); Grofé, Ferde (1892-1972)"]),
        ("Rimsky-Korsakov", ["Nikolai Rimsky-Korsakov / Sergei Rachmaninoff", "Rimsky-Korsakov, Nikolay (1844-1908)"]),
        ("Dvořák", ["Dvořák, Antonín (1841-1904)", unicodedata.normalize("NFD", "Antonín Dvořák")]),
        (None, ["", "???", " / ", "(1810-1849)"]),
    ],
)
def test_the_spellings_of_maestro_and_of_library_catalogues_are_one_name(name, spellings):
    assert {composer_name(each) for each in spellings} == {name}


def test_a_name_can_be_asked_for_as_a_style():
    for written in ("Anon: of old, the", "Meyer-Helmund, Erik (1861-1932)"):
        name = composer_name(written)
        assert parse_style(name) == {name: 1.0}
