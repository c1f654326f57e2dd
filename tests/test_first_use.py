import shutil

import pytest

from changed_record import changed
from kerasmusic.bundled import bundled_model
from kerasmusic.command_line import main
from kerasmusic.edge import first_use, golden
from kerasmusic.edge.first_use import parting_note
from kerasmusic.edge.piece import Piece, model_id


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kerasmusic" / "exact"


@pytest.fixture
def checks(monkeypatch):
    """The files that were verified."""
    seen = []

    def verify(runtime, notes):
        seen.append(runtime.record["precision"])
        return kept(runtime, notes)

    kept = golden.verify
    monkeypatch.setattr(golden, "verify", verify)
    return seen


@pytest.fixture
def parting(tmp_path):
    """An exact file whose passage no runtime plays."""

    def change(record):
        record["golden"]["notes"][499][1] ^= 1

    return changed(bundled_model(), tmp_path, change)


def test_a_file_is_checked_once_for_a_runtime_and_a_processor(cache, checks, monkeypatch):
    assert [parting_note(bundled_model()) for _ in range(3)] == [None] * 3
    assert checks == ["exact"]
    monkeypatch.setattr(first_use, "runtime_name", lambda: "ai_edge_litert 99")
    parting_note(bundled_model())
    monkeypatch.setattr(first_use, "processor", lambda: ["x86_64", "flags: avx1024"])
    parting_note(bundled_model())
    assert len(checks) == len(list(cache.iterdir())) == 3


def test_a_damaged_or_unwritable_answer_is_found_again(cache, checks):
    parting_note(bundled_model())
    (answer,) = cache.iterdir()
    for damage in ("", "{}", '{"parting_note": "x"}', "\0"):
        answer.write_text(damage)
        assert parting_note(bundled_model()) is None
    assert len(checks) == 5
    shutil.rmtree(cache)
    cache.write_text("not a folder")
    assert parting_note(bundled_model()) is None


def test_a_file_that_promises_no_notes_is_not_checked(cache, checks, exported):
    assert parting_note(exported["tiny"][1]) is None
    assert not checks
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_a_runtime_that_parts_is_said_at_every_use_and_plays_no_named_piece(parting, tmp_path, capsys):
    output = tmp_path / "music.mid"
    for _ in range(2):
        assert main(["generate", str(parting), "--notes", "5", "--seed", "1", "-o", str(output)]) == 0
        error = capsys.readouterr().err
        assert "parts from this exact file at note 500 of its passage" in error
        assert error.count("\n") == 1
    output.unlink()
    name = str(Piece(model=model_id(parting), seed=1, notes=5))
    assert main(["generate", str(parting), "--piece", name, "-o", str(output)]) == 2
    assert "at note 500" in capsys.readouterr().err
    assert not output.exists()
