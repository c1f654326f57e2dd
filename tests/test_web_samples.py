"""Tests the files of the page's recorded piano without a browser; tests/web/test_sound.py measures how they sound."""

import json

import pytest

from kerasmusic.export.web_samples import FOLDER, LAYERS, PITCHES, RATE, clip_seconds

pytestmark = pytest.mark.device

INDEX = json.loads((FOLDER / "index.json").read_text())


def test_the_files_are_those_of_the_index():
    assert {path.name for path in FOLDER.iterdir()} == {"index.json", *(layer["file"] for layer in INDEX["layers"])}
    assert [layer["velocity"] for layer in INDEX["layers"]] == [velocity for _, velocity in LAYERS.values()]
    assert [round(clip["pitch"]) for clip in INDEX["clips"]][:-1] == list(PITCHES)[:-1]
    assert [clip["seconds"] for clip in INDEX["clips"]] == list(map(clip_seconds, PITCHES))


def test_the_recordings_are_small_to_fetch_and_decoded():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000
    last = INDEX["clips"][-1]
    seconds = len(LAYERS) * (last["start"] + last["seconds"])
    channels, bytes_each = 2, 4
    assert seconds * RATE * channels * bytes_each < 100e6
