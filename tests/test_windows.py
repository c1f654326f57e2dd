import dataclasses

import numpy as np
import pytest

from kerasmusic import midi
from kerasmusic.codec import VELOCITY
from kerasmusic.data.corpus import open_corpus
from kerasmusic.errors import CorpusError
from kerasmusic.notes import Notes
from kerasmusic.training.windows import HIGHEST_KEY, LOWEST_KEY, Windows

pytestmark = pytest.mark.every_backend


def windows(corpus, **options):
    return Windows(corpus, "train", **{"length": 64, "batch_size": 32, "batches": 4, **options})


def end_pass(data):
    data.on_epoch_begin()
    data.on_epoch_end()


def test_every_window_is_a_run_of_one_piece(corpus):
    pieces = [piece.astype(np.int32) for piece in corpus.performances("train")]
    for window in windows(corpus, transposition=0)[0][0]:
        found = 0
        for piece in pieces:
            begins = np.flatnonzero((piece[: len(piece) - 63] == window[1]).all(axis=1))
            for begin in begins:
                before = piece[begin - 1] if begin else corpus.codec.start_note
                found += np.array_equal(piece[begin : begin + 64], window[1:]) and np.array_equal(before, window[0])
        assert found


def test_transposition_moves_a_window_as_a_whole_and_within_the_keys(corpus):
    plain, moved = windows(corpus, transposition=0), windows(corpus, transposition=6)
    original, transposed = plain[0][0], moved[0][0]
    shift = transposed[:, 1:, 1] - original[:, 1:, 1]
    assert np.all(shift == shift[:, :1])
    assert len(set(shift[:, 0].tolist())) > 4
    assert transposed[:, 1:, 1].min() >= LOWEST_KEY
    assert transposed[:, 1:, 1].max() <= HIGHEST_KEY
    assert transposed[..., 1].min() >= 0
    np.testing.assert_array_equal(original[..., [0, 2, 3]], transposed[..., [0, 2, 3]])


def times(codec, window):
    """Onsets and ends in ticks, from the first onset on."""
    onset = np.cumsum(codec.step_ticks[window[1:, 0]])
    onset -= onset[0]
    return onset, onset + codec.duration_ticks[window[1:, 2]]


def test_a_stretched_window_is_the_same_music_a_little_slower_or_faster(corpus):
    plain, stretched = (windows(corpus, transposition=0, stretch=stretch)[0][0] for stretch in (0.0, 0.05))
    factors = []
    for before, after in zip(plain, stretched, strict=True):
        before, after = before[before[:, 0] >= 0], after[after[:, 0] >= 0]
        (onset, end), (later_onset, later_end) = times(corpus.codec, before), times(corpus.codec, after)
        factor = np.ptp(later_onset) / np.ptp(onset)
        factors.append(factor)
        # Only bins one tick wide: a pause in a wider bin shifts the notes after it.
        if corpus.codec.step_ticks[before[1:, 0]].max() < 90 and np.array_equal(before[:, 1], after[:, 1]):
            np.testing.assert_allclose(later_onset, onset * factor, atol=1.6)
            short = end - onset < 150
            np.testing.assert_allclose(later_end[short], end[short] * factor, atol=2.6)
        assert sorted(before[:, [1, 3]].tolist()) == sorted(after[:, [1, 3]].tolist())
    assert 0.93 < min(factors) < 0.98 < 1.02 < max(factors) < 1.07


def test_notes_struck_together_stay_together_and_sorted_when_stretched(corpus):
    plain, stretched = (windows(corpus, transposition=0, stretch=stretch)[0][0] for stretch in (0.0, 0.05))
    together = (plain[:, 2:, 0] == 0).sum()
    assert together > 20
    assert (stretched[:, 2:, 0] == 0).sum() >= together
    sorted_by_pitch = np.diff(stretched[:, 1:, 1], axis=1)[stretched[:, 2:, 0] == 0]
    assert sorted_by_pitch.min() >= 0


def test_stretching_leaves_fillers_and_the_start_note_alone(corpus):
    longest = int(np.diff(corpus.pieces("train")).max())
    plain, stretched = (
        windows(corpus, length=longest + 10, batch_size=8, transposition=0, stretch=stretch)[0][0]
        for stretch in (0.0, 0.05)
    )
    np.testing.assert_array_equal(plain < 0, stretched < 0)
    np.testing.assert_array_equal(stretched[:, 0], np.tile(corpus.codec.start_note, (8, 1)))


def test_batches_depend_on_seed_and_number_alone(corpus):
    data = windows(corpus)
    second = data[1][0]
    np.testing.assert_array_equal(windows(corpus, first_batch=1)[0][0], second)
    assert not np.array_equal(windows(corpus, seed=1)[1][0], second)
    end_pass(data)
    np.testing.assert_array_equal(data[0][0], windows(corpus, first_batch=4)[0][0])


def test_pieces_shorter_than_a_window_are_filled_up(corpus):
    (longest,) = [int(np.diff(corpus.pieces("train")).max())]
    window = windows(corpus, length=longest + 10, batch_size=8, transposition=0)[0][0]
    np.testing.assert_array_equal(window[:, 0], np.tile(corpus.codec.start_note, (8, 1)))
    for row in window:
        filled = row[:, 0] < 0
        assert filled.any()
        assert np.all(np.diff(filled.astype(int)) >= 0)
        assert np.all(row[filled] == -1)


def test_windows_begin_everywhere_in_a_piece(corpus):
    data = windows(corpus, batch_size=4000, length=32, transposition=0)
    beginnings = {row[:4].tobytes() for row in data[0][0]}
    possible = int((data.ends - data.starts - 32 + 1).sum())
    expected = possible * (1 - (1 - 1 / possible) ** 4000)
    assert len(beginnings) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("stretch", [0.0, 0.05])
def test_a_context_is_what_stands_before_the_window(corpus, stretch):
    data = windows(corpus, length=32, context=50, batch_size=200, stretch=stretch)
    batch = data[0][0]
    assert batch.shape == (200, 83, 4)
    assert all(np.all(np.diff((row[:, 0] < 0).astype(int)) <= 0) for row in batch[:, :-32])
    early = batch[:, 0, 0] < 0
    assert 0 < early.sum() < 100
    for row in batch[early]:
        begin = np.flatnonzero(row[:, 0] >= 0)[0]
        np.testing.assert_array_equal(row[begin], corpus.codec.start_note)
    if not stretch:
        np.testing.assert_array_equal(batch[:, 50:], windows(corpus, length=32, batch_size=200)[0][0])
        pieces = [piece.astype(np.int32) for piece in corpus.performances("train")]
        moved = windows(corpus, length=32, context=50, batch_size=200, transposition=0)[0][0]
        for row in moved[~early][:20]:
            assert any(
                np.array_equal(piece[begin : begin + 83], row)
                for piece in pieces
                for begin in np.flatnonzero((piece[: max(0, len(piece) - 82)] == row[0]).all(axis=1))
            )


def test_an_empty_split_is_refused(corpus):
    with pytest.raises(CorpusError, match="test: no performances"):
        Windows(corpus, "test", length=8, batch_size=1, batches=1)


def test_batches_have_their_length_size_and_kind(corpus):
    data = windows(corpus, length=20, batch_size=7, batches=3)
    assert len(data) == 3
    assert data[2][0].shape == (7, 21, 4)
    assert data[2][0].dtype == np.int32
    assert data.notes == corpus.summary()["train"]["notes"]


def test_the_start_note_is_never_transposed(corpus):
    whole_pieces = windows(corpus, length=int(np.diff(corpus.pieces("train")).max()))
    np.testing.assert_array_equal(whole_pieces[0][0][:, 0], np.tile(corpus.codec.start_note, (32, 1)))


def test_transposition_keeps_the_interval_from_the_note_before(corpus):
    plain, moved = windows(corpus, transposition=0)[0][0], windows(corpus, transposition=6)[0][0]
    inside = plain[:, 0].any(axis=1)
    assert inside.sum() > 16
    np.testing.assert_array_equal(np.diff(moved[inside, :, 1]), np.diff(plain[inside, :, 1]))


def test_windows_that_do_not_advance_come_again(corpus):
    data = windows(corpus, advance=False)
    first = data[0][0]
    end_pass(data)
    np.testing.assert_array_equal(data[0][0], first)
    data.advance = True
    end_pass(data)
    assert not np.array_equal(data[0][0], first)


def test_no_pitch_leaves_the_piano_that_was_on_it(tmp_path):
    pitch = np.resize([10, 21, 60, 108, 120], 200)
    midi.write(Notes(np.arange(200) / 10, pitch, np.full(200, 0.05), np.full(200, 64)), tmp_path / "wide.mid")
    corpus = open_corpus(tmp_path, cache=tmp_path / "cache")
    # Windows of one note that is off the piano may move towards it, others stay on it.
    plain, moved = (windows(corpus, length=1, batch_size=500, transposition=t)[0][0][:, 1, 1] for t in (0, 5))
    on_piano = (plain >= LOWEST_KEY) & (plain <= HIGHEST_KEY)
    assert moved[on_piano].min() == LOWEST_KEY
    assert moved[on_piano].max() == HIGHEST_KEY
    assert np.all(moved[plain < LOWEST_KEY] >= 10)
    assert np.all(moved[plain > HIGHEST_KEY] <= 120)
    assert np.any(moved[plain == 60] != 60)


def two_short_pieces(folder):
    """A corpus of two pieces to train on, of five and of nine notes, no two of one pitch."""
    for name, pitch in (("short", range(40, 45)), ("long", range(60, 69))):
        count = len(pitch)
        midi.write(Notes(np.arange(count) / 2, pitch, np.full(count, 0.2), np.full(count, 64)), folder / f"{name}.mid")
    (folder / "table.csv").write_text("midi_filename,split\nshort.mid,train\nlong.mid,train\n")
    return open_corpus(folder, cache=folder / "cache")


def test_every_whole_window_of_every_piece_is_equally_likely(tmp_path):
    data = windows(two_short_pieces(tmp_path), length=4, batch_size=8000, transposition=0)
    first, counts = np.unique(data[0][0][:, 1, 1], return_counts=True)
    assert first.tolist() == [40, 41, 60, 61, 62, 63, 64, 65]
    # Eight windows, a thousand draws each; 150 is five standard deviations.
    assert np.abs(counts - 1000).max() < 150


def test_a_window_ends_with_its_piece(tmp_path):
    data = windows(two_short_pieces(tmp_path), length=7, batch_size=200, transposition=0)
    assert {tuple(row) for row in data[0][0][:, :, 1].tolist()} == {
        (0, 40, 41, 42, 43, 44, -1, -1),
        *((first - 1 if first > 60 else 0, *range(first, first + 7)) for first in (60, 61, 62)),
    }


def test_transposition_leaves_the_note_before_a_window_a_midi_pitch(tmp_path):
    pitch = np.resize([0, 60, 127, 60], 200)
    midi.write(Notes(np.arange(200) / 10, pitch, np.full(200, 0.05), np.full(200, 64)), tmp_path / "edges.mid")
    corpus = open_corpus(tmp_path, cache=tmp_path / "cache")
    before = windows(corpus, length=1, batch_size=500)[0][0][:, 0, 1]
    assert before.min() >= 0
    assert before.max() <= 127


def test_batches_one_after_another_share_no_run_of_windows(tmp_path):
    data = windows(two_short_pieces(tmp_path), length=4, batch_size=2000, transposition=0)
    one, two = (data[index][0][:, 1, 1] for index in (0, 1))
    for lag in range(20):
        # An eighth agree by chance; a fifth is ten standard deviations more.
        assert np.mean(one[lag:] == two[: len(two) - lag]) < 0.2


def rows_of(piece, window):
    """Returns True if a window is of a piece, by its velocities, which stretching sorts but does not change."""
    velocity = np.lib.stride_tricks.sliding_window_view(piece[:, VELOCITY].astype(np.int32), len(window))
    return (np.sort(velocity, axis=1) == np.sort(window[:, VELOCITY])).all(axis=1).any()


@pytest.mark.parametrize("stretch", [0.0, 0.05])
def test_a_windows_style_is_the_composer_of_its_piece(corpus, stretch):
    styles = ["Verdi", "Chopin", "Bach"]
    pieces = dict(zip(corpus.composers_of("train"), corpus.performances("train"), strict=True))
    assert set(pieces) == {"Bach", "Chopin"}
    ((notes, style),) = windows(corpus, styles=styles, batch_size=200, stretch=stretch)[1]
    assert style.shape == (200,)
    assert style.dtype == np.int32
    assert set(style.tolist()) == {-1, 1, 2}
    for window, index in zip(notes, style.tolist(), strict=True):
        composers = {composer for composer, piece in pieces.items() if rows_of(piece, window[1:])}
        assert composers == {styles[index]} if index >= 0 else composers


def test_half_of_the_windows_are_without_their_style_and_all_are_the_same_as_without_styles(corpus):
    styled, plain = windows(corpus, styles=["Bach", "Chopin"], batch_size=4000), windows(corpus, batch_size=4000)
    for batch in range(2):
        ((notes, style),) = styled[batch]
        np.testing.assert_array_equal(notes, plain[batch][0])
        assert 0.46 < (style == -1).mean() < 0.54
    assert not np.array_equal(styled[0][0][1], styled[1][0][1])
    np.testing.assert_array_equal(styled[1][0][1], style)


def test_a_composer_that_is_no_style_is_as_one_that_nobody_knows(corpus):
    ((_, style),) = windows(corpus, styles=["Verdi", "Chopin"], batch_size=1000)[0]
    assert set(style.tolist()) == {-1, 1}
    unknown = dataclasses.replace(corpus, composers=[None] * len(corpus.composers))
    ((_, style),) = windows(unknown, styles=["Verdi", "Chopin"])[0]
    assert set(style.tolist()) == {-1}


def test_a_process_takes_the_styles_of_its_windows(corpus):
    ((notes, style),) = windows(corpus, styles=["Bach", "Chopin"])[0]
    ((own_notes, own_style),) = windows(corpus, styles=["Bach", "Chopin"], rows=slice(8, 16))[0]
    np.testing.assert_array_equal(own_notes, notes[8:16])
    np.testing.assert_array_equal(own_style, style[8:16])
