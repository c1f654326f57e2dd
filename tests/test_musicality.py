import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kerasmusic.command_line import main
from kerasmusic.edge import Generator
from kerasmusic.errors import ArgumentError, CorpusError
from kerasmusic.evaluation import musicality
from kerasmusic.evaluation.musicality import (
    BINS,
    GROWING_EDGES,
    MEASURES,
    bins_of,
    compare,
    generated_pieces,
    jensen_shannon_distance,
    polyphony,
    real_pieces,
    repetition,
)
from kerasmusic.midi import read_bytes
from kerasmusic.notes import Notes

WEIGHTS = st.one_of(st.just(0.0), st.floats(1e-300, 1e300), st.integers(1, 10**9).map(float))
HISTOGRAMS = st.integers(1, 20).flatmap(
    lambda bins: arrays(np.float64, (3, bins), elements=WEIGHTS).filter(lambda rows: rows.any(axis=1).all())
)
PITCHES = st.lists(st.integers(60, 62), max_size=60)


@pytest.fixture(scope="module")
def pieces(performances):
    """Eighteen pieces of 80 notes, six from each of three performances."""
    whole = [read_bytes(data, name) for name, data in performances]
    return [notes[first : first + 80].without_leading_silence() for first in range(0, 480, 80) for notes in whole]


@given(HISTOGRAMS)
def test_the_distance_is_a_metric_from_0_to_1(histograms):
    first, second, third = histograms
    assert jensen_shannon_distance(first, first) == 0
    there = jensen_shannon_distance(first, second)
    assert 0 <= there <= 1
    assert there == pytest.approx(jensen_shannon_distance(second, first))
    around = jensen_shannon_distance(first, third) + jensen_shannon_distance(third, second)
    assert there <= around + 1e-7


def test_a_share_may_be_the_smallest_float():
    assert jensen_shannon_distance([1e300, 5e-24], [1.0, 0.0]) == pytest.approx(0, abs=1e-7)


@given(HISTOGRAMS)
def test_histograms_with_no_bin_in_common_are_at_1(histograms):
    first, second, _ = histograms
    nothing = np.zeros_like(first)
    assert jensen_shannon_distance([*first, *nothing], [*nothing, *second]) == pytest.approx(1)


@given(arrays(np.int64, (2, 6), elements=st.integers(1, 10**6)), st.integers(1, 1000))
def test_only_the_shape_of_a_histogram_counts(histograms, factor):
    first, second = histograms
    assert jensen_shannon_distance(first, factor * first) == pytest.approx(0, abs=1e-7)
    there = jensen_shannon_distance(first, second)
    assert jensen_shannon_distance(factor * first, second) == pytest.approx(there, abs=1e-7)


def test_the_distance_is_what_lin_defines():
    # Entropy of the mean, less the mean of the entropies, in bits: H(3/4, 1/4) - (H(1) + H(1/2, 1/2)) / 2.
    divergence = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) - 0.5
    assert jensen_shannon_distance([1, 0], [1, 1]) == pytest.approx(math.sqrt(divergence))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([], [], "empty histogram"),
        ([0, 0], [1, 1], "empty histogram"),
        ([1, 1], [0, 0], "empty histogram"),
        ([1, 1], [1, 1, 1], "of 2 and of 3 bins"),
        ([1, -1], [1, 1], "-1: .* not negative"),
        ([1, math.nan], [1, 1], "nan: .* finite"),
        ([1, math.inf], [1, 1], "inf: .* finite"),
        ([[1, 1]], [[1, 1]], "one row"),
        (["many"], [1], "must be numbers"),
    ],
)
def test_what_is_no_histogram_is_refused(first, second, message):
    with pytest.raises(ArgumentError, match=message):
        jensen_shannon_distance(first, second)


def test_no_notes_have_no_polyphony():
    assert polyphony(Notes.empty()).tolist() == []


@pytest.mark.parametrize(
    ("start", "pitch", "duration", "sounding"),
    [
        ([0, 0, 0], [60, 64, 67], [1, 1, 1], [3, 3, 3]),
        ([0, 1], [60, 64], [1, 1], [1, 1]),
        ([0, 1], [60, 64], [1.01, 1], [1, 2]),
        # Struck in the same 10 ms, though not at the same time.
        ([0.001, 0.004], [60, 64], [1, 1], [2, 2]),
        # A key struck again sounds once.
        ([0, 1, 2], [60, 60, 60], [9, 9, 9], [1, 1, 1]),
        # A note without length counts when it is struck.
        ([0, 1], [60, 64], [0, 0], [1, 1]),
    ],
)
def test_polyphony_counts_what_sounds_as_a_note_is_struck(start, pitch, duration, sounding):
    assert polyphony(Notes(start, pitch, duration, [64] * len(start))).tolist() == sounding


def test_the_polyphony_of_a_performance_is_what_counting_by_hand_gives(notes):
    notes = notes[:300]
    struck = notes.without_overlaps()
    start, end = np.rint(struck.start * 100), np.rint(struck.end * 100)
    counted = [
        sum(1 for i in range(len(notes)) if start[i] == now or start[i] < now < end[i]) for now in start.tolist()
    ]
    assert polyphony(notes).tolist() == counted
    assert max(counted) > 2


@given(PITCHES)
def test_repetition_is_the_share_of_runs_that_occurred_before(pitches):
    seen, again = set(), 0
    runs = [tuple(pitches[i : i + 8]) for i in range(len(pitches) - 7)]
    for run in runs:
        again += run in seen
        seen.add(run)
    assert repetition(pitches) == (again / len(runs) if runs else 0)


def test_one_note_over_and_over_is_repetition_but_for_its_first_run():
    assert repetition([127] * 107) == 0.99
    assert repetition([]) == repetition([60] * 7) == repetition(range(128)) == 0


def test_music_repeats_itself_less_than_a_loop(notes):
    assert repetition(notes.pitch) < 0.5
    assert repetition(np.tile(notes.pitch[:20], 50)) > 0.9


@pytest.mark.parametrize(
    ("pitches", "message"),
    [([60, 128], "128: a pitch"), ([-1], "-1: a pitch"), ([60.5], "whole numbers"), ([[60]], "one row")],
)
def test_what_are_no_pitches_is_refused(pitches, message):
    with pytest.raises(ArgumentError, match=message):
        repetition(pitches)


def test_times_have_bins_of_their_own_up_to_50_ms_and_then_a_third_of_a_doubling():
    assert GROWING_EDGES[:13].tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25]
    assert GROWING_EDGES[-1] == 2048
    assert np.all(GROWING_EDGES[9:] / GROWING_EDGES[6:-3] < 2.2)


def test_every_note_has_a_bin_in_every_histogram(notes):
    extreme = Notes([0, 0, 900], [0, 127, 21], [0, 1e6, 0.004], [1, 127, 64])
    for piece in (notes, extreme, Notes.empty()):
        bins = bins_of(piece)
        assert bins.shape == (len(piece), 6)
        assert np.all((bins >= 0) & (bins < list(BINS.values())))


def test_real_music_is_no_further_from_real_music_than_that_is_from_itself(pieces):
    result = compare(pieces[::2], pieces[1::2])
    assert (result.pieces, result.performances) == (4, 9)
    for measure in BINS:
        assert 0 < result.whole[measure].generated < 1.7 * result.whole[measure].real


def test_what_is_no_music_is_further_from_it(pieces):
    random = np.random.default_rng(0)
    noise = [
        Notes(np.sort(random.uniform(0, 700, 80)), random.integers(0, 128, 80), np.full(80, 0.01), np.full(80, 9))
        for _ in range(4)
    ]
    whole = compare(noise, pieces).whole
    for measure in ("pitch", "step", "duration", "velocity", "polyphony"):
        assert whole[measure].generated > 1.5 * whole[measure].real


def test_pieces_alike_are_at_0_from_each_other(pieces):
    result = compare(pieces[:1], [pieces[0]] * 4)
    for part in (result.whole, result.first, result.last):
        assert all(part[measure] == (0, 0) for measure in BINS)
    # There is no ratio to 0.
    rows = [line[12:].split() for line in str(result).splitlines()[3:]]
    assert [row[:3] for row in rows[:-1]] == [["0.000", "0.000", "-"]] * len(BINS)
    assert all(len(row) == 7 for row in rows)


def test_both_samples_have_as_many_pieces_and_notes(pieces):
    short = [piece[:60] for piece in pieces]
    longer, equal = compare(pieces, short), compare(short, short)
    for measure in MEASURES:
        # The last note of a short piece may have lost a note of its chord, which sounded with it.
        assert longer.whole[measure] == pytest.approx(equal.whole[measure], abs=0.01 * (measure == "polyphony"))
    assert compare(pieces[:9], short) == longer


def test_strikes_of_a_key_at_one_onset_sound_as_one_note():
    twice = Notes([0.0, 0.0, 0.0, 1.0], [60, 60, 64, 67], [2.0, 1.0, 2.0, 1.0], [64, 80, 64, 64])
    assert polyphony(twice).tolist() == [2, 2, 2, 3]


def test_nothing_after_the_5000th_note_counts(notes):
    count = 6_000
    played = Notes(np.arange(count), np.resize(notes.pitch, count), np.ones(count), np.full(count, 64))
    real = [played, played[:5_500]]
    assert compare([played], real) == compare([played[:5_000]], [piece[:5_000] for piece in real])


def test_collapse_shows_as_growth(pieces):
    performances = [
        Notes.from_iterable(
            note._replace(start=note.start + 400 * k) for k in range(30) for note in pieces[(k * step) % 18]
        )
        for step in (1, 5, 7, 11)
    ]
    steady = performances[0]
    pitch, velocity = steady.pitch.copy(), steady.velocity.copy()
    pitch[1_200:], velocity[1_200:] = 60, 100
    collapsed = Notes(steady.start, pitch, steady.duration, velocity)
    result = compare([collapsed], performances)
    assert result.first["repetition"].generated < 0.5 < result.last["repetition"].generated
    assert result.last["repetition"].real < 0.5
    for measure in ("pitch", "pitch class", "velocity"):
        assert result.last[measure].generated > 1.5 * result.first[measure].generated
        assert result.last[measure].generated > 2 * result.last[measure].real


def test_comparing_takes_a_piece_and_two_performances(pieces):
    for generated, real in (([], pieces), (pieces, []), (pieces, pieces[:1])):
        with pytest.raises(ArgumentError, match="one and two at least"):
            compare(generated, real)
    with pytest.raises(ArgumentError, match="without notes"):
        compare(pieces[:1], [*pieces, Notes.empty()])


def test_real_pieces_are_the_performances_of_a_split(corpus):
    first, second = real_pieces(corpus, "train")
    assert [len(first), len(second)] == [end - start for start, end in corpus.pieces("train")]
    assert first.start[0] == second.start[0] == 0
    for split, count in (("validation", None), ("train", 1), ("test", None)):
        with pytest.raises(CorpusError, match=f"{split}: .*two performances"):
            real_pieces(corpus, split, count)
    with pytest.raises(CorpusError, match="rehearsal: no such split"):
        real_pieces(corpus, "rehearsal")


def test_a_generated_piece_is_what_its_seed_names(exported, monkeypatch):
    monkeypatch.setattr(musicality, "NOTES", 50)
    generator = Generator(exported["tiny"][1], seed=3)
    played = generated_pieces(generator, 2)
    assert played == [Generator(exported["tiny"][1], seed=seed).take(50).without_leading_silence() for seed in (3, 4)]
    assert played[0] != played[1]
    assert generator.seed == 3
    assert generator.take(50).without_leading_silence() == played[0]


def evaluate(capsys, *arguments):
    """Runs the command; returns its exit code, its output lines and its standard error."""
    code = main(["evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.slow
def test_the_command_prints_a_table(capsys, exported, midi_zip):
    code, lines, err = evaluate(
        capsys, exported["tiny"][1], "--data", midi_zip, "--split", "train", "--music", "--seed", 5
    )
    assert code == 0, err
    table = lines[lines.index("") + 1 :]
    assert table[0].endswith("generated pieces: 1, performances: 2")
    assert [line[:12].rstrip() for line in table[3:-1]] == list(MEASURES)
    numbers = np.array([line[12:].replace(" - ", " nan ").split() for line in table[3:-1]], float)
    assert numbers.shape == (7, 7)
    assert np.array_equal(np.isnan(numbers[:, 2]), numbers[:, 1] == 0)
    # Step, duration and velocity of an untrained model are far from music.
    assert np.all(numbers[2:5, 0] > numbers[2:5, 1])
    assert table[-1] == "played from the seeds 5 to 5"


@pytest.mark.usefixtures("own_cache")
@pytest.mark.slow
def test_keras_and_tflite_files_play_the_same(capsys, exported, midi_zip, monkeypatch):
    monkeypatch.setattr(musicality, "NOTES", 60)
    options = ("--data", midi_zip, "--split", "train", "--music", "--temperature", "pitch=0.9", "--min-p", 0.01)
    tables = []
    for model in exported["tiny"]:
        code, lines, err = evaluate(capsys, model, *options)
        assert code == 0, err
        tables.append(lines[lines.index("") + 1 :])
    assert tables[0] == tables[1]
    code, lines, _ = evaluate(capsys, exported["tiny"][1], *options[:-4])
    assert code == 0
    assert lines[lines.index("") + 1 :] != tables[0]


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("options", "value"),
    [
        ("--music", "validation"),
        ("--music --split train --pieces 1", "train"),
        ("--music --split rehearsal", "rehearsal"),
        ("--music --split train --seed -3", "-3"),
        ("--music --split train --temperature hot", "hot"),
        ("--music --split train --min-p 2", "2"),
        ("--seed 3", "--music"),
        ("--temperature 1", "--music"),
    ],
)
def test_bad_input_ends_in_one_line_before_the_long_work(capsys, exported, midi_zip, options, value):
    code, lines, err = evaluate(capsys, exported["tiny"][1], "--data", midi_zip, *options.split())
    assert code == 2
    assert value in err
    assert err.count("\n") == 1
    assert not lines
