"""Measures the sound of the page's piano, rendered by a headless Chromium: `nox -s tests-web`."""

import shutil

import numpy as np
import pytest

pytest.importorskip("playwright", reason="needs the packages of nox -s tests-web")

from playwright.sync_api import sync_playwright

from kerasmusic.export.web_page import SOURCES
from rendering import MOST_VOICES, RATE, centroid, cents_off, decibels, delay, level, overtones, render_each, spectrum
from serving import Serving

pytestmark = [pytest.mark.device, pytest.mark.slow]

CHROMIUM = shutil.which("chromium")
C4, A0, C8 = 60, 21, 108


@pytest.fixture(scope="module")
def page():
    if not CHROMIUM:
        pytest.skip("needs chromium")
    serving = Serving(SOURCES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(serving.url)
        yield opened
        browser.close()
    serving.stop()


def test_a_loud_strike_is_brighter_than_a_soft_one(page):
    soft, loud = render_each(page, [(C4, 40), (C4, 110)])
    assert centroid(loud) >= 1.2 * centroid(soft)


def test_the_lowest_key_has_overtones(page):
    for sound in render_each(page, [(A0, 64), (A0, 100)]):
        hertz, power = spectrum(sound)
        assert 10 * np.log10(power[hertz > 1_000].sum() / power.sum()) > -30


def test_the_piano_is_as_wide_as_it_was_recorded(page):
    for sound in render_each(page, [(pitch, 70) for pitch in (A0, 33, 45, C4, 72, 84, 96, C8)]):
        middle, side = sound.sum(axis=1) / 2, (sound[:, 0] - sound[:, 1]) / 2
        assert decibels(side**2) - decibels(middle**2) > -8


def test_loudness_rises_with_velocity_without_a_jump(page):
    velocities = list(range(10, 128))
    sounds = []
    for first in range(0, len(velocities), MOST_VOICES):
        notes = [(C4, velocity) for velocity in velocities[first : first + MOST_VOICES]]
        sounds += [level(sound) for sound in render_each(page, notes, held=0.5, slot=1.6)]
    levels = np.array(sounds)
    assert (np.diff(levels) < 3).all()
    assert (np.diff(levels) > -0.5).all()
    assert (np.diff(levels[::5]) > 0).all()
    assert 15 < levels[-1] - levels[0] < 35


def test_neither_loudness_nor_timbre_jumps_where_layers_change(page):
    # The layers were played at 36, 60 and 108; the geometric means are between them.
    notes = [(pitch, velocity) for pitch in range(24, 79, 6) for velocity in (46, 47, 80, 81)]
    sounds = render_each(page, notes, held=0.5, slot=1.6)
    for below, above, (pitch, velocity) in zip(sounds[::2], sounds[1::2], notes[::2], strict=True):
        assert abs(level(above) - level(below)) < 0.5, (pitch, velocity)
        assert abs(overtones(above, pitch) - overtones(below, pitch)) < 3, (pitch, velocity)


@pytest.fixture(scope="module")
def every_key(page):
    """The sound of each key at velocity 70, by pitch."""
    # Keys that sound one after another are far apart, so that the last one's resonance is no part of the next.
    pitches = [A0 + 37 * index % 88 for index in range(88)]
    sounds = {}
    for half in (pitches[:44], pitches[44:]):
        sounds.update(zip(half, render_each(page, [(pitch, 70) for pitch in half], slot=1.5), strict=True))
    return sounds


def test_every_key_sounds_at_its_pitch(every_key):
    for pitch, sound in every_key.items():
        assert abs(cents_off(sound, pitch)) < 20, pitch


def test_neighbouring_keys_are_alike_in_loudness(every_key):
    levels = [level(every_key[pitch]) for pitch in range(A0, C8 + 1)]
    assert np.abs(np.diff(levels)).max() < 3


def test_every_clip_of_every_layer_sounds_at_once(page):
    for velocity in (36, 60, 108):
        notes = [(pitch, velocity) for pitch in range(24, C8 + 1, 6)]
        for (pitch, _), sound in zip(notes, render_each(page, notes, held=0.3, slot=1.5), strict=True):
            assert 0 <= delay(sound) < 0.01, (pitch, velocity)


def test_a_release_makes_no_click(page):
    for pitch, sound in zip((36, C4, 84), render_each(page, [(36, 100), (C4, 100), (84, 100)]), strict=True):
        # A click has all frequencies, and a decaying string few high ones.
        spectrum = np.fft.rfft(sound.sum(axis=1))
        spectrum[: len(spectrum) // 3] = 0
        high = np.fft.irfft(spectrum).reshape(-1, RATE // 100)
        power = (high**2).mean(axis=1)
        before = (sound[RATE * 9 // 10 : RATE] ** 2).mean()
        assert power[100:].max() < 1e-4 * before, pitch


def test_without_its_files_the_piano_plays_strings(page):
    page.route("**/samples/*", lambda route: route.abort())
    try:
        page.reload()
        warnings = []
        page.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
        (sound,) = render_each(page, [(C4, 70)])
        assert level(sound) > -40
        assert sum("recordings could not be loaded" in text for text in warnings) == 1
    finally:
        page.unroute("**/samples/*")
        page.reload()
