import os
import subprocess
import sys

import numpy as np
import pytest

from kerasmusic import midi, plots
from kerasmusic.codec import FIELDS
from kerasmusic.command_line import main
from kerasmusic.errors import ArgumentError
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


@pytest.mark.parametrize("validation", [float("nan"), 5.0])
def test_a_training_of_one_round_is_seen(validation):
    history = {"minutes": [0.02], "loss": [3.0], "val_loss": [validation]}
    history |= {field: [0.8] for field in FIELDS} | {f"val_{field}": [validation / 4] for field in FIELDS}
    axes = plots.loss_curves(history).axes[0]
    training = [line for line in axes.get_lines() if line.get_marker() == "x"]
    assert [line.get_ydata().tolist() for line in training] == [[3.0], *[[0.8]] * 4]
    points = [(x, y) for line in axes.get_lines() for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
    assert len(points) == (5 if np.isnan(validation) else 10)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and bottom < y < top for x, y in points)


def test_a_training_without_a_round_is_refused():
    with pytest.raises(ArgumentError, match="no loss to draw"):
        plots.loss_curves({})


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


def test_distributions_are_shares_of_each_pieces_own_notes(notes):
    figure = plots.distributions({"real": notes, "generated": notes[:200]})
    by_label = {axes.get_xlabel(): axes for axes in figure.axes}
    assert set(by_label) == {"pitch", "step [s]", "duration [s]", "velocity"}
    for name in ("pitch", "velocity"):
        for bars, piece in zip(by_label[name].patches, (notes, notes[:200]), strict=True):
            heights, edges, _ = bars.get_data()
            assert heights.sum() == pytest.approx(100)
            inside = (getattr(piece, name) > edges[3]) & (getattr(piece, name) < edges[4])
            assert heights[3] == pytest.approx(100 * inside.mean())
    # The tutorial leaves out the longest 2.5 % of the times.
    real, _ = by_label["duration [s]"].patches
    assert real.get_data().edges[-1] == pytest.approx(np.percentile(notes.duration, 97.5))
    assert real.get_data().values.sum() == pytest.approx(97.5, abs=0.2)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["real", "generated"]
    assert "C4" in [label.get_text() for label in by_label["pitch"].get_xticklabels()]
    assert "share" in by_label["pitch"].get_ylabel()


@pytest.mark.parametrize("low", [0, 1, 2])
@pytest.mark.parametrize("high", [63, 64, 65, 66, 125, 126, 127])
def test_the_lowest_and_the_highest_note_are_among_the_shares(low, high):
    piece = Notes([0, 1, 2, 3], [low, 60, high, high], [1, 1, 0, 2], [1, 127, 64, 64])
    figure = plots.distributions({"real": piece, "generated": piece[1:]}, drop_percentile=0)
    for axes in figure.axes:
        for bars in axes.patches:
            assert bars.get_data().values.sum() == pytest.approx(100), axes.get_xlabel()


def test_one_pieces_distributions_are_called_by_its_name(notes):
    figure = plots.distributions({"a piece": notes})
    assert figure.get_suptitle() == "a piece"
    assert not figure.legends


def test_no_notes_have_no_distribution():
    with pytest.raises(ArgumentError, match="nothing: there are no notes"):
        plots.distributions({"nothing": Notes.empty()})


@pytest.fixture
def files(notes, tmp_path):
    """Two MIDI files and two runs."""
    for name in ("real", "generated"):
        midi.write(notes[:300], tmp_path / f"{name}.mid")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        columns = ["minutes", "loss", "val_loss", *FIELDS, *(f"val_{field}" for field in FIELDS)]
        (tmp_path / name / "history.csv").write_text(
            f"{','.join(columns)}\n{','.join(['1'] * len(columns))}\n{','.join(['2'] * len(columns))}\n"
        )
    return tmp_path


def test_the_kind_of_the_files_decides_the_plot(files):
    def labels(*names, **options):
        figure = plots.figure_of([files / name for name in names], **options)
        return [axes.get_xlabel() for axes in figure.axes], figure

    assert labels("real.mid")[0][0] == "time [s]"
    assert "real.mid: first 40 notes" in labels("real.mid", first=40)[1].axes[0].get_title()
    assert "pitch" in labels("real.mid", shares=True)[0]
    axes, figure = labels("real.mid", "generated.mid")
    assert "duration [s]" in axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["real.mid", "generated.mid"]
    assert "by field" not in labels("one")[0]
    assert labels("one")[1].axes[0].get_ylabel().startswith("loss per note")
    assert labels("one/history.csv")[1].axes[0].get_ylabel().startswith("loss per note")
    axes = labels("one", "two")[1].axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    with pytest.raises(ArgumentError, match="drawn separately"):
        labels("one", "real.mid")


def test_files_of_one_name_are_told_apart_by_their_folders(files, notes):
    midi.write(notes[:50], files / "one" / "x.mid")
    midi.write(notes[:50], files / "two" / "x.mid")
    figure = plots.figure_of([files / "one" / "x.mid", files / "two" / "x.mid"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one/x.mid", "two/x.mid"]


ODD_NAMES = [
    "$\\frac{1}$.mid", "$x.mid", "a$b$c.mid", "_hidden.mid", os.fsdecode(b"\xff\xfe.mid"), "二泉映月.mid",
    "Прелюдия.mid", "two\nlines.mid", "%s {0}.mid", "🎹.mid", "\\alpha.mid",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_NAMES)
def test_files_of_any_name_are_drawn_with_their_names(notes, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    try:
        midi.write(notes[:20], name)
    except OSError:
        pytest.skip("this system has no files of such names")
    (tmp_path / "run").mkdir()
    for index, options in enumerate(([], ["--distributions"], ["x.mid"])):
        midi.write(notes[:20], "x.mid")
        assert main(["plot", name, *options, "-o", f"{index}.png", "--quiet"]) == 0
    roll = plots.figure_of([name])
    both = plots.figure_of([name, "x.mid"])
    said = "".join(letter if letter.isprintable() else "?" for letter in name)
    drawn = [roll.axes[0].get_title().removesuffix(": 20 notes"), both.legends[0].get_texts()[0].get_text()]
    for text in drawn:
        assert len(text) == len(said)
        # A font with Chinese characters may not be installed.
        assert all(seen in (letter, "?") for seen, letter in zip(text, said, strict=True))
        assert name.isascii() <= (text == said)
    assert both.legends[0].get_texts()[1].get_text() == "x.mid"
    history = {"minutes": [1.0, 2.0], "val_loss": [11.0, 10.5]}
    runs = plots.validation_curves({name: history, "_b": history})
    plots.save(runs, "runs.svg")
    assert [text.get_text() for text in runs.axes[0].get_legend().get_texts()] == [drawn[1], "_b"]


@pytest.mark.slow
def test_the_path_of_a_picture_is_printed_byte_for_byte(notes, tmp_path):
    name = b"\xff.mid"
    try:
        midi.write(notes[:20], tmp_path / os.fsdecode(name))
    except OSError:
        pytest.skip("this system has no files of such names")
    done = subprocess.run(
        [sys.executable, "-m", "kerasmusic.command_line", "plot", name],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\xff.png\n", b"")


def test_pictures_are_written_as_png_and_svg_by_the_command(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    assert main(["plot", "real.mid", "--first", "50"]) == 0
    assert (files / "real.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["plot", "real.mid", "generated.mid", "-o", "compared.svg"]) == 0
    assert "<svg" in (files / "compared.svg").read_text()
    assert main(["plot", "one"]) == 0
    assert (files / "one" / "loss.png").exists()
    for arguments, word in (
        ("real.mid -o x.bmp", "x.bmp"),
        ("real.mid --first 0 --force", "0"),
        ("two absent.mid", "separately"),
    ):
        capsys.readouterr()
        assert main(["plot", *arguments.split()]) == 2
        said = capsys.readouterr().err
        assert word in said
        assert said.count("\n") == 1
