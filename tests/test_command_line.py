import json
import os
import re
import subprocess
import sys

import pytest

import kerasmusic
from kerasmusic import midi
from kerasmusic.command_line import main
from kerasmusic.commands import train as train_command
from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.sources import MAESTRO_LICENCE, UNKNOWN_LICENCE
from kerasmusic.edge.piece import model_id
from kerasmusic.export import export_tflite
from small_disk import fill, small_disk


def run(capsys, *arguments):
    """Runs a command; returns its exit code, standard output and standard error."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    return code, *capsys.readouterr()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def model(exported):
    return exported["small"][1]


@pytest.mark.parametrize(
    "command",
    [
        "data build",
        "data info",
        "data check",
        "train",
        "evaluate",
        "generate",
        "play",
        "plot",
        "render",
        "export",
        "verify",
        "inspect",
        "completion",
    ],
)
def test_every_command_has_help_with_an_example(capsys, command):
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    example = out.split("example:\n")[1]
    assert f"kerasmusic {command}" in example.splitlines()[0]
    assert "--quiet" in out


def test_data_is_built_and_shown(capsys, midi_zip):
    for command in ("build", "info"):
        code, out, _ = run(capsys, "data", command, midi_zip)
        assert code == 0
        assert "train            2 performances" in out


def test_files_that_cannot_be_read_are_reported_or_with_strict_the_end(capsys, midi_folder, performances):
    name, data = performances[0]
    (midi_folder / name).write_bytes(data[:-1])
    code, out, _ = run(capsys, "data", "build", midi_folder)
    assert code == 0
    assert "train            1 performances" in out
    assert f"skipped: {name}: not a MIDI file that can be read" in out
    assert "1 files could not be read" in out
    for command in (("data", "build", midi_folder), ("train", "--data", midi_folder, "--run", "strict")):
        code, out, err = run(capsys, *command, "--strict")
        assert code == 2
        assert not out
        assert f"{midi_folder}: 1 of 3 files cannot be read; the first: {name}" in err
        assert err.count("\n") == 1
    assert run(capsys, "data", "info", midi_folder)[0] == 0


def test_several_sources_are_built_as_one_corpus_with_the_licences_of_all(capsys, midi_zip, performances, tmp_path):
    (tmp_path / "mine").mkdir()
    for index, (_, data) in enumerate(performances):
        (tmp_path / "mine" / f"{index}.mid").write_bytes(data)
    code, out, _ = run(capsys, "data", "build", "--data", midi_zip, "--data", "mine", "--json")
    found = json.loads(out)
    assert code == 0
    assert {split: counts["performances"] for split, counts in found["splits"].items()} == {"train": 4, "validation": 2}
    assert found["licence"] == f"{MAESTRO_LICENCE}; and {UNKNOWN_LICENCE}"
    assert run(capsys, "data", "info", midi_zip, "mine", "--json")[1] == out
    code, _, err = run(capsys, "data", "build")
    assert code == 2
    assert "no PATH is given" in err


def test_what_another_source_holds_out_is_found_by_its_notes(capsys, midi_zip, performances, tmp_path):
    code, out, _ = run(capsys, "data", "check", midi_zip, "--against", midi_zip)
    assert (code, out) == (0, f"0 of 3 performances are among the 1 held out in {midi_zip}\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "another name.mid").write_bytes(performances[2][1])
    code, out, _ = run(capsys, "data", "check", "mine", "--against", midi_zip)
    assert code == 1
    held = f"maestro-v2.0.0/{performances[2][0]}"
    found, total = out.splitlines()
    assert found == f"another name.mid (train): the same recording as {held} (validation), 100% in common"
    assert total == f"1 of 1 performances are among the 1 held out in {midi_zip}"
    code, out, _ = run(capsys, "data", "check", "mine", "--against", midi_zip, "--json")
    assert code == 1
    (overlap,) = json.loads(out)["overlaps"]
    assert (overlap["what"], overlap["other"], overlap["share"]) == ("recording", held, 1.0)
    code, _, err = run(capsys, "data", "check", midi_zip, "--against", "mine")
    assert code == 2
    assert "mine: nothing of it is held out; mine: only one performance can be read, and it is for training" in err


@pytest.mark.slow
def test_training_says_that_it_has_no_validation(capsys, performances, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.mid").write_bytes(performances[2][1])
    arguments = ("--data", "mine", "--preset", "tutorial", "--epochs", 0.05, "--run", "run")
    code, _, err = run(capsys, "train", *arguments)
    assert code == 0
    reason = "mine: only one performance can be read, and it is for training"
    assert f"no validation, so training ends with its budget and not before; {reason}\n" in err
    assert "Warning" not in err


@pytest.mark.slow
def test_training_says_what_leaks_between_its_sources(capsys, midi_zip, performances, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.mid").write_bytes(performances[2][1])
    train_command._warn_of_leaks(open_corpus(midi_zip))
    assert capsys.readouterr().err == ""
    train_command._warn_of_leaks(open_corpus(["mine", midi_zip]))
    assert capsys.readouterr().err == (
        f"1 performances of mine to train on are held out in {midi_zip}, such as a.mid; "
        f"'kerasmusic data check mine --against {midi_zip}' lists them\n"
    )


@pytest.mark.slow
def test_evaluating_an_empty_split_ends_in_a_sentence_that_says_why(capsys, model, midi_zip, midi_folder, performances):
    (midi_folder / performances[2][0]).write_bytes(b"not music")
    code, _, err = run(capsys, "evaluate", model, "--data", midi_folder)
    reason = "none of the 1 files that its csv assigns to it can be read"
    assert code == 2
    assert err.splitlines()[-1] == (
        f"kerasmusic: validation: no performances in this split; {midi_folder.name}: {reason}"
    )
    code, out, _ = run(capsys, "evaluate", model, "--data", midi_folder, "--data", midi_zip, "--json")
    assert code == 0
    assert json.loads(out)["pieces"] == 1


@pytest.mark.slow
def test_a_keras_json_of_another_precision_is_refused_before_training(midi_folder, tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float16"}')
    command = [sys.executable, "-P", "-m", "kerasmusic.command_line", "train"]
    done = subprocess.run(
        [*command, "--data", str(midi_folder), "--preset", "tiny", "--epochs", "0.1", "--run", "run"],
        env={**os.environ, "KERAS_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"kerasmusic: float16: is Keras's floatx, .* in keras\.json .*\n", done.stderr)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_training_leaves_a_whole_run_and_its_file_plays(capsys, midi_folder, tmp_path):
    code, out, err = run(
        capsys, "train", "--data", midi_folder, "--preset", "tutorial", "--epochs", 0.05, "--run", "first"
    )
    assert code == 0, err
    left = {path.name for path in (tmp_path / "first").iterdir()}
    assert {"model.keras", "model.tflite", "history.csv", "loss.png", "sample.mid", "sample.png"} <= left
    steps, *_, last = out.splitlines()
    assert re.fullmatch(
        r"\d+ steps in \d+\.\d minutes, after \d+\.\d of compiling, budget spent; saved in first", steps
    )
    assert last.startswith("left ")
    assert re.search(
        r"^too short to learn from: 0\.0\d+ of a pass over the data; give it more --epochs$", err, re.MULTILINE
    )
    assert len(midi.read(tmp_path / "first" / "sample.mid")) > 10
    code, out, _ = run(capsys, "evaluate", "first/model.tflite", "--data", midi_folder, "--pieces", 1)
    assert code == 0
    assert "pitch" in out
    code, _, err = run(capsys, "train", "--data", midi_folder, "--run", "first", "--epochs", 1)
    assert code == 2
    assert "--resume" in err
    code, out, _ = run(capsys, "train", "--resume", "first", "--epochs", 0.06)
    assert code == 0
    assert "saved in first" in out


@pytest.mark.slow
def test_composers_of_the_data_are_trained_as_styles_that_can_be_asked_for(capsys, midi_folder):
    asked = ("--preset", "tiny", "--epochs", 1, "--batch-size", 4, "--style-notes", 1)
    code, _, err = run(capsys, "train", "--data", midi_folder, *asked, "--run", "styled")
    assert code == 0, err
    for file in ("styled/model.keras", "styled/model.tflite"):
        assert "styles      Bach, Chopin\n" in run(capsys, "inspect", file)[1]
    code, _, err = run(capsys, "generate", "styled/model.tflite", "--notes", 5, "--style", "Bach:0.6,Chopin:0.4")
    assert code == 0, err
    assert "knows no styles" not in err
    code, _, err = run(capsys, "generate", "styled/model.tflite", "--style", "Verdi", "-o", "verdi.mid")
    assert code == 2
    assert "Verdi: no such style" in err
    code, _, err = run(capsys, "train", "--resume", "styled", "--style-notes", 2)
    assert code == 2
    assert "--style-notes 2: styled was begun with 1" in err


def test_music_is_generated_with_all_that_was_asked_for(capsys, model, tmp_path, notes):
    midi.write(notes[:30], tmp_path / "primer.mid")
    code, out, err = run(
        capsys, "generate", model, "--notes", 50, "--seed", 7, "--temperature", "pitch=1.1,step=0.9", "--min-p", 0.05,
        "--primer", "primer.mid", "--key", "C major", "--range", "C2-C6", "--speed", 6, "--loudness", "p",
        "-o", "x.mid", "--png",
    )  # fmt: skip
    assert code == 0, err
    assert "80 notes" in out
    assert "seed 7" in out
    assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    assert midi.read(tmp_path / "x.mid").start[0] == 0
    again = tmp_path / "again.mid"
    assert run(capsys, "generate", model, "--notes", 50, "--seed", 7, "-o", again)[0] == 0
    assert run(capsys, "generate", model, "--notes", 50, "--seed", 7, "-o", "same.mid")[0] == 0
    assert again.read_bytes() == (tmp_path / "same.mid").read_bytes()


@pytest.mark.slow
def test_keras_files_generate_too_and_export(capsys, exported, tmp_path):
    keras_file, tflite_file = exported["tutorial"]
    for file, name in ((keras_file, "a.mid"), (tflite_file, "b.mid")):
        assert run(capsys, "generate", file, "--seconds", 3, "--notes", 20, "--seed", 1, "-o", name)[0] == 0
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
    code, out, _ = run(capsys, "export", "--tflite", keras_file, "-o", "out.tflite")
    assert code == 0
    assert "bytes" in out
    export_tflite(keras_file, tmp_path / "by-python.tflite")
    assert (tmp_path / "out.tflite").read_bytes() == (tmp_path / "by-python.tflite").read_bytes()


@pytest.mark.slow
def test_every_precision_is_exported_beside_the_model_with_a_table(capsys, exported, midi_folder, tmp_path):
    (tmp_path / "model.keras").write_bytes(exported["small"][0].read_bytes())
    code, out, _ = run(
        capsys, "export", "--tflite", tmp_path / "model.keras", "--precision", "all", "--data", midi_folder
    )
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    for precision in ("float32", "float16", "int8", "int8-full"):
        file = tmp_path / ("model.tflite" if precision == "float32" else f"model-{precision}.tflite")
        assert str(file) in rows[precision]
        assert f"{file.stat().st_size:,}" in rows[precision]
        assert "FULLY_CONNECTED (version" in rows[f"{precision}:"]
        assert run(capsys, "verify", file)[0] == 0
        assert "TFLite 2." in run(capsys, "inspect", file)[1]


@pytest.mark.slow
def test_another_precision_never_writes_over_float32s_file(capsys, exported, tmp_path):
    (tmp_path / "model.keras").write_bytes(exported["tutorial"][0].read_bytes())
    code, _, err = run(capsys, "export", "--tflite", tmp_path / "model.keras", "--precision", "float16")
    assert code == 0
    assert "not measured: name real music with --data" in err
    assert {path.name for path in tmp_path.glob("*.tflite")} == {"model-float16.tflite"}


def test_files_say_what_they_are(capsys, exported, performances, tmp_path):
    (tmp_path / "x.midi").write_bytes(performances[0][1])
    for file, words in [
        (exported["small"][0], "GatedNoteModel"),
        (exported["small"][1], "FULLY_CONNECTED"),
        (tmp_path / "x.midi", "velocity"),
    ]:
        code, out, _ = run(capsys, "inspect", file)
        assert code == 0
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ("data info absent", "absent"),
        ("data info empty", "empty"),
        ("data info text.zip", "text.zip"),
        ("train --data absent --minutes 1", "absent"),
        ("train --data empty --preset enormous", "enormous"),
        ("train --data empty --minutes -1", "-1"),
        ("train --data empty --backend abacus", "abacus"),
        ("train --resume empty", "empty"),
        ("train --minutes soon", "soon"),
        ("train --data empty --stretch 2", "2.0"),
        ("train --data empty --transposition -1", "-1"),
        ("train --data empty --precision float8", "float8"),
        ("train --data empty --precision float16", "float16"),
        ("train --data empty --from absent", "absent"),
        ("train --data empty --from MODEL", "model.tflite: is for playing"),
        ("train --data empty --from text.keras", "text.keras"),
        ("generate absent.tflite", "absent.tflite"),
        ("generate text.zip", "text.zip"),
        ("generate text.tflite", "text.tflite"),
        ("generate empty", "empty"),
        ("generate MODEL --temperature -1", "-1"),
        ("generate MODEL --temperature hot", "hot"),
        ("generate MODEL --temperature tempo=1", "tempo"),
        ("generate MODEL --min-p 2", "2"),
        ("generate MODEL --key H", "H"),
        ("generate MODEL --range 90", "90"),
        ("generate MODEL --speed nan", "nan"),
        ("generate MODEL --notes 0", "0"),
        ("generate MODEL --seconds nan", "nan"),
        ("generate MODEL --seed -3", "-3"),
        ("generate MODEL --primer absent.mid", "absent.mid"),
        ("generate MODEL -o x.wav", "x.wav"),
        ("evaluate absent.keras --data empty", "absent.keras"),
        ("evaluate text.tflite --data empty", "text.tflite"),
        ("evaluate MODEL --data empty", "empty"),
        ("export --tflite absent", "absent"),
        ("export --tflite text.keras -o x.tflite", "text.keras"),
        ("export --tflite text.keras --precision int3", "int3"),
        ("export --tflite text.keras -o x.bin", "x.bin"),
        ("verify absent.tflite", "absent.tflite"),
        ("verify text.tflite", "text.tflite"),
        ("inspect absent", "absent"),
        ("inspect text.zip", "text.zip"),
        ("inspect text.keras", "text.keras"),
        ("conduct", "conduct"),
    ],
)
def test_bad_input_ends_in_one_line_with_its_value_and_nothing_written(capsys, model, tmp_path, arguments, value):
    (tmp_path / "empty").mkdir()
    for name in ("text.zip", "text.tflite", "text.keras"):
        (tmp_path / name).write_text("nothing of the kind")
    before = sorted(tmp_path.iterdir())
    code, out, err = run(capsys, *arguments.replace("MODEL", str(model)).split())
    assert code == 2
    assert value in err
    assert err.count("\n") == 1
    assert not out
    assert sorted(path for path in tmp_path.iterdir() if path.name != "cache") == before


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("genarate", "did you mean generate?"),
        ("train --preset smal", "did you mean small?"),
        ("export --tflite MODEL --precision int", "did you mean int8?"),
        ("generate MODEL --temprature 1", "--temperature"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(capsys, exported, arguments, meant):
    code, _, err = run(capsys, *arguments.replace("MODEL", str(exported["tutorial"][0])).split())
    assert code == 2
    assert meant in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_script_reads_json(capsys, exported, midi_folder, tmp_path):
    keras_file, tflite_file = exported["tutorial"]
    answers = {}
    for command in (
        f"data info {midi_folder} --json",
        f"evaluate {tflite_file} --data {midi_folder} --pieces 1 --json",
        f"generate {tflite_file} --notes 5 --seed 3 --json",
        f"export --tflite {keras_file} -o {tmp_path / 'x.tflite'} --json",
        f"verify {tflite_file} --json",
        f"inspect {tflite_file} --json",
        f"inspect {keras_file} --json",
        "inspect music.mid --json",
    ):
        code, out, err = run(capsys, *command.split())
        assert code == 0, err
        answers[" ".join(command.split()[:2])] = json.loads(out)
    assert answers["data info"]["splits"]["train"]["performances"] == 2
    assert list(answers["data info"]["composers"]) == ["Bach", "Chopin"]
    assert answers[f"evaluate {tflite_file}"]["pieces"] == 1
    assert answers[f"evaluate {tflite_file}"]["by_field"]["step"] is None
    assert answers[f"generate {tflite_file}"] == {
        "files": ["music.mid"], "notes": 5, "seconds": midi.read("music.mid").seconds, "seed": 3,
        "piece": f"{model_id(tflite_file)}/3/notes=5/min-p=pitch=0.02/speed=4.1/polyphony=5.2/loudness=57",
    }  # fmt: skip
    assert answers["export --tflite"][0]["precision"] == "float32"
    assert answers[f"verify {tflite_file}"]["holds"] is True
    assert answers[f"inspect {tflite_file}"]["preset"] == "tutorial"
    assert answers[f"inspect {keras_file}"]["class"] == "TutorialModel"
    assert answers["inspect music.mid"]["notes"] == 5


def test_a_model_without_probabilities_is_said_to_have_none(capsys, exported, midi_folder):
    code, out, _ = run(capsys, "evaluate", exported["tutorial"][1], "--data", midi_folder, "--pieces", 1)
    assert code == 0
    assert "the model gives single values for step, duration, velocity, and no probabilities\npitch " in out
    assert "nan" not in out


def test_quiet_says_nothing_but_what_was_asked_for(capsys, exported):
    tflite_file = exported["tutorial"][1]
    code, out, err = run(capsys, "generate", tflite_file, "--notes", 5, "--quiet")
    assert (code, out, err) == (0, "", "")
    code, out, _ = run(capsys, "verify", tflite_file, "-q")
    assert code == 0
    assert "verified" in out
    assert run(capsys, "generate", "absent", "-o", "x.mid", "--quiet")[2] == "kerasmusic: absent: no such file\n"


@pytest.fixture
def somebodys(notes, tmp_path):
    """Writes a user's file; returns a function that checks whether it is unchanged."""
    midi.write(notes[:20], tmp_path / "x.mid")

    def write(name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        return lambda: path.read_bytes() == b"mine"

    return write


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("render x.mid", "x.wav"),
        ("plot x.mid", "x.png"),
        ("plot x.mid x.mid", "x.png"),
        ("generate MODEL --notes 5", "music.mid"),
        ("generate MODEL --notes 5 -o y.mid --png", "y.png"),
        ("generate MODEL --notes 5 -o y.mid --wav", "y.wav"),
        ("export --tflite model.keras", "model.tflite"),
        ("export --tflite model.keras --precision int8", "model-int8.tflite"),
        ("export --tflite model.keras --precision all", "model-int8-full.tflite"),
        ("export --tflite model.keras --precision all -o y.tflite", "y-float16.tflite"),
        ("bench latency --short", "bench-latency.json"),
        ("bench tutorial --short --data x.mid", "bench-tutorial.json"),
        ("bench train --short --data x.mid", "bench-train.json"),
        ("bench ingest --short --data x.mid", "bench-ingest.json"),
        ("bench instructions --folder . --site .", "bench-instructions.json"),
    ],
)
def test_what_stands_under_a_default_name_is_left_alone_before_any_work(
    capsys, exported, tmp_path, somebodys, arguments, name
):
    (tmp_path / "model.keras").write_bytes(exported["tutorial"][0].read_bytes())
    is_untouched = somebodys(name)
    before = sorted(tmp_path.iterdir())
    code, out, err = run(capsys, *arguments.replace("MODEL", str(exported["tutorial"][1])).split())
    assert (code, out) == (2, "")
    assert err.startswith("kerasmusic: ")
    assert err.endswith(f"{name}: exists; name the output with -o, or replace what is there with --force\n")
    assert is_untouched()
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_under_a_default_name_is_left_alone_even_where_it_leads_nowhere(capsys, tmp_path, somebodys):
    somebodys("y")
    (tmp_path / "x.png").symlink_to("absent")
    assert run(capsys, "plot", "x.mid")[0] == 2
    assert (tmp_path / "x.png").is_symlink()


@pytest.mark.parametrize("arguments", ["plot x.mid --force", "plot x.mid -o x.png", "plot --force x.mid -q"])
def test_a_file_that_is_named_or_forced_is_replaced(capsys, somebodys, arguments):
    is_untouched = somebodys("x.png")
    assert run(capsys, *arguments.split())[0] == 0
    assert not is_untouched()


@pytest.mark.parametrize("name", ["sample.wav", "model.keras", "loss.png"])
def test_training_anew_leaves_a_folder_of_somebodys_files_alone(capsys, midi_folder, tmp_path, somebodys, name):
    is_untouched = somebodys(f"folder/{name}")
    code, _, err = run(capsys, "train", "--data", midi_folder, "--epochs", 0.05, "--run", "folder")
    assert code == 2
    assert err == f"kerasmusic: folder/{name}: exists, and training would replace it; name another --run\n"
    assert is_untouched()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [name]


@pytest.mark.slow
def test_a_runs_own_files_are_made_anew_and_others_in_its_folder_are_not(capsys, exported, tmp_path, somebodys):
    somebodys("run/run.json")
    (tmp_path / "run" / "model.keras").write_bytes(exported["tutorial"][0].read_bytes())
    is_untouched = somebodys("run/model.tflite")
    assert run(capsys, "export", "--tflite", "run")[0] == 0
    assert not is_untouched()
    is_untouched = somebodys("run/checkpoint.tflite")
    (tmp_path / "run" / "checkpoint.keras").write_bytes(exported["tutorial"][0].read_bytes())
    assert run(capsys, "export", "--tflite", "run/checkpoint.keras")[0] == 2
    assert is_untouched()


def test_every_command_that_has_a_default_name_says_in_its_help_how_to_replace_what_is_there(capsys):
    for command in ("render", "plot", "generate", "export", "bench latency", "bench tutorial", "bench train"):
        assert "--force" in run(capsys, *command.split(), "--help")[1]


def test_what_is_generated_fits_in_a_file_that_can_be_read_or_is_refused_before(capsys, model, monkeypatch):
    monkeypatch.setattr(midi, "LONGEST_SECONDS", 100.0)
    code, _, err = run(capsys, "generate", model, "--seconds", 99, "--seed", 3, "-o", "x.mid")
    assert code == 2
    most = int(re.fullmatch(r"kerasmusic: 99: --seconds may be at most (\d+), to fit in x.mid\n", err)[1])
    assert run(capsys, "generate", model, "--seconds", most, "--seed", 3, "-o", "x.mid")[0] == 0
    assert most - 10 < midi.read("x.mid").seconds <= 100
    code, _, err = run(capsys, "generate", model, "--notes", 100_000, "--seed", 3, "-o", "y.mid")
    assert code == 0
    assert re.fullmatch(r"ended after [\d,]+ notes: y.mid can hold no longer music\n", err)
    assert most - 10 < midi.read("y.mid").seconds <= 100
    monkeypatch.setattr(midi, "MAX_NOTES", 50)
    code, _, err = run(capsys, "generate", model, "--notes", 51, "-o", "z.mid")
    assert (code, err) == (2, "kerasmusic: 51: --notes may be at most 50, to fit in z.mid\n")


@pytest.mark.slow
def test_ten_thousand_seconds_are_generated_and_read_again(capsys, model):
    assert run(capsys, "generate", model, "--seconds", 10_100, "--seed", 1, "-o", "x.mid")[0] == 0
    assert midi.read("x.mid").seconds > 10_000


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(capsys, shell):
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    assert "_KERASMUSIC_COMPLETE" in out


def test_completion_knows_commands_and_options():
    for words, expected in (("kerasmusic gen", "generate"), ("kerasmusic train --pre", "--preset")):
        done = subprocess.run(
            [sys.executable, "-m", "kerasmusic.command_line"],
            env={
                **os.environ, "_KERASMUSIC_COMPLETE": "bash_complete", "COMP_WORDS": words,
                "COMP_CWORD": str(words.count(" ")),
            },
            capture_output=True,
            text=True,
            check=True,
        )  # fmt: skip
        assert expected in done.stdout


def test_the_version_is_the_packages(capsys):
    assert run(capsys, "--version")[1] == f"kerasmusic {kerasmusic.__version__}\n"


def test_a_traceback_never_reaches_the_user(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "kerasmusic.command_line", "inspect", "absent"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "kerasmusic: absent: no such file\n"


def test_what_a_package_prints_as_it_is_imported_stays_out_of_the_output(tmp_path):
    (tmp_path / "fluidsynth.py").write_text("print('found')")
    path = tmp_path / "x.mid"
    midi.write(kerasmusic.Notes([0.0], [60], [1.0], [64]), path)
    done = subprocess.run(
        [sys.executable, "-m", "kerasmusic.command_line", "inspect", str(path), "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["notes"] == 1


@pytest.fixture
def full_disk(tmp_path):
    """A mounted disk that is full and holds a file `old.mid`."""
    disk = tmp_path / "disk"
    with small_disk(disk, "64k") as mounted:
        if not mounted:
            pytest.skip("needs to mount a small disk")
        (disk / "old.mid").write_bytes(b"old")
        fill(disk)
        yield disk


@pytest.mark.parametrize(
    "command",
    [
        "generate {model} --notes 20 -o {disk}/old.mid",
        "generate {model} --notes 20 -o {disk}/new.mid",
        "data build {music}",
        "export --tflite {keras} -o {disk}/model.tflite",
        "train --data {music} --preset tutorial --minutes 0.01 --run {disk}/run",
        "plot {song} -o {disk}/song.png",
    ],
)
@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_that_names_the_place(
    capsys, monkeypatch, exported, midi_folder, full_disk, performances, command
):
    if command.startswith("data"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(full_disk))
    keras, model = exported["small"]
    song = midi_folder / performances[0][0]
    words = command.format(model=model, keras=keras, music=midi_folder, song=song, disk=full_disk).split()
    code, _, err = run(capsys, *words)
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith("kerasmusic: ")]
    assert line.startswith(f"kerasmusic: {full_disk}/")
    assert "No space left on device" in line
    assert "Traceback" not in err
    assert (full_disk / "old.mid").read_bytes() == b"old"
    assert not [path for path in full_disk.rglob("*") if path.is_file() and path.name not in ("old.mid", "filler")]


@pytest.mark.slow
def test_resuming_obeys_what_it_is_given_or_refuses_it(capsys, midi_zip, performances, tmp_path):
    begin = ("--data", midi_zip, "--preset", "tutorial", "--batch-size", 4, "--epochs", 0.05, "--run", "run")
    assert run(capsys, "train", *begin)[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    for given, named in (
        (("--learning-rate", 0.5), "--learning-rate 0.5: run was begun with None"),
        (("--batch-size", 8), "--batch-size 8: run was begun with 4"),
        (("--preset", "tiny"), "--preset tiny: run was begun with tutorial"),
        (("--seed", 3), "--seed 3: run was begun with 0"),
        (("--stretch", 0.05), "--stretch 0.05: run was begun with 0.0"),
        (("--no-pedal",), "--no-pedal True: run was begun with False"),
        (("--from", "bundled"), "--from bundled: a run is resumed from its own checkpoint"),
        (("--run", "other"), "--run other: run is resumed in its own folder"),
    ):
        code, _, err = run(capsys, "train", "--resume", "run", "--epochs", 0.1, *given)
        assert (code, err.count("\n")) == (2, 1), err
        assert named in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    # What is as the run has it is no change; music that moved and grew is taken, and said.
    (tmp_path / "mine").mkdir()
    for index, (_, data) in enumerate(performances * 8):
        (tmp_path / "mine" / f"{index}.mid").write_bytes(data)
    same = ("--batch-size", 4, "--preset", "tutorial", "--run", "run")
    code, out, err = run(capsys, "train", "--resume", "run", "--epochs", 0.06, "--data", "mine", *same)
    assert code == 0
    assert "the music has changed since the run began: 3 performances with " in err
    assert "budget spent" in out
