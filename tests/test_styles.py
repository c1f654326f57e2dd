import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasmusic.edge.sampling import Sampling
from kerasmusic.edge.styles import Styles, parse_style
from kerasmusic.errors import ArgumentError, ModelFileError

VECTORS = {"Bach": [1.0, -2.0], "Chopin": [3.0, 200.0]}


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("Chopin", {"Chopin": 1.0}),
        (" Bach , Chopin", {"Bach": 0.5, "Chopin": 0.5}),
        ("Bach:0.6,Debussy:0.4", {"Bach": 0.6, "Debussy": 0.4}),
        ("A,B,C", dict.fromkeys("ABC", 1 / 3)),
    ],
)
def test_a_style_is_the_share_of_each_name(text, shares):
    assert parse_style(text) == shares


@pytest.mark.parametrize(
    "text", ["", ",", "Bach:", ":1", "Bach:x", "Bach:nan", "Bach:-0.5,Liszt:1.5", "Bach,Bach", "A,B:1"]
)
def test_what_is_no_style_is_refused_with_an_example(text):
    with pytest.raises(ArgumentError, match=r"not a style; write a name, or names with shares: 'Bach:0.6,Debussy:0.4'"):
        Sampling(style=text)


@pytest.mark.parametrize(("text", "sum_"), [("Bach:0.5", "0.5"), ("Bach:0.9,Liszt:0.9", "1.8")])
def test_shares_that_do_not_add_up_are_refused_with_their_sum(text, sum_):
    with pytest.raises(ArgumentError, match=f"add up to 1, and these to {sum_}"):
        parse_style(text)


@pytest.mark.slow
@given(st.text())
def test_any_text_is_a_style_or_refused(text):
    with contextlib.suppress(ArgumentError):
        assert sum(parse_style(text).values()) == pytest.approx(1, abs=0.01)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ArgumentError, match=r"Shopin: no such style; did you mean Chopin\?"):
        Styles(VECTORS).vector("Shopin")


def test_a_vector_is_the_weighted_sum_and_whole_within_its_limits_where_it_must_be():
    np.testing.assert_allclose(Styles(VECTORS).vector("Bach:0.25,Chopin:0.75"), [2.5, 149.5])
    assert Styles(VECTORS, whole=True).vector("Bach:0.25,Chopin:0.75").tolist() == [2.0, 127.0]


@pytest.mark.parametrize("styles", [{"Bach": [1.0]}, {"Bach": [1.0, float("nan")]}, {"Bach": "xy"}, ["Bach"], 3])
def test_damaged_styles_are_refused_with_the_name_of_the_file(styles):
    with pytest.raises(ModelFileError, match=r"^it\.tflite: its styles are damaged; export it again$"):
        Styles.from_record({"styles": styles, "style_size": 2}, "it.tflite")


def test_a_record_without_styles_has_none():
    assert Styles.from_record({}, "it") == Styles({}, False)
    assert Styles.from_record({"styles": VECTORS, "style_size": 2, "precision": "exact"}, "it").whole
