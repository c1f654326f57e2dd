import dataclasses
import itertools
import json
import zipfile

import numpy as np
import pytest

from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.edge.controls import parse_key
from kerasmusic.edge.generator import DENSEST, HEARD_NOTES
from kerasmusic.edge.model_file import CHECKSUM, FORMAT, read_model_bytes, read_record, with_record
from kerasmusic.edge.sampling import Sampling, SamplingChanges
from kerasmusic.errors import ArgumentError, ModelFileError
from kerasmusic.notes import Note, Notes
from long_run import play

pytestmark = pytest.mark.device


@pytest.fixture(params=["small", "tutorial"])
def model(request, exported):
    return exported[request.param][1]


@pytest.fixture
def small(exported):
    return exported["small"][1]


def test_a_seed_names_a_piece(model):
    first = Generator(model, seed=7).take(200)
    assert Generator(model, seed=7).take(200) == first
    assert Generator(model, seed=8).take(200) != first
    again = Generator(model, seed=7)
    assert Notes.from_iterable([*again.take(90), *again.take(110)]) == first
    again.reset()
    assert again.take(200) == first


def test_it_plays_notes_in_order_without_end(model):
    notes = list(itertools.islice(Generator(model, seed=1), 300))
    assert all(isinstance(note, Note) for note in notes)
    assert all(a.start <= b.start for a, b in itertools.pairwise(notes))
    assert all(note.duration > 0 and 1 <= note.velocity <= 127 for note in notes)


def test_a_seed_that_was_not_given_can_be_found_out(small):
    generator = Generator(small)
    assert Generator(small, seed=generator.seed).take(50) == generator.take(50)


def test_take_ends_with_the_notes_or_the_seconds(small):
    assert len(Generator(small, seed=1).take(10)) == 10
    notes = Generator(small, seed=1).take(seconds=5)
    assert notes.start[-1] < 5
    assert len(Generator(small, seed=1).take(3, seconds=5000)) == 3


def test_a_model_whose_time_stands_still_is_stopped(exported):
    runtime = TFLiteRuntime(exported["tutorial"][1])
    run, generator = runtime.run, Generator(runtime, seed=0)

    def stand_still():
        run()
        runtime.note[0, 0] = 0

    runtime.run = stand_still
    notes = generator.take(seconds=2)
    assert len(notes) == 2 * DENSEST
    assert notes.start.max() == 0


def test_it_stays_in_key_and_range(small):
    notes = Generator(small, seed=3, key="D minor", pitch_range="C3-C5", temperature=1.5).take(200)
    assert set(notes.pitch % 12) <= parse_key("D minor")
    assert notes.pitch.min() >= 48
    assert notes.pitch.max() <= 72
    assert len(set(notes.pitch.tolist())) > 5


def test_a_seeds_random_numbers_are_one_sequence_of_philoxs(small):
    generator = Generator(small, seed=7)
    expected = np.random.Generator(np.random.Philox(key=7)).random((3_000, 4), dtype=np.float32)
    for number in (0, 1, 1_023, 1_024, 2_999, 5):
        np.testing.assert_array_equal(generator._uniform(number), expected[number])


def test_it_goes_back_to_where_it_was(small):
    generator = Generator(small, seed=7)
    generator.take(1_020)
    snapshot = generator.snapshot()
    first = generator.take(40)
    generator.restore(snapshot)
    assert generator.take(40) == first


def test_settings_change_from_the_next_note_on(small):
    generator = Generator(small, seed=7)
    before = generator.take(50)
    generator.change(key="D minor", speed=4.0)
    after = generator.take(200)
    assert before == Generator(small, seed=7).take(50)
    assert set(after.pitch % 12) <= parse_key("D minor")
    generator.sampling = Sampling()
    assert not set(generator.take(200).pitch % 12) <= parse_key("D minor")


def test_changing_one_setting_keeps_the_others(small):
    generator = Generator(small, seed=7, key="D minor", min_p=0.1, speed=6.0)
    generator.change(temperature=0.9)
    assert generator.sampling == Sampling(key="D minor", min_p=0.1, speed=6.0, temperature=0.9)
    assert set(generator.take(100).pitch % 12) <= parse_key("D minor")
    generator.change(key=None)
    assert generator.sampling == Sampling(min_p=0.1, speed=6.0, temperature=0.9)
    np.testing.assert_allclose(generator._runtime.min_p, [[0.1] * 4])


def test_settings_that_are_refused_leave_those_before(small):
    generator = Generator(small, seed=7, key="D minor")
    with pytest.raises(ArgumentError, match="C4-C4: has no pitch of the key D major"):
        generator.change(key="D major", pitch_range="C4-C4")
    assert generator.sampling == Sampling(key="D minor")


def test_every_setting_is_a_keyword_of_the_generator():
    assert SamplingChanges.__optional_keys__ == {field.name for field in dataclasses.fields(Sampling)}


def test_forgetting_goes_on_with_other_random_numbers(small):
    generator = Generator(small, seed=7)
    first = generator.take(50)
    generator.forget()
    again = generator.take(50)
    assert again != first
    assert again.start[0] < first.start[-1]


def test_a_player_gives_the_pitch_or_the_time_and_the_model_the_rest(small):
    generator = Generator(small, seed=7)
    notes = [generator.complete(pitch=60 + index % 3) for index in range(30)]
    assert [note.pitch for note in notes] == [60, 61, 62] * 10
    assert len({note.start - before.start for before, note in itertools.pairwise(notes)}) > 5
    last = notes[-1].start
    timed = [generator.complete(step=0.25) for _ in range(30)]
    np.testing.assert_allclose([note.start for note in timed], last + 0.25 * np.arange(1, 31))
    assert len({note.pitch for note in timed}) > 5


def test_a_temperature_of_zero_needs_no_seed(small):
    free = {"speed": None, "polyphony": None, "loudness": None}
    first, second = (Generator(small, seed=seed, temperature=0, **free) for seed in (1, 2))
    assert first.take(30) == second.take(30)
    cold = Generator(small, seed=1, temperature={"pitch": 0.0}).take(30)
    assert cold != Generator(small, seed=1).take(30)


def test_scoring_goes_through_the_same_graph_and_disturbs_nothing(small, notes):
    generator, undisturbed = Generator(small, seed=5), Generator(small, seed=5)
    generator.take(20)
    undisturbed.take(20)
    scores = generator.score(notes.without_leading_silence()[:50])
    assert scores.shape == (50, 4)
    assert np.all(scores < 0)
    assert generator.take(20) == undisturbed.take(20)
    np.testing.assert_array_equal(generator.score(notes.without_leading_silence()[:50]), scores)


def test_what_it_was_primed_with_changes_what_comes_and_when(small, notes):
    primer = notes.without_leading_silence()[:60]
    primed = Generator(small, seed=5)
    primed.prime(primer)
    music = primed.take(30)
    assert music.start[0] >= primed.codec.decode(primed.codec.encode(primer)).start[-1]
    assert music.pitch.tolist() != Generator(small, seed=5).take(30).pitch.tolist()


def test_its_own_notes_as_primer_bring_it_where_it_was(small):
    played, primed = Generator(small, seed=5), Generator(small, seed=5)
    # As fields: as notes, those of one onset would be put in the order of their pitches.
    first = []
    for _ in range(40):
        next(played)
        first.append(played._runtime.note[0].copy())
    primed.prime_fields(np.stack(first))
    np.testing.assert_allclose(primed._runtime.state, played._runtime.state, atol=1e-5)


def test_of_a_long_primer_the_last_notes_are_fed_and_the_others_take_their_time(small, notes):
    long, short = Generator(small, seed=5), Generator(small, seed=5)
    fields = np.resize(long.codec.encode(notes.without_leading_silence()), (HEARD_NOTES + 700, 4))
    long.prime_fields(fields)
    short.prime_fields(fields[:700])
    time = short.seconds
    short.forget()
    short._runtime.previous[:] = fields[699]
    short.prime_fields(fields[700:])
    assert long.seconds == pytest.approx(time + short.seconds)
    music, expected = long.take(30), short.take(30)
    assert music.pitch.tolist() == expected.pitch.tolist()
    np.testing.assert_allclose(music.start, expected.start + time)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -0.5}, "-0.5: a temperature is 0 or more"),
        ({"temperature": float("nan")}, "nan: a temperature"),
        ({"min_p": 1.5}, "1.5: a min_p is from 0 to 1"),
        ({"temperature": {"tempo": 1.0}}, "tempo: no such field"),
        ({"key": "X"}, "X: no such key"),
        ({"seed": -1}, "-1: a seed"),
    ],
)
def test_arguments_out_of_range_are_refused_with_their_value(small, wrong, message):
    with pytest.raises(ArgumentError, match=message):
        Generator(small, **{"seed": 0, **wrong})


@pytest.mark.parametrize("kind", ["tiny", "echoing", "tutorial"])
def test_however_hot_or_cold_it_plays_notes(exported, kind):
    runtime = TFLiteRuntime(exported[kind][1])
    for temperature in (0, 1e-300, 1e-45, 1e-38, 1e-10, 1e3, 1e30, 3.4e38):
        for min_p in (0, 1e-45, 0.5, 1):
            notes = Generator(runtime, seed=1, temperature=temperature, min_p=min_p).take(30)
            assert len(notes) == 30
            assert np.isfinite(runtime.state).all()


def test_a_temperature_that_no_step_can_hold_is_refused(small):
    for temperature in (1e39, 1e308, float("inf")):
        with pytest.raises(ArgumentError, match=r"a temperature is 0 or more, up to 3\.4e\+38"):
            Generator(small, temperature=temperature)


@pytest.mark.parametrize("kind", ["tiny", "tutorial"])
@pytest.mark.parametrize("bias", [-1e4, 1e4, 3e38, -3e38, np.inf, -np.inf, np.nan])
def test_whatever_the_bias_it_plays_notes(exported, kind, bias):
    runtime = TFLiteRuntime(exported[kind][1])
    generator = Generator(runtime, seed=1)
    for biased in (slice(None), slice(0, 1), slice(130, 140)):
        runtime.bias[:] = 0
        runtime.bias[0, biased] = bias
        assert len(generator.take(20)) == 20
        assert np.isfinite(runtime.state).all()
    generator = Generator(runtime, seed=1, pitch_range="C4-C4", key="C major")
    assert set(generator.take(50).pitch.tolist()) == {60}


MANY = np.arange(100_000)


@pytest.mark.parametrize(
    "primer",
    {
        "empty": Notes.empty(),
        "one note": Notes([3.0], [60], [0.5], [64]),
        "100,000 notes": Notes(
            np.arange(100_000) / 20, np.arange(100_000) % 128, np.full(100_000, 0.3), [64] * 100_000
        ),
        "all one pitch": Notes(np.arange(3_000) / 50, [60] * 3_000, [9.0] * 3_000, [127] * 3_000),
        "all at once": Notes([0.0] * 2_000, np.arange(2_000) % 128, [0.0] * 2_000, [1] * 2_000),
        "a day apart": Notes([0.0, 86_400.0], [0, 127], [86_400.0, 1e9], [1, 127]),
    }.items(),
    ids=lambda primer: primer[0],
)
@pytest.mark.parametrize("kind", ["tiny", "tutorial"])
def test_any_primer_is_heard_and_followed_by_notes(exported, kind, primer):
    runtime = TFLiteRuntime(exported[kind][1])
    generator = Generator(runtime, seed=1)
    generator.prime(primer[1])
    notes = generator.take(30)
    assert len(notes) == 30
    assert np.isfinite(runtime.state).all()
    heard = generator.codec.encode(primer[1])
    assert notes.start[0] >= generator.codec.step_ticks[heard[:, 0]].sum() / 100


def test_seconds_without_end_are_refused(small):
    for seconds in (float("inf"), float("nan")):
        with pytest.raises(ArgumentError, match="have no end"):
            Generator(small, seed=1).take(seconds=seconds)


def test_a_model_that_plays_what_its_codec_does_not_have_is_found_out(exported):
    for index, value in itertools.product(range(4), (-1, 10_000)):
        runtime = TFLiteRuntime(exported["tutorial"][1])
        run, generator = runtime.run, Generator(runtime, seed=0)
        assert generator.take(3)

        def go_wrong(run=run, runtime=runtime, index=index, value=value):
            run()
            runtime.note[0, index] = value

        runtime.run = go_wrong
        with pytest.raises(ModelFileError, match=rf"the fields \[.*{value}.*\], which its codec does not have"):
            next(generator)


def test_fields_that_the_codec_does_not_have_end_in_an_error(exported):
    runtime = TFLiteRuntime(exported["tiny"][1])
    generator = Generator(runtime, seed=0)
    with pytest.raises(ArgumentError, match="note 1 has 128 for its pitch, not within 0 to 127"):
        list(generator.score_fields([np.array([[0, 60, 0, 0], [0, 128, 0, 0]])]))
    runtime.previous[:] = 10_000
    with pytest.raises(ModelFileError, match=r"the model's step failed \(.*; its file is damaged, or it was given"):
        runtime.run()


def test_a_long_piece_keeps_its_time_its_range_and_its_memory(exported):
    seen = play(exported["tiny"][1], 30_000, seed=1, look_every=10_000)
    assert seen.faults == []
    assert seen.notes == 30_000
    assert seen.drift < 1e-9


def test_files_that_are_no_model_are_refused_with_a_way_out(small, tmp_path):
    data = read_model_bytes(small)
    flatbuffer = data[: data.index(b"PK\x03\x04")]
    (tmp_path / "text.tflite").write_text("no model at all")
    (tmp_path / "bare.tflite").write_bytes(flatbuffer)
    (tmp_path / "cut.tflite").write_bytes(data[: len(data) // 2])
    record = read_record(data, "small")
    (tmp_path / "newer.tflite").write_bytes(with_record(flatbuffer, {**record, "format": FORMAT + 1}))
    (tmp_path / "other.tflite").write_bytes(with_record(flatbuffer, {**record, "state_size": 7}))
    codec = {**record["codec"], "step_edges": record["codec"]["step_edges"][:-1]}
    (tmp_path / "codec.tflite").write_bytes(with_record(flatbuffer, {**record, "codec": codec}))
    flipped = bytearray(data)
    flipped[len(flatbuffer) // 2] ^= 1
    (tmp_path / "flipped.tflite").write_bytes(flipped)
    with zipfile.ZipFile(tmp_path / "bomb.tflite", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kerasmusic.json", b"[" * 50_000_000)
    (tmp_path / "bomb.tflite").write_bytes(flatbuffer + (tmp_path / "bomb.tflite").read_bytes())
    for name, message in [
        ("absent.tflite", "no such file"),
        ("text.tflite", "not a TFLite file"),
        ("bare.tflite", "without kerasmusic.json"),
        ("cut.tflite", "cut short"),
        ("newer.tflite", "upgrade"),
        ("flipped.tflite", "is damaged, its graph is not the one that was exported"),
        ("bomb.tflite", "without kerasmusic.json"),
        ("codec.tflite", r"its bias has shape \[1, 544\], but its record says \[1, 543\]"),
        ("other.tflite", rf"its state has shape \[1, {record['state_size']}\], but its record says \[1, 7\]"),
    ]:
        with pytest.raises(ModelFileError, match=message) as caught:
            TFLiteRuntime(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_file_without_a_checksum_as_of_before_still_plays(small, tmp_path):
    data = read_model_bytes(small)
    record = read_record(data, "small")
    assert record.pop(CHECKSUM)
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("kerasmusic.json", json.dumps(record))
    (tmp_path / "old.tflite").write_bytes(data[: data.index(b"PK\x03\x04")] + (tmp_path / "old.zip").read_bytes())
    assert Generator(tmp_path / "old.tflite", seed=1).take(20) == Generator(small, seed=1).take(20)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (0.5, "holds 0.5, and that of this model has whole numbers below 2"),
        (2.0**24, "holds 1.67772e.07"),
        (np.nan, "holds nan"),
        (None, "its state has 9 numbers, and this model has"),
    ],
)
def test_a_snapshot_of_another_model_is_refused(state, message):
    generator = Generator(bundled_model(), seed=1)
    generator.take(20)
    snapshot = generator.snapshot()
    expected = generator.take(20)
    if state is None:
        other = snapshot._replace(state=np.zeros((1, 9), np.float32))
    else:
        other = snapshot._replace(state=np.full_like(snapshot.state, state))
    with pytest.raises(ArgumentError, match=message):
        generator.restore(other)
    generator.restore(snapshot)
    assert generator.take(20) == expected
