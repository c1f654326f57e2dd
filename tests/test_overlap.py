import dataclasses

import numpy as np
import pytest

from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.overlap import MIN_GRAMS, TIMING_NOTES, find_overlaps, held_out, pitch_grams, timing_grams
from kerasmusic.notes import Notes


@pytest.fixture
def held(corpus):
    """The notes of the corpus's held-out performance."""
    (index,) = held_out(corpus)
    return corpus.codec.decode(corpus.fields[corpus.bounds[index] : corpus.bounds[index + 1]])


def corpus_of(corpus, *performances, split="train"):
    """A copy of a corpus with the given notes."""
    fields = [corpus.codec.encode(notes).astype(np.int16) for notes in performances]
    return dataclasses.replace(
        corpus,
        fields=np.concatenate(fields),
        bounds=np.cumsum([0, *map(len, fields)]),
        names=[f"{index}.mid" for index in range(len(fields))],
        splits=[split] * len(fields),
        path=corpus.path / "another",
    )


def altered(notes, semitones=0, factor=1.0):
    return Notes(notes.start * factor, notes.pitch + semitones, notes.duration * factor, notes.velocity)


def test_a_copy_is_found_under_any_name_as_the_same_recording(corpus, held):
    (overlap,) = find_overlaps(corpus_of(corpus, held), corpus)
    (index,) = held_out(corpus)
    assert (overlap.name, overlap.split, overlap.what) == ("0.mid", "train", "recording")
    assert (overlap.other, overlap.other_split, overlap.share) == (corpus.names[index], "validation", 1.0)


@pytest.mark.parametrize("semitones", [0, -5, 7])
@pytest.mark.parametrize("factor", [0.9, 1.0, 1.07, 1.25])
def test_a_copy_that_was_transposed_and_stretched_is_found(corpus, held, semitones, factor):
    (overlap,) = find_overlaps(corpus_of(corpus, altered(held, semitones, factor)), corpus)
    assert overlap.what == "recording"


@pytest.mark.parametrize(("first", "last"), [(0, 80), (300, 400), (200, None)])
def test_a_copy_that_was_cut_is_found_and_so_is_a_longer_one(corpus, held, first, last):
    excerpt = altered(held[first:last], semitones=3, factor=1.1)
    (overlap,) = find_overlaps(corpus_of(corpus, excerpt), corpus)
    assert overlap.what == "recording"
    (overlap,) = find_overlaps(corpus_of(corpus, held), corpus_of(corpus, excerpt, split="test"))
    assert (overlap.what, overlap.other_split) == ("recording", "test")


def test_the_same_notes_in_another_rhythm_are_the_same_composition(corpus, held):
    random = np.random.default_rng(0)
    steps = np.diff(held.start, prepend=held.start[0])
    # Chords stay chords.
    steps = np.where(steps < 0.05, steps, steps * random.uniform(0.1, 4.0, len(steps)))
    (overlap,) = find_overlaps(
        corpus_of(corpus, Notes(np.cumsum(steps), held.pitch + 2, held.duration, held.velocity)), corpus
    )
    assert overlap.what == "composition"


def test_other_music_is_not_found(corpus):
    assert list(find_overlaps(corpus, corpus)) == []


def test_performances_held_out_twice_are_found_in_a_corpus_compared_with_itself(corpus, held):
    twice = corpus_of(corpus, held, altered(held, 1), split="validation")
    assert [(overlap.name, overlap.other) for overlap in find_overlaps(twice, twice)] == [
        ("0.mid", "1.mid"),
        ("1.mid", "0.mid"),
    ]


def test_only_the_split_that_was_asked_for_is_looked_at(corpus, held):
    assert list(find_overlaps(corpus_of(corpus, held), corpus, split="validation")) == []
    assert len(list(find_overlaps(corpus_of(corpus, held), corpus, split="train"))) == 1


def test_against_a_corpus_of_which_nothing_is_held_out_nothing_is_found(corpus, held):
    assert list(find_overlaps(corpus, corpus_of(corpus, held))) == []


@pytest.mark.parametrize("grams", [timing_grams, pitch_grams])
def test_fewer_notes_than_a_gram_takes_have_none(grams):
    counts = [len(grams(np.full(length, 10), np.arange(length))) for length in (0, 1, 9, 12)]
    assert counts == [0, 0, 0, 1]


def test_a_performance_too_short_to_tell_is_not_found_and_one_just_long_enough_is(corpus, held):
    least = MIN_GRAMS + TIMING_NOTES - 1
    assert list(find_overlaps(corpus_of(corpus, held[: least - 1]), corpus)) == []
    assert len(list(find_overlaps(corpus_of(corpus, held[:least]), corpus))) == 1


def test_a_scale_that_is_in_both_is_no_overlap_and_nor_is_one_note_repeated(corpus, held):
    pitch = np.array([48, 50, 52, 53, 55, 57, 59, 60, 62, 64, 65, 67, 69, 71, 72])
    scale = Notes(np.arange(15) * 0.1, pitch, np.full(15, 0.1), np.full(15, 64))
    repeated = Notes(np.arange(300) * 0.2, np.full(300, 60), np.full(300, 0.1), np.full(300, 64))
    other = corpus.codec.decode(next(corpus.performances("train")))

    def followed_by_scale(notes):
        later = scale.shifted(float(notes.start[-1]) + 0.1)
        columns = ("start", "pitch", "duration", "velocity")
        return Notes(*(np.concatenate([getattr(notes, each), getattr(later, each)]) for each in columns))

    for first, second in ((followed_by_scale(other[:400]), followed_by_scale(held[:400])), (repeated, repeated)):
        there = corpus_of(corpus, second, split="validation")
        assert list(find_overlaps(corpus_of(corpus, altered(first, 1)), there)) == []


def test_performances_cleaned_by_pitches_leave_one_transposed_mazurka_in_maestros_validation(maestro, tmp_path):
    cleaned = maestro.with_name("performances.zip")
    if not cleaned.exists():
        pytest.skip("needs the performances of SUPRA and ASAP")
    overlaps = list(find_overlaps(open_corpus(cleaned, cache=tmp_path), open_corpus(maestro, cache=tmp_path)))
    assert [(overlap.name, overlap.what) for overlap in overlaps] == [("supra/nq087cp3030_exp.mid", "composition")]


def test_maestros_training_split_shares_nothing_with_its_held_out_splits(maestro, tmp_path):
    corpus = open_corpus(maestro, cache=tmp_path)
    assert list(find_overlaps(corpus, corpus, split="train")) == []


def test_altered_copies_of_maestros_validation_are_all_found_as_recordings(maestro, tmp_path):
    corpus = open_corpus(maestro, cache=tmp_path)
    performances = [corpus.codec.decode(fields) for fields in corpus.performances("validation")][::5]
    random = np.random.default_rng(0)
    copies = []
    for notes in performances:
        first = int(random.integers(0, len(notes) // 2))
        cut = notes[first : first + max(400, len(notes) // 3)]
        shift = int(np.clip(random.integers(-6, 7), -cut.pitch.min(), 127 - cut.pitch.max()))
        copies.append(altered(cut, shift, random.uniform(0.85, 1.3)))
    overlaps = list(find_overlaps(corpus_of(corpus, *copies), corpus))
    assert [overlap.what for overlap in overlaps] == ["recording"] * len(copies)
