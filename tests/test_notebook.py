import os
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "tutorial.ipynb"


@pytest.mark.skipif(os.environ.get("KERAS_BACKEND") != "jax", reason="the notebook's own backend is JAX")
@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(midi_zip, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("KERASMUSIC_DATA", str(midi_zip))
    monkeypatch.setenv("KERASMUSIC_MINUTES", "0.2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 8


def test_the_notebook_is_kept_with_its_pictures_and_without_places_of_a_machine():
    text = NOTEBOOK.read_text()
    assert text.count('"image/png"') == 8
    assert not any(place in text for place in ("/home/", "/tmp/", "/work/"))
