import pytest

from kerasmusic.bench.music import VARIABLE, music, named_music, real_music
from kerasmusic.command_line import main
from kerasmusic.data import demonstration, maestro
from kerasmusic.data.sources import open_source
from kerasmusic.errors import ArgumentError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, without the environment variable."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = tmp_path / "cache" / "kerasmusic"
    folder.mkdir(parents=True)
    return folder


def test_the_music_that_is_named_comes_before_what_was_downloaded(cache, midi_zip, monkeypatch):
    assert real_music() is named_music() is None
    downloaded = cache / maestro.URL.rsplit("/", 1)[-1]
    downloaded.touch()
    assert real_music() == music() == downloaded
    monkeypatch.setenv(VARIABLE, str(midi_zip))
    assert real_music() == music() == named_music() == midi_zip


def test_a_name_counts_from_the_folder_that_it_was_given_in(midi_zip, monkeypatch, tmp_path):
    monkeypatch.chdir(midi_zip.parent)
    monkeypatch.setenv(VARIABLE, midi_zip.name)
    found = real_music()
    monkeypatch.chdir(tmp_path)
    assert found == midi_zip


def test_a_path_that_does_not_exist_is_refused_before_any_measurement(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv(VARIABLE, "gone.zip")
    with pytest.raises(ArgumentError, match=r"KERASMUSIC_DATA is gone.zip: no such folder or zip file"):
        music()
    for name in ("latency", "ingest"):
        assert main(["bench", name, "-o", str(tmp_path / "x.json")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "x.json").exists()


def test_without_any_the_bundled_model_plays(cache, monkeypatch):
    monkeypatch.setattr(demonstration.play_demonstration, "__kwdefaults__", {
        **demonstration.play_demonstration.__kwdefaults__, "pieces": 3, "notes": 50,
    })  # fmt: skip
    found = music()
    assert found.parent == cache
    assert len(open_source(found).list_files().names) == 3


def test_a_benchmark_takes_the_music_that_is_named(midi_zip, monkeypatch, capsys):
    monkeypatch.setenv(VARIABLE, str(midi_zip))
    assert main(["bench", "pace"]) == 0
    assert "densest_second_notes" in capsys.readouterr().out
