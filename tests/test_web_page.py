import importlib.util
import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from kerasmusic import midi
from kerasmusic.bundled import bundled_model
from kerasmusic.codec import TICKS_PER_SECOND, NoteCodec
from kerasmusic.command_line import main
from kerasmusic.commands import export
from kerasmusic.edge import balance, chords, controls, golden, styles
from kerasmusic.edge.balance import Balance, Targets
from kerasmusic.edge.controls import pitch_bias
from kerasmusic.edge.generator import HEARD_NOTES
from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.edge.piece import Piece, primer_id
from kerasmusic.edge.sampling import MIN_P, Sampling
from kerasmusic.edge.styles import Styles
from kerasmusic.errors import KerasMusicError, MidiError
from kerasmusic.export import web_page
from kerasmusic.live.controls import KEYS
from kerasmusic.midi_channels import PEDAL_DOWN
from kerasmusic.midi_parser import SUSTAIN
from kerasmusic.notes import Notes
from kerasmusic.pitch_names import HIGHEST_KEY, LOWEST_KEY
from midi_model import file_bytes, random_tracks
from test_midi_parser import OTHER_KINDS

needs_node = pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="needs Node.js and npm")
SCRIPT = Path(__file__).parent / "web" / "answer.mjs"


def ask(question, **more):
    """Asks the page's modules, and returns their answer."""
    done = subprocess.run(
        ["node", str(SCRIPT)], input=json.dumps({"ask": question, **more}), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def rows_of(notes):
    return [note._asdict() for note in notes]


def notes_of(rows):
    return Notes(*([row[name] for row in rows] for name in ("start", "pitch", "duration", "velocity")))


@needs_node
@pytest.mark.parametrize("seed", [0, 7, 2026, 2**32 + 1, 2**64 - 1])
def test_the_pages_random_numbers_are_numpys(seed):
    expected = np.random.Generator(np.random.Philox(key=seed)).random((2_500, 4), dtype=np.float32)
    assert np.array_equal(np.array(ask("uniforms", seed=str(seed), count=10_000)), expected.ravel())


@needs_node
def test_the_pages_codec_is_the_one_of_python(notes):
    codec = NoteCodec()
    fields = codec.encode(notes)
    assert ask("encode", tables=codec.to_json(), notes=rows_of(notes)) == fields.tolist()
    assert notes_of(ask("decode", tables=codec.to_json(), fields=fields.tolist())) == codec.decode(fields)


@needs_node
def test_the_pages_keys_are_the_ones_of_python():
    keys = ask("keys")
    for key in (keys[0], keys[7], keys[-1]):
        assert ask("bias", key=key) == pitch_bias(key=key).tolist()
    assert all(pitch_bias(key=key).any() for key in keys)
    # The terminal's view has the same keys.
    assert tuple(keys) == KEYS


@needs_node
@pytest.mark.parametrize(
    "targets", [Targets(), Targets(6.3, 4.5, 80.0), Targets(polyphony=3.0), Targets(30.0, 0.5, 1.0)]
)
def test_the_pages_balance_is_the_one_of_python(targets):
    codec = NoteCodec()
    random = np.random.default_rng(2)
    drawn = np.stack([random.geometric(0.08, 600) - 1, random.geometric(0.02, 600), random.integers(1, 128, 600)]).T
    bias = np.zeros((1, codec.size), np.float32)
    steady = Balance(codec, bias)
    steady.aim(targets)
    steady.reset()
    expected = []
    for row in drawn.tolist():
        steady.measure(*row)
        expected.append([float(each) for each in steady.state])
    page = ask("balance", tables=codec.to_json(), targets=targets._asdict(), drawn=drawn.tolist())
    assert page["states"] == expected
    np.testing.assert_array_equal(np.array(page["bias"], np.float32), bias[0])


@needs_node
def test_the_page_takes_targets_from_notes_as_python_does(notes):
    assert ask("targets", notes=rows_of(notes)) == pytest.approx(Targets.of(notes)._asdict())


@needs_node
@pytest.mark.parametrize("pitch_range", ["C2-C6", "36-84", "Bb3 - f#4"])
def test_the_pages_ranges_are_the_ones_of_python(pitch_range):
    for key in ("am", "Bb", "F#minor"):
        page = ask("bias", key=key, range=pitch_range)
        assert page == pitch_bias(key=key, pitch_range=pitch_range).tolist()


@needs_node
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.9, min_p=0.1, key="F# minor", pitch_range="C2-C6", speed=6.25),
        Sampling(temperature={"step": 0.5, "pitch": 1.1}, min_p={"duration": 0.01}, style="Bach:0.6,de Falla:0.4"),
        Sampling(chords="Am F C/G Dm7b5", chord_seconds=1.5),
    ],
)
def test_the_page_reads_and_writes_the_names_of_pieces_as_python_does(sampling):
    piece = Piece(model="0123456789", seed=2**64 - 1, sampling=sampling, primer="89abcdef")
    answer = ask("piece", name=str(piece))
    assert answer["name"] == str(piece)
    assert (answer["model"], answer["seed"], answer["primer"]) == (piece.model, str(piece.seed), piece.primer)


@needs_node
@pytest.mark.parametrize("seconds", [2.0, 0.125, 1.375])
def test_the_pages_chords_are_the_ones_of_python(seconds):
    names = [f"{root}{quality}" for root in ("C", "F#", "Bb") for quality in chords.QUALITIES]
    progression = " ".join([*names, "C/Bb"])
    ticks = list(range(0, 20_000, 7))
    page = ask("chords", text=progression, seconds=seconds, ticks=ticks)
    track = chords.ChordTrack(progression, seconds)
    assert page == [chords.chord_bias(track.at(tick)).tolist() for tick in ticks]
    assert "no chord" not in ask("piece", name="0123456789/7/chords=Am")
    assert "“H” is not a chord" in ask("piece", name="0123456789/7/chords=Am,H")


@needs_node
@pytest.mark.parametrize("rest", ["x", "/7/key=H", "/7/tempo=3", "/7/speed=x", "/7/temperature=pich=1", "/7/range=9"])
def test_the_page_says_what_is_wrong_with_a_piece(rest):
    assert re.fullmatch(r".*(“.+”|.+=).*\.", ask("piece", name="0123456789" + rest))


@needs_node
def test_the_page_names_a_primer_as_python_does():
    rows = np.random.default_rng(1).integers(0, 64, (500, 4))
    assert ask("primer", fields=rows.tolist()) == primer_id(rows)


@needs_node
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("style", ["Bach", "Bach:0.5,Chopin:0.25,Liszt:0.25", "Liszt:0.31,Bach:0.69"])
def test_the_pages_styles_are_the_ones_of_python(style, whole):
    vectors = {"Bach": [1.0, -100.0, 3.5], "Chopin": [1.5, -300.0, 1.25], "Liszt": [2.25, 60.0, 0.125]}
    page = ask("style", vectors=vectors, whole=whole, style=style)
    np.testing.assert_array_equal(page, Styles(vectors, whole).vector(style))


@needs_node
def test_the_page_says_what_is_wrong_with_a_style():
    vectors = {"Bach": [1.0], "Chopin": [0.0]}
    for style, words in (("Bahc", "knows no style Bahc"), ("Bach:0.5", "add up to 0.5"), ("Bach:x", "not a style")):
        assert words in ask("style", vectors=vectors, whole=False, style=style)


@needs_node
def test_the_page_reads_midi_files_as_python_does(performances, tmp_path):
    paths = []
    for index, (_, data) in enumerate(performances):
        paths.append(tmp_path / f"{index}.mid")
        paths[-1].write_bytes(data)
    for path, rows in zip(paths, ask("read", paths=list(map(str, paths))), strict=True):
        expected, found = midi.read(path), notes_of(rows)
        assert len(found) == len(expected)
        assert np.array_equal(found.pitch, expected.pitch)
        assert np.array_equal(found.velocity, expected.velocity)
        assert np.abs(found.start - expected.start).max() < 1e-6
        assert np.abs(found.duration - expected.duration).max() < 1e-6


@needs_node
def test_python_reads_the_pages_midi_files_note_for_note(notes, tmp_path):
    codec = NoteCodec()
    played = codec.decode(codec.encode(notes)).without_overlaps()
    (tmp_path / "x.mid").write_bytes(bytes(ask("write", notes=rows_of(played))))
    found = midi.read(tmp_path / "x.mid")
    assert np.array_equal(found.pitch, played.pitch)
    assert np.array_equal(found.velocity, played.velocity)
    assert np.abs(found.start - played.start).max() < 5e-4
    assert np.abs(found.duration - played.duration).max() < 1e-3


def assert_the_page_reads(paths):
    """Compares the page with Python for each file: the same notes, or an error message if Python refuses it."""
    for path, answer in zip(paths, ask("read", paths=list(map(str, paths))), strict=True):
        try:
            expected = midi.read(path)
        except MidiError as error:
            assert isinstance(answer, str), path
            assert re.fullmatch(r"It .+\.", answer), path
            # A file of another kind is named in the same words.
            if kind := re.search(r": (not a MIDI file but .+)", str(error)):
                assert answer == f"It is {kind[1]}.", path
        else:
            found = notes_of(answer)
            assert found.pitch.tolist() == expected.pitch.tolist(), path
            assert found.velocity.tolist() == expected.velocity.tolist(), path
            np.testing.assert_allclose(found.start, expected.start, atol=1e-6, err_msg=str(path))
            np.testing.assert_allclose(found.duration, expected.duration, atol=1e-6, err_msg=str(path))


@needs_node
def test_files_of_other_kinds_are_named_as_in_python(tmp_path):
    for index, data in enumerate(data for data, _ in OTHER_KINDS):
        (tmp_path / f"{index:02}").write_bytes(data)
    assert_the_page_reads(sorted(tmp_path.iterdir()))


@needs_node
def test_unusual_midi_files_are_read_as_in_python_or_refused_in_a_sentence(broken_midi):
    assert_the_page_reads(sorted(broken_midi.iterdir()))


@needs_node
def test_midi_files_of_all_kinds_are_read_as_python_reads_them(tmp_path):
    random, paths = np.random.default_rng(0), []
    for index in range(200):
        kind, division = random.choice([0, 1, 1, 2]).item(), random.choice([96, 480, -25 * 256 + 40]).item()
        data = file_bytes(*random_tracks(random), kind=kind, division=division, running=index % 2 == 0)
        if index % 10 == 0:
            data = b"RIFF" + struct.pack("<I", len(data) + 12) + b"RMIDdata" + struct.pack("<I", len(data)) + data
        paths.append(tmp_path / f"{index}.mid")
        paths[-1].write_bytes(data)
    assert_the_page_reads(paths)


@pytest.fixture(scope="module")
def page(exported, tmp_path_factory):
    if not shutil.which("npm"):
        pytest.skip("needs Node.js and npm")
    folder = tmp_path_factory.mktemp("web") / "page"
    web_page.write_page(exported["tiny"][1], folder)
    return folder


def test_a_page_holds_everything_it_fetches(page, exported):
    assert (page / "model.tflite").read_bytes() == exported["tiny"][1].read_bytes()
    assert "Apache License" in (page / "LICENCES.txt").read_text()
    assert "Salamander Grand Piano V3 by Alexander Holm" in (page / "LICENCES.txt").read_text()
    assert "@litertjs/wasm-utils" not in (page / "runtime" / "litert.js").read_text()
    _, listed = json.loads(
        next(line for line in (page / "service_worker.js").read_text().splitlines() if "VERSION, FILES" in line)
        .split(" = ")[1]
        .rstrip(";")
    )
    found = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    assert {*listed, "index.html", "service_worker.js"} == {*found, "./"}
    assert {f"samples/{name}" for name in ("index.json", "soft.mp3", "medium.mp3", "loud.mp3")} <= found


@pytest.mark.slow
def test_a_page_is_written_over_a_page_but_over_nothing_else(page, exported, tmp_path):
    place = tmp_path / "page"
    shutil.copytree(page, place)
    (place / "old.txt").write_text("of the last version")
    web_page.write_page(exported["tiny"][1], place)
    assert not (place / "old.txt").exists()
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    with pytest.raises(KerasMusicError, match="letters: holds something other"):
        web_page.write_page(exported["tiny"][1], other)
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters", "page"]


def test_another_site_is_left_alone_though_it_has_a_service_worker_too(exported, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "service_worker.js").write_text('addEventListener("install", () => skipWaiting());')
    with pytest.raises(KerasMusicError, match="site: holds something other"):
        web_page.write_page(exported["tiny"][1], site)
    assert [path.name for path in site.iterdir()] == ["service_worker.js"]


@pytest.mark.slow
def test_the_same_model_gives_the_same_page(page, exported, tmp_path):
    web_page.write_page(exported["tiny"][1], tmp_path / "again")
    for path in page.rglob("*.*"):
        assert (tmp_path / "again" / path.relative_to(page)).read_bytes() == path.read_bytes()


def test_the_server_sends_the_types_that_browsers_need(page):
    with web_page.page_server(page, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for name, kind in (("", "text/html"), ("page.js", "text/javascript"), ("style.css", "text/css")):
            with urllib.request.urlopen(f"{address}/{name}") as answer:
                assert answer.headers["Content-Type"].startswith(kind)
        with web_page.page_server(page, server.server_address[1]) as second:
            assert second.server_address[1] != server.server_address[1]
        server.shutdown()


def test_the_server_sends_nothing_but_the_files_of_its_folder(tmp_path):
    folder = tmp_path / "page"
    (folder / "runtime").mkdir(parents=True)
    (folder / "index.html").write_text("page")
    (folder / "runtime" / "litert.js").write_text("code")
    (tmp_path / "secret").write_text("secret")
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "elsewhere").symlink_to(tmp_path)
    with web_page.page_server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = web_page.page_address(*server.server_address[:2])
        for name in ("", "index.html", "runtime/litert.js"):
            with urllib.request.urlopen(address + name) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for name in ("runtime/", "linked", "elsewhere/secret", "../secret", "%2e%2e/secret", "nothing"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + name)
        server.shutdown()


def test_a_server_listens_where_it_is_told_to_or_says_why_not(tmp_path):
    with web_page.page_server(tmp_path, 0, web_page.EVERY_ADDRESS) as server:
        port = server.server_address[1]
        shown = web_page.page_address(web_page.EVERY_ADDRESS, port)
        assert re.fullmatch(rf"http://\d+\.\d+\.\d+\.\d+:{port}/", shown)
        assert web_page.EVERY_ADDRESS not in shown
    with pytest.raises(KerasMusicError, match=r"192\.0\.2\.1: this machine cannot listen there"):
        web_page.page_server(tmp_path, 0, "192.0.2.1")
    with pytest.raises(KerasMusicError, match=r"no\.such\.host\.invalid: this machine cannot listen there"):
        web_page.page_server(tmp_path, 0, "no.such.host.invalid")


def test_the_address_for_other_devices_is_a_qr_code(monkeypatch):
    pytest.importorskip("segno")
    lines = export._qr_code("http://192.168.1.7:8000/").splitlines()
    assert len(lines) > 10
    assert len({len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in lines}) == 1
    monkeypatch.setitem(sys.modules, "segno", None)
    assert export._qr_code("http://192.168.1.7:8000/") == ""


@pytest.mark.slow
@needs_node
def test_a_page_is_served_at_the_address_that_is_printed(exported, tmp_path):
    listen = ["--host", "127.0.0.1"]
    command = [sys.executable, "-m", "kerasmusic.command_line", "export", "--web", "page", "--serve", *listen]
    with subprocess.Popen([*command, exported["tiny"][1]], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as serving:
        assert "page: " in serving.stdout.readline()
        address = serving.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}model.tflite") as answer:
            assert answer.read() == exported["tiny"][1].read_bytes()
        serving.send_signal(signal.SIGINT)
        assert serving.wait() == 130


@needs_node
@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="exporting needs TensorFlow")
@pytest.mark.slow
def test_a_run_is_exported_for_its_page_in_the_precision_that_is_asked_for(exported, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    shutil.copy(exported["tiny"][0], tmp_path / "run" / "model.keras")
    assert main(["export", "--web", str(tmp_path / "page"), str(tmp_path / "run"), "--precision", "int8"]) == 0
    assert "any static host serves it" in capsys.readouterr().out
    model = tmp_path / "page" / "model.tflite"
    assert read_record(read_model_bytes(model), "it")["precision"] == "int8"


def constant_of(file, name):
    """The value of a literal constant in one of the page's modules."""
    code = (Path(web_page.__file__).parent / "web" / file).read_text()
    (literal,) = re.findall(rf"^(?:export )?const {name} = (.*?);$", code, flags=re.DOTALL | re.MULTILINE)
    literal = re.sub(r"//.*", "", literal)
    quoted = re.sub(r"([{,]\s*)([A-Za-z_]\w*)\s*:", r'\1"\2":', literal)
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", quoted))


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("golden.js", "TOLERANCES", golden.TOLERANCES),
        ("golden.js", "SETTINGS", golden.FIRST_SETTINGS),
        ("golden.js", "CHORDS", [list(chord) for chord in golden.CHORDS]),
        ("generator.js", "MIN_P", dict(MIN_P)),
        ("generator.js", "HEARD_NOTES", HEARD_NOTES),
        ("controls.js", "RULED_OUT", controls.RULED_OUT),
        *(
            ("balance.js", name, [*value] if isinstance(value := getattr(balance, name), tuple) else value)
            for name in (
                "SPEED",
                "POLYPHONY",
                "LOUDNESS",
                "SPEEDS",
                "POLYPHONIES",
                "LOUDNESSES",
                "SHORTEST_TICKS",
                "LOG_UNITS",
                "MIDDLE_VELOCITY",
                "VELOCITY_UNITS",
                "MOST_TIMES",
                "LARGEST_INTEGRAND",
                "LARGEST_INTEGRAL",
                "FIRST_WINDOW",
                "TOLD_BY",
                "STEP_GAINS",
                "DURATION_GAINS",
                "VELOCITY_GAINS",
            )
        ),
        ("balance.js", "PERFORMANCES", [list(targets) for targets in balance.PERFORMANCES]),
        ("golden.js", "GROUP", golden.GROUP),
        ("styles.js", "HIGHEST", styles.HIGHEST),
        ("styles.js", "TOLERANCE", styles.TOLERANCE),
        ("golden.js", "LEAST_LOG_PROB", golden.LEAST_LOG_PROB),
        ("controls.js", "SCALES", {name: list(scale) for name, scale in controls.SCALES.items()}),
        ("codec.js", "TICKS_PER_SECOND", TICKS_PER_SECOND),
        ("piano_range.js", "LOWEST", LOWEST_KEY),
        ("piano_range.js", "HIGHEST", HIGHEST_KEY),
        ("midi_file.js", "SUSTAIN", SUSTAIN),
        ("midi_file.js", "PEDAL_DOWN", PEDAL_DOWN),
    ],
)
def test_the_page_has_the_librarys_constants(file, name, value):
    assert constant_of(file, name) == value


@pytest.mark.slow
@needs_node
def test_a_page_plays_the_bundled_model_by_default(tmp_path):
    assert main(["export", "--web", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "model.tflite").read_bytes() == bundled_model().read_bytes()


def test_without_node_one_line_says_what_to_install(exported, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["export", "--web", str(tmp_path / "page"), str(exported["tiny"][1])]) == 2
    said = capsys.readouterr().err
    assert "install Node.js" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--web page absent.tflite", "absent.tflite"),
        ("--web page text.tflite", "text.tflite"),
        ("--web page empty", "empty"),
        ("--web page MODEL --precision int8", "int8"),
        ("--tflite MODEL --serve", "--serve"),
        ("MODEL", "--web"),
    ],
)
def test_bad_input_ends_in_one_line(exported, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tflite").write_text("nothing of the kind")
    before = sorted(tmp_path.iterdir())
    try:
        code = main(["export", *arguments.replace("MODEL", str(exported["tiny"][1])).split()])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert code == 2
    assert words in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
