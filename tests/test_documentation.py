import doctest
import importlib.metadata
import pkgutil
import re
from pathlib import Path

import pytest

import kerasmusic

pytestmark = pytest.mark.every_backend


NAMES = [
    module.name
    for module in pkgutil.walk_packages(kerasmusic.__path__, "kerasmusic.")
    if not module.name.endswith(("__main__", "export.tflite"))
]
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is for"
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples_to_run():
    count = sum(len(doctest.DocTestFinder().find(importlib.import_module(name))) for name in NAMES)
    assert count > 20


def test_no_file_names_what_lies_beside_the_repository():
    folders = ("bench", "docs", "export", "kerasmusic", "tests")
    files = [*ROOT.glob("*.*"), *(path for folder in folders for path in (ROOT / folder).rglob("*.*"))]
    texts = {".md", ".py", ".toml", ".json", ".ipynb", ".sh", ".c", ".mjs", ".js", ".html", ".cff"}
    beside = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix in texts and re.search(r"\.\./" + "shared", path.read_text())
    }
    assert not beside


def test_a_fresh_pi_comes_to_sound_in_five_commands():
    text = (ROOT / "docs" / "raspberry-pi.md").read_text()
    commands = text.split("```")[1].strip().splitlines()
    assert len(commands) == 5
    assert commands[-1].endswith("kerasmusic play")
    extras = re.search(r"kerasmusic\[(.+)\]", commands[3])[1].split(",")
    assert set(extras) <= set(importlib.metadata.metadata("kerasmusic").get_all("Provides-Extra"))
