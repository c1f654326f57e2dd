"""Tests the page in a headless Chromium, served by a plain static server: `nox -s tests-web`."""

import functools
import re
import shutil
import time

import numpy as np
import pytest

pytest.importorskip("playwright", reason="needs the packages of nox -s tests-web")

from playwright.sync_api import expect

from kerasmusic import midi
from kerasmusic.bundled import bundled_model
from kerasmusic.codec import NoteCodec
from kerasmusic.edge import Generator
from kerasmusic.edge.piece import Piece, model_id, primer_id
from kerasmusic.edge.sampling import Sampling
from kerasmusic.export.web_page import write_page
from kerasmusic.notes import Notes
from opening import LISTEN, LOUDNESS, open_page
from serving import Serving

pytestmark = [pytest.mark.device, pytest.mark.slow]

SEED = 7
# The notes of a seed from the page's worker, as fast as it can, with the memory of its runtime.
MAKE_NOTES = """([seed, wanted]) => new Promise((resolve, reject) => {
  const worker = new Worker("worker.js", { type: "module" });
  const rows = [];
  const memory = [];
  worker.onmessage = ({ data }) => {
    if (data.kind === "ready") worker.postMessage({ kind: "begin", request: 1, seed: BigInt(seed), settings: {} });
    if (data.kind === "problem") reject(new Error(data.text));
    if (data.kind !== "notes") return;
    for (const note of data.notes) rows.push([note.start, note.pitch, note.duration, note.velocity]);
    memory.push(data.memory);
    if (rows.length >= wanted) {
      worker.terminate();
      resolve({ rows: rows.slice(0, wanted), memory });
    }
    worker.postMessage({ kind: "playhead", index: rows.length, seconds: rows.at(-1)[0] });
  };
  worker.postMessage({ kind: "load", model: new URL("model.tflite", location).href });
})"""
# In milliseconds: no task takes more than 100 on an idle machine, and ten times that where others work too.
LONGEST_TASK = 1_000
LONG_TASKS = """
  window.tasks = [];
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
  observer.observe({ type: "longtask" });
"""
DROP = """([name, bytes]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([Uint8Array.from(bytes)], name));
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(drop);
}"""


@pytest.fixture(scope="module")
def folders(exported, tmp_path_factory):
    """Pages of a float32, of an int8 and of an exact file."""
    root = tmp_path_factory.mktemp("pages")
    int8 = exported["tiny"][1].with_name("int8.tflite")
    models = {"float32": exported["small"][1], "int8": int8, "exact": bundled_model()}
    for name, model in models.items():
        write_page(model, root / name)
    return {name: root / name for name in models}


@pytest.fixture(scope="module")
def site(folders):
    serving = Serving(folders["float32"])
    yield serving
    serving.stop()


@pytest.fixture
def context(browser):
    made = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="no-preference")
    made.set_default_timeout(30_000)
    yield made
    made.close()


@pytest.fixture
def errors():
    """The errors on the console; a test that uses this fixture checks that there are none."""
    return []


@pytest.fixture
def page(context, site, errors):
    opened = open_page(context, site.url, script=LISTEN, errors=errors)
    yield opened
    assert not errors


def choose_seed(page, seed):
    page.fill("#seed", str(seed))
    page.press("#seed", "Enter")


def downloaded(page, path):
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(path)
    return midi.read(path)


def played_by_python(model, seed, count):
    return Generator(model, seed=seed).take(count)


def ordered(notes):
    """Rows in an order that does not depend on that of notes with one key and onset."""
    rows = np.round(np.column_stack([notes.start, notes.pitch, notes.duration, notes.velocity]), 2)
    return rows[np.lexsort(rows.T[::-1])]


def figures(page):
    """Microseconds per note, seconds ahead and notes played, as the page shows them."""
    expect(page.locator("#figures")).to_contain_text("µs per note")
    return [float(number.replace(",", "")) for number in re.findall(r"[\d.,]*\d", page.inner_text("#figures"))]


def test_the_golden_passage_is_played_note_for_note(page):
    page.click("#verify")
    expect(page.locator("#verdict")).to_contain_text("Verified: the same 1,000 notes", timeout=60_000)


def test_an_int8_file_says_from_which_note_it_differs(context, folders):
    serving = Serving(folders["int8"])
    page = open_page(context, serving.url)
    page.click("#verify")
    parted = re.compile(r"Verified: (the same 1,000 notes|the notes differ from note [\d,]+ on, as int8 may)")
    expect(page.locator("#verdict")).to_contain_text(parted, timeout=60_000)
    serving.stop()


def test_the_bundled_model_plays_its_very_notes(context, folders):
    serving = Serving(folders["exact"])
    page = open_page(context, serving.url)
    page.click("#verify")
    verdict = "Verified: it plays the very notes of this exact file, 10,000 of 10,000; log probabilities within 0.00001"
    expect(page.locator("#verdict")).to_contain_text(verdict, timeout=60_000)
    serving.stop()


def test_500_notes_of_a_seed_are_pythons(page, exported):
    made = page.evaluate(MAKE_NOTES, [str(SEED), 500])
    expected = played_by_python(exported["small"][1], SEED, 500)
    assert Notes(*zip(*made["rows"], strict=True)) == expected


def test_an_hour_of_music_does_not_grow_memory(context, folders):
    serving = Serving(folders["int8"])
    page = open_page(context, serving.url)
    made = page.evaluate(MAKE_NOTES, ["1", 40_000])
    assert made["rows"][-1][0] > 3_600
    assert made["memory"][0] == made["memory"][-1] > 0
    serving.stop()


def test_it_plays_audibly(page):
    page.locator("#speed").fill("15")
    choose_seed(page, SEED)
    assert page.evaluate(LOUDNESS) == 0
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"[3-9] notes played"), timeout=30_000)
    assert 0.003 < max(page.evaluate(LOUDNESS) for _ in range(5)) <= 1.2
    microseconds, ahead, _ = figures(page)
    assert 0 < microseconds < 50_000
    assert ahead > 5
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Play")
    page.wait_for_timeout(3_500)
    assert page.evaluate(LOUDNESS) < 1e-3


def test_the_volume_goes_down_to_silence_and_up_again(page):
    page.locator("#speed").fill("15")
    page.locator("#volume").fill("0")
    choose_seed(page, SEED)
    page.click("#play")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"[3-9] notes played"), timeout=30_000)
    assert max(page.evaluate(LOUDNESS) for _ in range(5)) < 1e-3
    page.locator("#volume").fill("1")
    page.wait_for_timeout(1_500)
    assert max(page.evaluate(LOUDNESS) for _ in range(5)) > 0.003


def test_a_chords_button_is_played_in_from_then_on(page, exported, tmp_path):
    choose_seed(page, SEED)
    page.get_by_role("button", name="F", exact=True).click()
    expect(page.locator("#chords")).to_have_value("F")
    expect(page.get_by_role("button", name="F", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="free", exact=True)).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#piece")).to_have_value(re.compile("/chords=F/"))
    page.get_by_role("button", name="free", exact=True).click()
    expect(page.locator("#chords")).to_have_value("")
    expect(page.get_by_role("button", name="free", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#piece")).not_to_have_value(re.compile("chords"))


def test_a_downloaded_file_is_read_by_python_note_for_note(page, exported, tmp_path):
    choose_seed(page, SEED)
    page.wait_for_timeout(1_000)
    found = downloaded(page, tmp_path / "x.mid")
    assert len(found) > 5
    expected = played_by_python(exported["small"][1], SEED, len(found))
    assert np.array_equal(ordered(found), ordered(expected.without_overlaps()))


def test_a_change_of_temperature_keeps_what_was_played(page, exported, tmp_path):
    choose_seed(page, SEED)
    page.click("#play")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"[2-9] notes? played"), timeout=30_000)
    page.click("#play")
    page.locator("#temperature").fill("0.5")
    page.select_option("#key", "C major")
    page.click("#play")
    page.wait_for_timeout(6_000)
    page.click("#play")
    _, _, played = figures(page)
    found = downloaded(page, tmp_path / "x.mid")
    assert len(found) == played >= 3
    assert np.array_equal(found.pitch[:2], played_by_python(exported["small"][1], SEED, 2).pitch)
    later = found[found.start > found.start[1] + 1.0]
    assert set(later.pitch % 12) <= {0, 2, 4, 5, 7, 9, 11}


def test_a_piece_has_one_name_here_and_in_python(context, folders, tmp_path, errors):
    model = folders["exact"] / "model.tflite"
    primer = tmp_path / "primer.mid"
    midi.write(Notes([1.0, 1.5, 2.0], [60, 64, 67], [0.5, 0.5, 0.5], [64, 64, 64]), primer)
    sampling = Sampling(temperature={"pitch": 1.1, "step": 0.9}, pitch_range="C3-C6", chords="G Em C D7")
    heard = midi.read(primer).without_leading_silence()
    made = Generator(model, seed=SEED, sampling=sampling)
    made.prime(heard)
    expected = made.take(30)
    piece = Piece(model=model_id(model), seed=SEED, sampling=sampling, primer=primer_id(made.codec.encode(heard)))
    serving = Serving(folders["exact"])
    page = open_page(context, serving.url, errors=errors)

    def enter(name):
        page.fill("#piece", name)
        page.press("#piece", "Enter")

    try:
        # The page's own name of its first piece.
        choose_seed(page, 3)
        shown = Piece.parse(page.input_value("#piece"))
        assert (shown.model, shown.seed, shown.sampling.min_ps()) == (piece.model, 3, Sampling().min_ps())
        enter(str(piece))
        expect(page.locator("#problem")).to_contain_text("continues a MIDI file")
        enter("0123456789/7")
        expect(page.locator("#problem")).to_contain_text("a piece of the model 0123456789")
        page.evaluate(DROP, ["primer.mid", list(primer.read_bytes())])
        expect(page.locator("#status")).to_contain_text("3 notes read")
        enter(str(piece))
        expect(page.locator("#problem")).to_be_hidden()
        expect(page.locator("#piece")).to_have_value(str(piece))
        page.wait_for_timeout(2_000)
        found = downloaded(page, tmp_path / "x.mid")
        assert np.array_equal(found.pitch[3:33], expected.pitch)
        # Once it has played, a change makes a piece that has no name.
        page.click("#play")
        expect(page.locator("#figures")).to_contain_text(re.compile(r"[4-9] notes? played"), timeout=30_000)
        page.locator("#temperature").fill("0.5")
        expect(page.locator("#piece")).to_have_value("")
    finally:
        serving.stop()
    assert not errors


def test_a_broken_file_is_refused_and_a_good_one_continued(page, tmp_path):
    drop = functools.partial(page.evaluate, DROP)
    drop(["song.mid", list(b"MThd no music at all")])
    expect(page.locator("#problem")).to_have_text(re.compile(r"^song\.mid is not a MIDI file that can be read \(.+\)"))
    primer = Notes([1.0, 1.5, 2.0], [60, 64, 67], [0.5, 0.5, 0.5], [64, 64, 64])
    midi.write(primer, tmp_path / "primer.mid")
    drop(["primer.mid", list((tmp_path / "primer.mid").read_bytes())])
    expect(page.locator("#status")).to_contain_text("primer.mid: 3 notes read")
    expect(page.locator("#problem")).to_be_hidden()
    page.wait_for_timeout(1_000)
    found = downloaded(page, tmp_path / "x.mid")
    assert found.pitch[:3].tolist() == [60, 64, 67]
    assert found.start[:3].tolist() == pytest.approx([0, 0.5, 1])
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")


def long_file(path, count):
    """A MIDI file of many notes."""
    random = np.random.default_rng(1)
    notes = Notes(0.09 * np.arange(count), random.integers(36, 96, count), np.full(count, 0.08), np.full(count, 70))
    midi.write(notes, path)
    return path


def wait_for_sound(page, seconds):
    """The seconds until the page sounds."""
    began = time.monotonic()
    while page.evaluate(LOUDNESS) < 0.003:
        assert time.monotonic() < began + seconds
        page.wait_for_timeout(50)
    return time.monotonic() - began


@pytest.fixture
def bundled(context, folders, errors):
    """The page of the bundled model, with its piano tuned, that keeps the milliseconds of long tasks."""
    serving = Serving(folders["exact"])
    opened = open_page(context, serving.url, script=LISTEN + LONG_TASKS, errors=errors)
    opened.click("#play")
    opened.wait_for_timeout(3_000)
    opened.click("#play")
    opened.wait_for_timeout(1_000)
    yield opened
    serving.stop()
    assert not errors


def test_a_long_file_plays_on_at_once_while_the_model_listens(bundled, folders, tmp_path):
    choose_seed(bundled, SEED)
    file = long_file(tmp_path / "long.mid", 25_076)
    bundled.evaluate("() => { tasks.length = 0; }")
    bundled.set_input_files("#file", file)
    bundled.click("#play")
    # A second or two on an idle machine, where listening to all of it took 26.
    assert wait_for_sound(bundled, 20) < 10
    expect(bundled.locator("#status")).to_have_text(re.compile(r"Listening to long\.mid: [\d,]+ of 4,096 notes\."))
    expect(bundled.locator("#status")).to_have_text("Playing.", timeout=60_000)
    bundled.click("#play")
    assert max(bundled.evaluate("() => tasks"), default=0) < LONGEST_TASK
    bundled.wait_for_timeout(2_000)
    piece = Piece.parse(bundled.input_value("#piece"))
    bundled.click("#restart")
    found = downloaded(bundled, tmp_path / "x.mid")
    heard = midi.read(file)
    assert piece.primer == primer_id(NoteCodec().encode(heard))
    assert np.array_equal(found.pitch[:25_076], heard.pitch)
    np.testing.assert_allclose(found.start[:25_076], heard.start, atol=0.011)
    python = Generator(folders["exact"] / "model.tflite", seed=SEED, sampling=piece.sampling)
    python.prime(heard)
    expected = python.take(40)
    assert np.array_equal(found.pitch[25_076:25_106], expected.pitch[:30])


def test_a_file_of_300000_notes_blocks_nothing_and_can_be_left(bundled, tmp_path):
    file = long_file(tmp_path / "long.mid", 300_000)
    bundled.evaluate("() => { tasks.length = 0; }")
    bundled.set_input_files("#file", file)
    expect(bundled.locator("#status")).to_have_text("Reading long.mid…")
    expect(bundled.locator("#status")).to_contain_text("Listening to long.mid", timeout=60_000)
    expect(bundled.locator("#download")).to_be_enabled(timeout=60_000)
    bundled.click("#new-piece")
    expect(bundled.locator("#status")).to_have_text("Ready.")
    expect(bundled.locator("#download")).to_be_enabled(timeout=10_000)
    assert len(downloaded(bundled, tmp_path / "x.mid")) < 1_000
    assert max(bundled.evaluate("() => tasks"), default=0) < LONGEST_TASK


def test_a_slider_moved_while_it_listens_keeps_the_file(bundled, tmp_path):
    bundled.set_input_files("#file", long_file(tmp_path / "long.mid", 3_000))
    expect(bundled.locator("#status")).to_contain_text("Listening to long.mid")
    bundled.locator("#temperature").fill("0.5")
    expect(bundled.locator("#piece")).to_have_value(re.compile("/primer=[0-9a-f]{8}/temperature=0.5/"))
    expect(bundled.locator("#status")).to_have_text(re.compile("long.mid: 3,000 notes read"), timeout=60_000)
    found = downloaded(bundled, tmp_path / "x.mid")
    assert np.array_equal(found.pitch[:3_000], midi.read(tmp_path / "long.mid").pitch)


def play_until(page, figures):
    page.click("#play")
    expect(page.locator("#figures")).to_contain_text(re.compile(rf"\b{figures} notes? played"), timeout=60_000)
    page.click("#play")


def test_what_was_played_can_be_heard_again(page, tmp_path):
    choose_seed(page, SEED)
    page.locator("#speed").fill("15")
    play_until(page, "([5-9]|[1-9][0-9])")
    page.select_option("#key", "C major")
    play_until(page, "([2-9][0-9])")
    played = downloaded(page, tmp_path / "played.mid")
    page.click("#restart")
    expect(page.locator("#timeline")).to_have_value("0")
    again = downloaded(page, tmp_path / "again.mid")
    assert len(again) > len(played) >= 20
    # In the file, a note ends where its key is struck again, so the durations may differ.
    for field in ("start", "pitch", "velocity"):
        assert np.array_equal(getattr(again, field)[: len(played)], getattr(played, field))
    page.click("#play")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"\b[3-9] notes? played"), timeout=60_000)
    page.click("#new-piece")
    expect(page.locator("#piece")).to_have_value(re.compile("/key=Cmajor/"))
    expect(page.locator("#play")).to_have_text("Pause")


def test_the_timeline_leads_back_to_where_one_carries_on(page, exported, tmp_path):
    choose_seed(page, SEED)
    play_until(page, "([2-9][0-9])")
    played = downloaded(page, tmp_path / "played.mid")
    timeline = page.get_by_role("slider", name="Position in the piece")
    assert float(timeline.input_value()) > 1
    # Played on from there, the notes are the same.
    timeline.fill("1")
    expect(timeline).to_have_attribute("aria-valuetext", re.compile(r"^1 of \d+ seconds$"))
    page.wait_for_timeout(500)
    before = int(np.sum(played.start <= 1))
    assert len(downloaded(page, tmp_path / "x.mid")) == before
    play_until(page, "([2-9][0-9])")
    again = downloaded(page, tmp_path / "x.mid")
    both = min(len(again), len(played))
    assert np.array_equal(again.pitch[:both], played.pitch[:both])
    # After keys that are played there, others follow.
    timeline.fill("1")
    page.get_by_role("button", name="C4", exact=True).click()
    page.click("#carry-on")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"\b[2-9][0-9] notes played"), timeout=60_000)
    page.click("#play")
    found = downloaded(page, tmp_path / "x.mid")
    assert np.array_equal(found.pitch[:before], played.pitch[:before])
    assert (found.pitch[before], found.start[before] >= 1) == (60, True)
    assert not np.array_equal(found.pitch[before + 1 : both], played.pitch[before + 1 : both])


def test_letters_play_only_where_it_was_asked_for(page, tmp_path):
    page.locator("body").press("a")
    expect(page.locator("#carry-on")).to_be_disabled()
    page.get_by_role("button", name="C4").focus()
    page.keyboard.press("KeyD", delay=100)
    expect(page.locator("#status")).to_contain_text("Listening")
    page.click("#forget")
    expect(page.locator("#carry-on")).to_be_disabled()
    page.check("#computer-keys")
    page.locator("body").press("a")
    expect(page.locator("#carry-on")).to_be_enabled()


def test_space_plays_and_pauses(page):
    page.locator("body").press(" ")
    expect(page.locator("#play")).to_have_text("Pause")
    assert page.evaluate("() => scrollY") == 0
    page.locator("body").press(" ")
    expect(page.locator("#play")).to_have_text("Play")
    # In a text field it is a character.
    page.locator("#chords").press_sequentially("Am F")
    expect(page.locator("#play")).to_have_text("Play")


def test_the_pages_keys_are_one_stop_of_tab_with_arrows_within(page):
    keys = page.locator("#keys .key")
    assert [keys.nth(index).get_attribute("tabindex") for index in range(25)].count("0") == 1
    page.locator("#lower").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="C4", exact=True)).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="D4", exact=True)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("button", name="C sharp 4", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#higher")).to_be_focused()


def test_the_pedal_of_a_midi_keyboard_holds_its_notes(context, site, tmp_path):
    keyboard = """
      window.input = { name: "Toy piano", state: "connected" };
      navigator.requestMIDIAccess = async () => ({ inputs: new Map([["1", window.input]]), outputs: new Map() });
      window.send = (...data) => window.input.onmidimessage({ data });
    """
    page = open_page(context, site.url, script=keyboard)
    page.click("#connect")
    expect(page.locator("#midi-keyboards")).to_have_text("Listening to Toy piano.")
    for moment, data in (
        (0, [0xB0, 64, 127]), (0, [0x90, 50, 99]), (100, [0x80, 50, 0]), (0, [0x90, 55, 99]), (800, [0xB0, 64, 0]),
        (200, [0x80, 55, 0]),
    ):  # fmt: skip
        page.wait_for_timeout(moment)
        page.evaluate("(data) => send(...data)", data)
    page.click("#carry-on")
    page.wait_for_timeout(500)
    page.click("#play")
    found = downloaded(page, tmp_path / "x.mid")
    assert found.pitch[:2].tolist() == [50, 55]
    # The first sounds until the pedal, the second until its key is released.
    ends = found.start + found.duration
    assert found.duration[0] > 0.7
    assert ends[1] > ends[0] + 0.1


def test_a_midi_output_plays_instead_of_the_page(context, site, tmp_path, errors):
    ports = """
      window.sent = [];
      window.input = { name: "Toy piano", state: "connected" };
      const send = ([status, pitch, value], time = performance.now()) => sent.push([status, pitch, value, time]);
      window.output = { id: "2", name: "Toy piano", state: "connected", send };
      window.access = { inputs: new Map([["1", input]]), outputs: new Map([["2", output]]) };
      navigator.requestMIDIAccess = async () => access;
    """

    def sent():
        return page.evaluate("() => sent")

    def played(status):
        return [row for row in sent() if row[0] == status]

    page = open_page(context, site.url, script=LISTEN + ports, errors=errors)
    choose_seed(page, SEED)
    page.locator("#speed").fill("15")
    expect(page.get_by_label("Sound", exact=True)).to_be_hidden()
    page.click("#connect")
    page.get_by_label("Sound", exact=True).select_option("Toy piano")
    page.click("#play")
    page.wait_for_function("() => sent.filter(([status]) => status === 0x90).length > 20", timeout=60_000)
    page.click("#play")
    page.wait_for_timeout(500)
    assert page.evaluate(LOUDNESS) == 0
    # Each key is released once for each strike, and nothing comes after the pause.
    held = {}
    for status, pitch, _, at in sorted(sent(), key=lambda row: (row[3], row[0])):
        held[pitch] = held.get(pitch, 0) + {0x90: 1, 0x80: -1}.get(status, 0)
        assert held[pitch] in (0, 1), (status, pitch, at)
    assert not any(held.values())
    assert played(0xB0)[-1][1] == 123
    strikes = {pitch: (velocity, at / 1000) for _, pitch, velocity, at in reversed(played(0x90))}
    notes = {note.pitch: note for note in reversed(list(downloaded(page, tmp_path / "x.mid")))}
    assert len(strikes) > 10
    # A note that begins just after the pause may have been sent.
    assert set(strikes) >= set(notes)
    assert all(strikes[pitch][0] == note.velocity for pitch, note in notes.items())
    late = [strikes[pitch][1] - note.start for pitch, note in notes.items()]
    # The audio clock of a busy machine without a sound card is no better.
    assert max(late) - min(late) < 0.06
    # The page's keys sound there too, and those of the instrument itself only once.
    page.evaluate("() => { sent.length = 0; }")
    page.get_by_role("button", name="C4", exact=True).click()
    page.evaluate("() => input.onmidimessage({ data: [0x90, 50, 99] })")
    page.evaluate("() => input.onmidimessage({ data: [0x80, 50, 0] })")
    page.wait_for_timeout(500)
    assert [pitch for _, pitch, *_ in played(0x90)] == [60]
    # Without it, the page sounds again.
    page.evaluate("() => { output.state = 'disconnected'; access.onstatechange(); }")
    expect(page.get_by_label("Sound", exact=True)).to_be_hidden()
    page.click("#play")
    assert wait_for_sound(page, 30)
    page.evaluate("() => { output.state = 'connected'; access.onstatechange(); }")
    expect(page.get_by_label("Sound", exact=True)).to_have_value("this page")
    assert not errors


def test_a_download_is_named_by_what_made_it(page, tmp_path):
    def name():
        with page.expect_download() as download:
            page.click("#download")
        return download.value.suggested_filename

    choose_seed(page, SEED)
    page.wait_for_timeout(500)
    assert name() == "kerasmusic-7.mid"
    page.locator("#seed").evaluate("(field) => (field.value = '99')")
    assert name() == "kerasmusic-7.mid"
    midi.write(Notes([1.0, 1.5], [60, 64], [0.5, 0.5], [64, 64]), tmp_path / "primer.mid")
    choose_seed(page, 8)
    page.evaluate(DROP, ["my song.mid", list((tmp_path / "primer.mid").read_bytes())])
    expect(page.locator("#status")).to_contain_text("2 notes read")
    assert name() == "my song-continued-8.mid"
    page.click("#play")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"[4-9] notes? played"), timeout=30_000)
    page.select_option("#key", "C major")
    page.wait_for_timeout(500)
    assert name() == "my song-continued-8-changed.mid"


def test_it_carries_on_from_notes_of_the_computer_keyboard(page, tmp_path):
    page.check("#computer-keys")
    for key in "ADG":
        page.keyboard.press(f"Key{key}", delay=150)
    expect(page.locator("#status")).to_contain_text("Listening")
    page.click("#carry-on")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator("#figures")).to_contain_text(re.compile(r"[4-9] notes played"), timeout=40_000)
    assert downloaded(page, tmp_path / "x.mid").pitch[:3].tolist() == [60, 64, 67]


def test_a_midi_keyboard_and_the_pages_own_keys_play(context, site, tmp_path, errors):
    keyboard = """
      window.input = { name: "Toy piano", state: "connected" };
      navigator.requestMIDIAccess = async () => ({ inputs: new Map([["1", window.input]]), outputs: new Map() });
    """
    page = open_page(context, site.url, script=keyboard, errors=errors)
    page.click("#connect")
    expect(page.locator("#midi-keyboards")).to_have_text("Listening to Toy piano.")
    page.evaluate("() => input.onmidimessage({ data: [0x90, 50, 99] })")
    page.evaluate("() => input.onmidimessage({ data: [0x80, 50, 0] })")
    page.get_by_role("button", name="E flat 4").click()
    page.get_by_role("button", name="C5").focus()
    page.keyboard.press("Enter")
    page.click("#carry-on")
    page.wait_for_timeout(500)
    page.click("#play")
    assert downloaded(page, tmp_path / "x.mid").pitch[:3].tolist() == [50, 63, 72]
    assert not errors


def test_every_control_can_be_reached_and_used_by_keyboard(page):
    page.keyboard.press("Tab")
    expect(page.locator("#play")).to_be_focused()
    named = [
        page.get_by_role(role, name=name, exact=True)
        for role, name in (
            ("button", "Play"), ("button", "From the beginning"), ("button", "New piece"),
            ("button", "Download MIDI"), ("slider", "Position in the piece"),
            ("slider", "Temperature"), ("slider", "Speed"), ("slider", "Loudness"), ("slider", "Polyphony"),
            ("combobox", "Key"), ("textbox", "Seed"),
            ("button", "Another seed"), ("button", "C4"),
            ("button", "Open a MIDI file"), ("button", "Verify"), ("link", "Licences"),
        )
    ]  # fmt: skip
    for control in named:
        expect(control).to_have_count(1)
        control.focus()
        expect(control).to_be_focused()
    named[0].press("Space")
    expect(page.locator("#play")).to_have_text("Pause")
    page.get_by_role("slider", name="Temperature").press("ArrowRight")
    expect(page.locator("#temperature-value")).to_have_text("1.05")


def test_an_error_is_a_sentence_on_the_page(context, site, folders, tmp_path):
    shutil.copytree(folders["float32"], tmp_path / "page")
    (tmp_path / "page" / "model.tflite").unlink()
    serving = Serving(tmp_path / "page")
    page = open_page(context, serving.url, ready=False)
    expect(page.locator("#problem")).to_contain_text("The model is missing")
    (tmp_path / "page" / "model.tflite").write_text("....TFL3 and nothing else")
    page.reload()
    expect(page.locator("#problem")).to_contain_text("cut short or is not from kerasmusic")
    serving.stop()
    page = open_page(context, site.url, ready=False, script="WebAssembly.validate = () => false")
    expect(page.locator("#problem")).to_contain_text("no WebAssembly SIMD")
    page = open_page(context, site.url)
    choose_seed(page, "-1")
    expect(page.locator("#problem")).to_contain_text("“-1” is not a seed")


def test_blocked_sound_is_a_sentence_on_the_page(context, site):
    # A click by a script starts no sound. Playwright's own calls count as a user's action, so the page itself reports
    # when it has clicked.
    press = """setInterval(() => {
      if (window.pressed || !document.querySelector("#play:enabled")) return;
      window.pressed = true;
      document.querySelector("#play").click();
      setTimeout(() => console.log("pressed"), 2500);
    }, 100)"""
    page = context.new_page()
    page.add_init_script(press)
    with page.expect_console_message(lambda message: message.text == "pressed"):
        page.goto(site.url)
    expect(page.locator("#problem")).to_contain_text("The browser keeps the sound from starting")
    expect(page.locator("#play")).to_have_text("Play")


REGISTRATIONS = "async () => (await navigator.serviceWorker.getRegistrations()).length"


def named(serving):
    """An address that is not the machine's own but that Chromium trusts like one of https."""
    return f"http://piano.localhost:{serving.port}/"


def test_after_the_first_visit_it_plays_without_a_network(context, folders):
    serving = Serving(folders["float32"])
    page = open_page(context, named(serving))
    expect(page.locator("#offline")).to_contain_text("works without a network from now on")
    serving.stop()
    page.reload()
    expect(page.locator("#play")).to_be_enabled()
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")


def test_the_next_visit_has_the_newest_page(context, exported, folders, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(folders["float32"], folder)
    serving = Serving(folder)
    page = open_page(context, named(serving))
    expect(page.locator("#about")).to_contain_text("float32")
    expect(page.locator("#offline")).to_contain_text("works without a network")
    write_page(exported["tiny"][1].with_name("int8.tflite"), folder)
    page.reload()
    expect(page.locator("#about")).to_contain_text("int8")
    serving.stop()


def test_where_the_page_was_the_next_one_is_shown(context, folders, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(folders["float32"], folder)
    serving = Serving(folder)
    page = open_page(context, named(serving))
    expect(page.locator("#offline")).to_contain_text("works without a network")
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>Another page</title>")
    page.reload()
    expect(page).to_have_title("Another page")
    page.wait_for_function(f"async () => (await ({REGISTRATIONS})()) === 0")
    serving.stop()


def test_on_this_machine_itself_nothing_is_left_behind(page):
    expect(page.locator("#offline")).to_contain_text("needs its server")
    assert page.evaluate(REGISTRATIONS) == 0
    assert page.evaluate("async () => (await caches.keys()).length") == 0


def test_on_a_home_network_it_plays_and_fetches_nothing_from_elsewhere(context, site, errors):
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    address = f"http://piano.home:{site.port}/"
    page = open_page(context, address, errors=errors)
    assert not page.evaluate("() => isSecureContext")
    expect(page.locator("#offline")).to_contain_text("neither https nor this machine itself")
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")
    assert len(asked) > 15
    assert all(url.startswith((address, "data:")) for url in asked)
    assert not errors
