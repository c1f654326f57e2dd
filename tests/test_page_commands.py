"""Tests of the commands in the pages and the help: the command line must accept each, and short ones are run."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import click
import pretty_midi
import pytest

from conftest import stand_in
from kerasmusic.bench.music import VARIABLE
from kerasmusic.bundled import bundled_model
from kerasmusic.command_line import kerasmusic as command_line
from kerasmusic.command_line import main
from nox_sessions import sessions
from test_audio import has_fluidsynth

ROOT = Path(__file__).resolve().parents[1]
MARKDOWN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ROOT / "kerasmusic" / "weights" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES = sorted(path for folder in ("kerasmusic", "bench", "export") for path in (ROOT / folder).rglob("*.py"))
FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"(?:sudo )?(?:\S+/bin/)?(kerasmusic (?!-->).+|python3? -m kerasmusic.+|nox .+)")
# Pages quote with backticks, messages with apostrophes.
QUOTED = re.compile(r"([`'])((?:kerasmusic |nox |python3? -m kerasmusic)[^`'{}]+)\1")


def lines_of(block):
    """The single commands of a shell's lines, without comments."""
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r" && | \| | > ", re.sub(r"\s+# .*", "", line)):
            if found := SHOWN.fullmatch(part.strip()):
                yield found[1]


def commands_under(command, path=()):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands_under(command.get_command(context, name), (*path, name))
    else:
        yield " ".join(path), command


HELP = dict(commands_under(command_line))
#: Complete commands, with the page or the command whose help shows them.
TYPED = [
    *((path.relative_to(ROOT).as_posix(), line)
      for path in MARKDOWN for block in FENCED.findall(path.read_text()) for line in lines_of(block)),
    *((f"{name} --help", line) for name, command in HELP.items() for line in lines_of(command.example)),
]  # fmt: skip
#: Commands in a sentence, which may omit arguments.
MENTIONED = [
    (path.relative_to(ROOT).as_posix(), " ".join(quoted.split()))
    for path in (*MARKDOWN, *SOURCES, ROOT / "docs" / "tutorial.ipynb")
    for _, quoted in QUOTED.findall(FENCED.sub("", path.read_text()))
]


def parse(command, arguments):
    """Fails where a command, or a command of a group of commands, does not take the arguments."""
    context = command.make_context(command.name, arguments, resilient_parsing=False)
    if isinstance(command, click.Group):
        # No group has options of its own, so the first argument names the command.
        _, chosen, rest = command.resolve_command(context, list(arguments))
        parse(chosen, rest)


def options_of(arguments):
    return {word.split("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}


def check_nox(arguments):
    before, _, after = " ".join(arguments).partition(" -- ")
    words = before.split()
    if words[0] == "-l":
        return
    assert words[0] == "-s"
    assert {word for word in words[1:] if not word.startswith("--")} <= set(sessions())
    if words[1].startswith("train-"):
        parse(HELP["train"], shlex.split(after))


def check_module(arguments):
    name, *rest = arguments
    assert importlib.util.find_spec(name.removesuffix(".NAME")), name
    if wanted := options_of(rest) - {"--help"}:
        done = subprocess.run([sys.executable, "-P", "-m", name, "--help"], capture_output=True, text=True, check=True)
        assert wanted <= set(re.findall(r"--[a-z-]+", done.stdout))


@pytest.mark.parametrize(("place", "line"), TYPED, ids=lambda text: text)
def test_a_command_to_type_is_one_that_is_taken(place, line):
    program, *arguments = shlex.split(line)
    assert not any(word.startswith("../") for word in arguments), "nobody has what lies beside the repository"
    if program == "kerasmusic":
        parse(command_line, arguments)
    elif program == "nox":
        check_nox(arguments)
    else:
        check_module(arguments[1:])


@pytest.mark.parametrize(("place", "quoted"), sorted(set(MENTIONED)), ids=lambda text: text)
def test_a_command_in_a_sentence_has_a_name_and_options_that_there_are(place, quoted):
    program, *arguments = shlex.split(quoted)
    if program == "nox":
        check_nox(arguments)
        return
    if program != "kerasmusic":
        check_module(arguments[1:])
        return
    command, context = command_line, click.Context(command_line, help_option_names=["--help", "-h"])
    for word in arguments:
        if not isinstance(command, click.Group) or word.startswith("-") or not word.islower():
            break
        assert word in command.list_commands(context)
        command = command.get_command(context, word)
    known = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    assert options_of(arguments) <= known


def test_every_page_and_every_command_shows_something_to_type():
    places = {place for place, _ in TYPED}
    assert places >= {f"{name} --help" for name in HELP if name != "completion"}
    assert places >= {"README.md", "CONTRIBUTING.md", "kerasmusic/weights/README.md"}
    assert len(places & {f"docs/{path.name}" for path in MARKDOWN}) >= 5
    assert len(MENTIONED) > 40


#: Why a command is not run here.
LEFT_OUT = {
    "play": "needs a sound device or MIDI ports",
    "service": "changes the system",
    "train": "trains for minutes",
    "bench latency": "measures for minutes",
    "bench tutorial": "measures for minutes",
    "bench train": "measures for minutes",
    "bench experiments": "trains for minutes",
    "bench ingest": "measures for minutes",
    "bench instructions": "needs an emulator",
    "check-model tiny --folder": "needs an emulator",
    "generate --piece": "needs the name of a piece",
}


def runs(line):
    """Whether a command needs no hardware and no network and takes at most a minute."""
    words = line.split()
    # A page takes the browser's runtime from the network; test_extending.py runs the commands that import a module.
    return words[0] == "kerasmusic" and not {"--web", "web", "--import"} & set(words) and not any(
        words[1 : 1 + len(name.split())] == name.split() for name in LEFT_OUT
    )  # fmt: skip


RUN = sorted({line for _, line in TYPED if runs(line)})


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with the files that the commands name, such as a small corpus and a run of a small model."""
    desk = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        patch.setenv("XDG_CACHE_HOME", str(desk / "cache"))
        corpus = desk / "my-midi"
        corpus.mkdir()
        for seed, name in enumerate(["a-piece", *(f"piece-{number}" for number in range(30))]):
            (corpus / f"{name}.mid").write_bytes(stand_in(seed))
        for name in ("real", "generated", "music", "mine", "beginning"):
            shutil.copy(corpus / "a-piece.mid", f"{name}.mid")
        with zipfile.ZipFile("maestro-v2.0.0-midi.zip", "w") as archive:
            for seed in range(100, 131):
                archive.writestr(f"piece-{seed}.mid", stand_in(seed))
        assert main(["train", "--data", "my-midi/", "--preset", "tiny", "--epochs", "0.01", "--run", "runs/mine"]) == 0
        shutil.copytree("runs/mine", "runs/small")
        for name in ("model", "small", "tiny", "lstm"):
            shutil.copy(bundled_model(), f"{name}.tflite")
        (desk / "kerasmusic" / "weights").mkdir(parents=True)
        shutil.copy("runs/mine/model.keras", "kerasmusic/weights/small.keras")
        (desk / "weights").mkdir()
        shutil.copy(ROOT / "weights" / "base.keras", "weights/base.keras")
        shutil.copy(Path(pretty_midi.__file__).with_name("TimGM6mb.sf2"), "Piano.sf2")
        shutil.copytree(ROOT / "bench" / "records", "bench/records")
        shutil.copy(ROOT / "README.md", "README.md")
        (desk / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "benchmarks.md", "docs/benchmarks.md")
        for name in ("here", "workstation", "pi"):
            shutil.copy("bench/records/latency.json", f"{name}.json")
    return desk


@pytest.fixture
def at_desk(desk, monkeypatch):
    """Makes it the working folder, and removes the files that the command adds."""
    monkeypatch.chdir(desk)
    monkeypatch.setenv("XDG_CACHE_HOME", str(desk / "cache"))
    monkeypatch.setenv(VARIABLE, "my-midi")
    standing = set(desk.iterdir())
    yield
    for path in set(desk.iterdir()) - standing:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN)
@pytest.mark.usefixtures("at_desk")
def test_a_short_command_does_what_it_says(line, capsys):
    arguments = shlex.split(line)[1:]
    if ("render" in arguments or "--wav" in arguments) and not has_fluidsynth():
        pytest.skip("needs FluidSynth's library")
    written = [Path(path) for option, path in pairwise(arguments) if option in ("-o", "--page", "--picture")]
    before = [path.stat().st_mtime_ns if path.exists() else 0 for path in written]
    # The shell's work.
    arguments = [
        found for word in arguments for found in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
    ]
    code = main(arguments)
    out, err = capsys.readouterr()
    assert code == 0, err
    assert all(path.stat().st_mtime_ns > then for path, then in zip(written, before, strict=True))
    assert written or out
