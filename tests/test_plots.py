import numpy as np
import pytest

from kerasmusic import plots
from kerasmusic.codec import FIELDS
from kerasmusic.notes import Notes


def test_a_piano_roll_has_a_bar_for_each_note_coloured_by_velocity(notes):
    figure = plots.piano_roll(notes, title="A piece", first=100)
    axes = figure.axes[0]
    (bars,) = axes.collections
    assert len(bars.get_paths()) == 100
    np.testing.assert_array_equal(bars.get_array(), notes.velocity[:100])
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("time [s]", "pitch", "A piece")
    assert "C4" in [label.get_text() for label in axes.get_yticklabels()]
    low, high = axes.get_ylim()
    assert low < notes.pitch[:100].min()
    assert high > notes.pitch[:100].max()


def test_no_notes_make_an_empty_picture(tmp_path):
    plots.save(plots.piano_roll(Notes.empty()), tmp_path / "empty.svg")
    assert "<svg" in (tmp_path / "empty.svg").read_text()


def test_a_trainings_loss_is_drawn_by_field(tmp_path):
    history = {"minutes": [0.1, 0.2], "loss": [4.0, 3.0], "val_loss": [float("nan"), 3.5]}
    history |= {field: [1.0, 0.8] for field in FIELDS} | {f"val_{field}": [float("nan"), 0.9] for field in FIELDS}
    axes = plots.loss_curves(history).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["all fields", *FIELDS]
    assert axes.get_xlabel() == "minutes"
    plots.save(plots.loss_curves(history), tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_trainings_are_drawn_side_by_side_with_their_last_loss():
    slow = {"minutes": [1.0, 2.0, 3.0], "val_loss": [12.0, float("nan"), 11.25]}
    fast = {"minutes": [1.0, 2.0], "val_loss": [11.0, 10.5]}
    axes = plots.validation_curves({"slow": slow, "fast": fast}).axes[0]
    assert [line.get_xdata().tolist() for line in axes.get_lines()] == [[1, 3], [1, 2]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["slow", "fast"]
    assert [text.get_text() for text in axes.texts] == ["11.25", "10.50"]


@pytest.mark.parametrize("pitch", [21, 108])
def test_the_ends_of_the_keyboard_are_within_the_picture(pitch):
    low, high = plots.piano_roll(Notes([0], [pitch], [1], [64])).axes[0].get_ylim()
    assert low < pitch < high
