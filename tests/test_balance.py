"""Balance: pieces keep to the speed, the polyphony and the loudness that they are asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasmusic.bundled import bundled_model
from kerasmusic.codec import NoteCodec
from kerasmusic.data.corpus import open_corpus
from kerasmusic.edge.balance import LARGEST_INTEGRAL, LOUDNESS, PERFORMANCES, SPEED, Balance, Targets, parse_loudness
from kerasmusic.edge.generator import Generator
from kerasmusic.edge.sampling import Sampling
from kerasmusic.errors import ArgumentError
from kerasmusic.notes import Notes


def pieces(notes=1_500, seeds=3, **settings):
    return [Generator(bundled_model(), seed=seed, **settings).take(notes) for seed in range(seeds)]


def speed_of(notes):
    return len(notes) / notes.start[-1]


@pytest.mark.parametrize(("speed", "temperature"), [(4, 1.0), (8, 0.8), (8, 1.2), (12, 1.0)])
def test_a_piece_keeps_to_its_speed(speed, temperature):
    for piece in pieces(speed=speed, temperature=temperature):
        assert speed_of(piece) == pytest.approx(speed, rel=0.15)


def test_most_pieces_keep_to_their_speed_from_the_first_minute():
    ratios = []
    for seed in range(20):
        made = Generator(bundled_model(), seed=seed, speed=4, temperature=(0.8, 1.0, 1.2)[seed % 3]).take(seconds=60)
        ratios.append(len(made) / (4 * 60))
    assert np.mean(ratios) == pytest.approx(1, abs=0.1)
    assert np.sum(np.abs(np.array(ratios) - 1) <= 0.15) >= 14


def test_temperature_leaves_the_speed_alone():
    # At 0.5, a piece may fall into a figure that it repeats for long; single pieces are up to a quarter slower then.
    for temperature in (0.5, 1.5):
        speeds = [speed_of(piece) for piece in pieces(seeds=8, temperature=temperature, speed=9)]
        assert np.mean(speeds) == pytest.approx(9, rel=0.15)


def test_a_seed_chooses_what_is_not_asked_for():
    for seed in (0, 7, 2**64 - 1):
        expected = Targets.of_seed(seed)
        generator = Generator(bundled_model(), seed=seed, speed=6)
        assert generator.sampling.targets(seed) == (6, expected.polyphony, expected.loudness)
        generator.change(speed="any", loudness=None)
        assert generator.sampling.targets(seed) == (expected.speed, expected.polyphony, None)


def test_another_seed_is_another_choice():
    generator = Generator(bundled_model("small"), seed=1)
    first = generator.take(100)
    generator.seed = 3
    generator.reset()
    chosen = Sampling().for_seed(3)
    assert generator.take(200) == Generator(bundled_model("small"), seed=3, sampling=chosen).take(200)
    generator.seed = 1
    generator.reset()
    assert generator.take(100) == first


@pytest.mark.slow
def test_what_seeds_choose_from_are_performances(maestro):
    corpus, rows = open_corpus(maestro), []
    for fields in corpus.performances("train"):
        notes = corpus.codec.decode(fields[:5_000])
        speed = (len(notes) - 1) / (notes.start[-1] - notes.start[0])
        rows.append((speed, speed * notes.duration.mean(), notes.velocity.mean()))
    rows = np.array(rows)
    random = np.random.default_rng(0)
    chosen = np.array(
        [
            random.choice(cell)
            for eighth in np.array_split(np.argsort(rows[:, 0], kind="stable"), 8)
            for cell in np.array_split(eighth[np.argsort(rows[eighth, 1], kind="stable")], 8)
        ]
    )
    random.shuffle(chosen)
    expected = [(round(speed, 1), round(notes, 1), round(velocity)) for speed, notes, velocity in rows[chosen].tolist()]
    assert list(PERFORMANCES) == expected


def test_a_speed_that_changes_while_it_plays_is_followed():
    generator = Generator(bundled_model(), seed=3, speed=10)
    generator.take(500)
    generator.change(speed=5)
    generator.take(200)
    assert speed_of(generator.take(1_000)) != pytest.approx(10, rel=0.3)
    before = generator.seconds
    generator.take(1_000)
    assert 1_000 / (generator.seconds - before) == pytest.approx(5, rel=0.2)


def test_a_piece_keeps_to_its_loudness_and_its_polyphony():
    soft, loud = (np.mean([piece.velocity.mean() for piece in pieces(loudness=each)]) for each in ("p", "f"))
    assert soft == pytest.approx(49, abs=6)
    assert loud == pytest.approx(96, abs=8)
    thin, full = (
        np.mean([piece.duration.mean() * speed_of(piece) for piece in pieces(polyphony=each)]) for each in (2, 8)
    )
    assert thin < 3.5 < 5.0 < full


def test_a_free_model_is_not_biased():
    generator = Generator(bundled_model(), seed=1, speed=None, polyphony=None, loudness=None)
    generator.take(100)
    assert not generator._runtime.bias.any()


def test_a_piece_that_continues_notes_keeps_to_theirs():
    slow = Notes(start=np.arange(40) * 0.5, pitch=[60, 64, 67, 72] * 10, duration=[0.4] * 40, velocity=[40] * 40)
    sampling = Sampling(key="C major").like(slow)
    assert (sampling.speed, sampling.polyphony, sampling.loudness, sampling.key) == (2.0, 0.8, 40.0, "C major")
    assert Sampling(speed=7).like(slow, keep={"speed"}).speed == 7
    assert Sampling().like(Notes.empty()) == Sampling()
    generator = Generator(bundled_model(), seed=1, sampling=sampling)
    generator.prime(slow)
    made = generator.take(400)
    assert 400 / (made.start[-1] - slow.start[-1]) < 3


def test_the_last_notes_tell_what_a_piece_keeps_to():
    start = np.concatenate([np.arange(200) * 0.1, 20 + np.arange(100) * 0.5])
    notes = Notes(start, [60] * 300, [0.1] * 300, [90] * 200 + [50] * 100)
    assert Targets.of(notes) == Targets(speed=2.0, polyphony=0.5, loudness=50.0)


@pytest.mark.parametrize(
    "notes",
    [Notes([0.0], [60], [1.0], [64]), Notes([1.0, 1.0, 1.0], [60, 64, 67], [1.0] * 3, [64] * 3)],
)
def test_notes_that_last_no_time_tell_only_their_loudness(notes):
    assert Targets.of(notes) == Targets(loudness=64.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 60}, "60: a speed is from 0.5 to 30 notes per second"),
        ({"speed": 0}, "0: a speed is from"),
        ({"speed": float("nan")}, "nan: a speed is from"),
        ({"polyphony": 100}, "100: a polyphony is from 0.5 to 20 notes"),
        ({"speed": "fast"}, "fast: a speed is a number of notes per second, 'any' or None"),
        ({"loudness": 200}, "200: a loudness is from 1 to 127"),
        ({"loudness": "mff"}, "mff: no such loudness; write a velocity or a dynamic; did you mean"),
        ({"loudness": "nan"}, "nan: a loudness is from 1 to 127"),
    ],
)
def test_targets_that_no_hand_plays_are_refused(changes, message):
    with pytest.raises(ArgumentError, match=message):
        Sampling(**changes)


def test_a_loudness_is_a_dynamic_or_a_velocity():
    assert (parse_loudness("mf"), parse_loudness("70"), parse_loudness(70)) == (80, 70, 70)


def test_a_balance_at_its_targets_leaves_the_logits_alone():
    codec = NoteCodec()
    bias = np.full((1, codec.size), np.nan, np.float32)
    balance = Balance(codec, bias)
    balance.aim(Targets(SPEED, 4.0, LOUDNESS))
    balance.reset()
    pitches = slice(codec.offsets.pitch, codec.offsets.duration)
    assert np.isnan(bias[0, pitches]).all()
    assert not np.delete(bias[0], np.arange(pitches.start, pitches.stop)).any()


def test_a_slow_piece_is_pushed_towards_short_steps():
    codec = NoteCodec()
    bias = np.zeros((1, codec.size), np.float32)
    balance = Balance(codec, bias)
    balance.aim(Targets(speed=10.0))
    for _ in range(30):
        balance.measure(20, 50, 64)
    steps, ticks = bias[0, : codec.sizes.step], codec.step_ticks
    assert (np.diff(steps[ticks >= 12]) < 0).all()
    # Chords, ornaments and quick runs keep their relative probabilities.
    assert len(set(steps[ticks <= 12].tolist())) == 1
    assert not bias[0, codec.sizes.step :].any()


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 2_000), st.integers(1, 127)), max_size=300))
def test_corrections_are_bounded(notes):
    codec = NoteCodec()
    bias = np.zeros((1, codec.size), np.float32)
    balance = Balance(codec, bias)
    balance.aim(Targets(30.0, 0.5, 1.0))
    for note in notes:
        balance.measure(*note)
    assert np.isfinite(bias).all()
    assert max(map(abs, balance.state[1::3])) <= LARGEST_INTEGRAL


def test_targets_that_change_before_the_first_note_count_from_the_beginning():
    primer = Notes(start=np.arange(20) * 0.25, pitch=[60, 64] * 10, duration=[0.2] * 20, velocity=[70] * 20)
    before, after, restored = (Generator(bundled_model("small"), seed=5, speed=speed) for speed in (4.0, 12.0, 12.0))
    for generator in (before, after, restored):
        generator.prime(primer)
    snapshot = restored.snapshot()
    restored.take(50)
    restored.change(speed=20.0)
    after.change(speed=4.0)
    restored.restore(snapshot)
    restored.change(speed=4.0)
    assert before.take(300) == after.take(300) == restored.take(300)
