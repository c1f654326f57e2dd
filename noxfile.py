"""The development tasks: `nox -l` lists them, `nox -s NAME` runs one. Arguments after -- are passed on."""

import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
# The Python versions of the classifiers, oldest first.
PYTHONS = nox.project.python_versions(PYPROJECT)
TEST_PACKAGES = nox.project.dependency_groups(PYPROJECT, "tests")
LITERT = "ai-edge-litert==2.3.0"
BUILT: set[Path] = set()
# pytest's exit code if no selected test has the marker every_backend.
NO_TESTS = 5
# Seconds after which a hanging test is stopped with a traceback; the slowest test takes two minutes.
LONGEST_TEST = "900"
LINT_PACKAGES = nox.project.dependency_groups(PYPROJECT, "lint")


@nox.session(name="train-jax")
def train_jax(session: nox.Session) -> None:
    """Train on JAX, export and play; without --data on MAESTRO, or without a network on a demonstration."""
    # The exporter runs on TensorFlow, in a separate process.
    session.install(".[jax,tensorflow,edge,audio,plot]")
    session.run("kerasmusic", "train", "--backend", "jax", *session.posargs)


@nox.session(name="train-tensorflow")
def train_tensorflow(session: nox.Session) -> None:
    """Train on TensorFlow, export and play; without --data on MAESTRO, or without a network on a demonstration."""
    session.install(".[tensorflow,edge,audio,plot]")
    session.run("kerasmusic", "train", "--backend", "tensorflow", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests from an installed wheel on JAX, and those that depend on the backend on TensorFlow too."""
    run_tests(session)


@nox.session(name="tests-on", python=PYTHONS)
def tests_on(session: nox.Session) -> None:
    """Run `tests` on a given Python version: nox -s tests-on-3.12 -- -m 'not slow'."""
    run_tests(session)


def run_tests(session: nox.Session) -> None:
    """Installs kerasmusic with everything its tests need, and runs the tests that the arguments select."""
    session.install(".[jax,tensorflow,edge,audio,plot]", *TEST_PACKAGES)
    install_ports(session)
    run_pytest(session)


def install_ports(session: nox.Session) -> None:
    """Installs support for MIDI ports if possible; without it, tests of real ports are skipped.

    python-rtmidi has no wheels for Python 3.13 and later. Building it needs a compiler and the headers of ALSA and JACK
    (apt install build-essential pkg-config libasound2-dev libjack-jackd2-dev).
    """
    session.run("python", "-m", "pip", "install", "--quiet", ".[live]", success_codes=[0, 1])


def run_pytest(session: nox.Session, *options: str) -> None:
    """Runs the selected tests on JAX, and those that depend on Keras's backend on TensorFlow."""
    chosen = [*session.posargs, *options]
    # Many tests train the same small models, each in its own process: JAX compiles each program once.
    with tempfile.TemporaryDirectory() as compiled:
        # Only a cache of limited size is locked, so that no process reads a program that another is writing.
        cache = {"JAX_COMPILATION_CACHE_DIR": compiled, "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**30)}
        session.run("pytest", *side_by_side(chosen), *chosen, env={"KERAS_BACKEND": "jax", **cache})
    marked = only("every_backend and not one_backend", chosen)
    environment = {"KERAS_BACKEND": "tensorflow"}
    session.run("pytest", *side_by_side(chosen), *marked, env=environment, success_codes=[0, NO_TESTS])


def only(markers: str, arguments: list[str]) -> list[str]:
    """Restricts the tests that pytest's arguments select to those with these markers."""
    chosen = [f"({after})" for option, after in pairwise(arguments) if option == "-m"]
    # The last -m takes precedence.
    return [*arguments, "-m", " and ".join([markers, *chosen])]


def side_by_side(arguments: list[str]) -> list[str]:
    """The options of pytest for two processes; none if its arguments name test files."""
    if any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        return []
    # Tests of one file share fixtures, so they stay in one process.
    return ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "--timeout", LONGEST_TEST]


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure line and branch coverage on JAX; .nox/coverage-html has the report by line."""
    session.install(".[jax,tensorflow,edge,audio,plot]", *TEST_PACKAGES)
    install_ports(session)
    environment = {"KERAS_BACKEND": "jax", "COVERAGE_FILE": str(Path(".nox/coverage-data").resolve())}
    reports = ("--cov", "--cov-report", "term", "--cov-report", "html:.nox/coverage-html")
    session.run("pytest", *side_by_side(session.posargs), *reports, *session.posargs, env=environment)


@nox.session(name="tests-oldest", python=PYTHONS[0])
def tests_oldest(session: nox.Session) -> None:
    """Run `tests` with the lowest version of every dependency that pyproject.toml declares."""
    session.install("uv")
    session.run(
        "uv", "pip", "install", "--quiet", "--resolution", "lowest-direct",
        ".[jax,tensorflow,edge,audio,plot,live]", external=True,
    )  # fmt: skip
    # The tests' own dependencies may be newer, but must not replace the versions just installed.
    lowest = session.run("uv", "pip", "freeze", "--exclude-editable", silent=True, external=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(line + "\n" for line in str(lowest).splitlines() if "==" in line)
        constraints.flush()
        session.run("uv", "pip", "install", "--quiet", "--constraint", constraints.name, *TEST_PACKAGES, external=True)
    # Old releases warn of newer ones that they depend on.
    run_pytest(session, "-W", "default")


@nox.session(name="main-job", python=PYTHONS)
def main_job(session: nox.Session) -> None:
    """Train briefly on each backend, export every precision, verify each file and generate music with it."""
    session.install(".[jax,tensorflow,edge,plot]")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        music = folder / "music"
        music.mkdir()
        for seed in ("1", "2", "3"):
            session.run("kerasmusic", "generate", "--notes", "600", "--seed", seed, "-o", str(music / f"{seed}.mid"))
        for backend in ("jax", "tensorflow"):
            run = folder / backend
            session.run(
                "kerasmusic", "train", "--backend", backend, "--preset", "tiny", "--data", str(music), "--epochs", "8",
                "--batch-size", "4", "--run", str(run),
            )  # fmt: skip
            session.run("kerasmusic", "export", "--tflite", str(run), "--precision", "all", "--data", str(music))
            files = sorted(run.glob("*.tflite"))
            if len(files) < 5:
                session.error(f"{len(files)} files were exported, not one for each precision")
            for file in files:
                session.run("kerasmusic", "verify", str(file))
                session.run("kerasmusic", "generate", str(file), "--notes", "100", "-o", str(file.with_suffix(".mid")))
                session.run("kerasmusic", "inspect", str(file.with_suffix(".mid")))


@nox.session
def everything(session: nox.Session) -> None:
    """Run every check on every Python version; this takes hours."""
    for name in (
        "lint", "docs",
        *(f"{name}-{python}" for python in PYTHONS for name in ("tests-on", "main-job")),
        "tests-oldest", "coverage", "tests-edge-litert", "tests-edge-tflite-runtime", "tests-web", "tests-pi",
        "bench-pi", "fuzz", "killed-training", "long-run", "million-notes", "keras-passage",
        "bench",
    ):  # fmt: skip
        session.notify(name)


def build_models(session: nox.Session) -> Path:
    """Builds the models for the edge tests once, in a separate environment with TensorFlow; returns their folder."""
    folder = Path(".nox/edge-models").resolve()
    if folder in BUILT:
        return folder
    BUILT.add(folder)
    python = folder / "environment" / "bin" / "python"
    if not python.exists():
        session.run("python", "-m", "venv", str(python.parents[1]))
    session.run(str(python), "-m", "pip", "install", "--quiet", ".[tensorflow]", external=True)
    session.run(str(python), "tests/build_models.py", str(folder), external=True)
    return folder


def run_edge_tests(session: nox.Session) -> None:
    """Runs the tests of the device's code in an environment without Keras, TensorFlow and JAX."""
    environment = {"KERASMUSIC_TEST_MODELS": str(build_models(session))}
    session.run("pytest", *side_by_side(session.posargs), *only("device", session.posargs), env=environment)


@nox.session(name="tests-edge-litert")
def tests_edge_litert(session: nox.Session) -> None:
    """Run the device's tests with only ai-edge-litert installed."""
    session.install(".[edge,live]", *TEST_PACKAGES)
    run_edge_tests(session)


@nox.session(name="tests-edge-tflite-runtime", python="3.11")
def tests_edge_tflite_runtime(session: nox.Session) -> None:
    """Run the device's tests with tflite-runtime 2.14, its last release, and NumPy 1."""
    session.install(".[live]", "tflite-runtime==2.14.0", "numpy<2", *TEST_PACKAGES)
    run_edge_tests(session)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Test 200,000 cases of hostile input: MIDI files, .tflite files and their records, codec tables and fields."""
    session.install(".[edge]")
    environment = {"KERASMUSIC_TEST_MODELS": str(build_models(session))}
    session.run("python", "tests/fuzz.py", *session.posargs, env=environment)


@nox.session(name="killed-training")
def killed_training(session: nox.Session) -> None:
    """Kill and resume a training at 20 random moments, and compare it bit for bit with an uninterrupted one."""
    session.install(".[jax]")
    session.run("python", "tests/killed_training.py", *session.posargs, env={"KERAS_BACKEND": "jax"})


@nox.session(name="long-run")
def long_run(session: nox.Session) -> None:
    """Generate ten million notes with one generator, and monitor its fields, clock and memory."""
    session.install(".[edge]")
    session.run("python", "tests/long_run.py", *session.posargs)


@nox.session(name="million-notes", python=PYTHONS[0])
def million_notes(session: nox.Session) -> None:
    """Compare a million notes of a bundled model on ai-edge-litert, on tflite-runtime and in Chromium."""
    install_browsers(session)
    session.install(".[edge]", "playwright>=1.49", "tflite-runtime==2.14.0", "numpy<2")
    session.run("python", "tests/million_notes.py", *session.posargs)


@nox.session(name="keras-passage", python=PYTHONS[0])
def keras_passage(session: nox.Session) -> None:
    """Export the bundled `small`, and compare its notes with those of the quantised model on each Keras backend."""
    session.install(".[jax,tensorflow,torch,edge]")
    folder = Path(".nox/keras-passage")
    folder.mkdir(parents=True, exist_ok=True)
    keras_file, file = folder / "small-exact.keras", folder / "small.tflite"
    keras_file.unlink(missing_ok=True)
    original = "kerasmusic/weights/small.keras"
    session.run("kerasmusic", "export", "--tflite", original, "--precision", "exact", "-o", str(file))
    # PyTorch takes 50 milliseconds a note.
    for backend, notes in (("jax", 10_000), ("tensorflow", 10_000), ("torch", 1_000)):
        arguments = (str(keras_file), str(file), "--notes", str(notes))
        session.run("python", "tests/keras_passage.py", *arguments, env={"KERAS_BACKEND": backend})


def install_browsers(session: nox.Session) -> None:
    """Installs Chromium, Firefox and Node.js from Debian if they are absent, which needs root."""
    packages = {"chromium": "chromium", "firefox-esr": "firefox-esr", "node": "nodejs", "npm": "npm"}
    absent = [package for command, package in packages.items() if not shutil.which(command)]
    if not absent:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        session.error(f"{', '.join(absent)} not found; run: apt install {' '.join(absent)}")
    session.run("apt-get", "update", "-qq", external=True)
    session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent, external=True)


@nox.session(name="tests-web")
def tests_web(session: nox.Session) -> None:
    """Test the web page that plays a model: its modules, its folder, and the page in Chromium and Firefox."""
    install_browsers(session)
    session.run("node", "--test", *sorted(map(str, Path("tests/web").glob("*.test.mjs"))), external=True)
    session.install(".[edge]", "playwright>=1.49", "websockets>=14", *TEST_PACKAGES)
    environment = {"KERASMUSIC_TEST_MODELS": str(build_models(session)), "KERASMUSIC_SCREENSHOTS": ".nox/screenshots"}
    session.run("pytest", "tests/test_web_page.py", "tests/web", *session.posargs, env=environment)


def unpack_pi(session: nox.Session, architecture: str) -> Path:
    """Unpacks a Raspberry Pi's Python and QEMU and returns the folder; needs apt-get, but not root."""
    folder = Path(".nox/pi").resolve()
    session.run("bash", "bench/pi/unpack.sh", str(folder), architecture, external=True)
    return folder


def install_wheels(session: nox.Session, site: Path, machine: str, *packages: str) -> None:
    """Installs binary wheels for a Raspberry Pi's Python 3.11 into a folder."""
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in (34, 28, 27, 17)] + [f"manylinux2014_{machine}"]
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(site), "--no-compile",
        "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
        *(argument for platform in platforms for argument in ("--platform", platform)), *packages,
    )  # fmt: skip


def install_for_pi(session: nox.Session, site: Path, machine: str, *packages: str) -> None:
    """Installs kerasmusic and binary wheels for a Raspberry Pi's Python 3.11 into a folder."""
    pure = ("click", "platformdirs", "tqdm")
    install_wheels(session, site, machine, *packages, *pure)
    # kerasmusic is pure Python, so it needs no --platform.
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(site), "--no-compile",
        "--no-deps", ".",
    )  # fmt: skip


def run_as_pi(
    session: nox.Session, folder: Path, board: str, site: str, *arguments: str, code: int = 0, says: str = ""
) -> None:
    """Runs Python on an emulated board; it must exit with `code`, and its output must contain `says`."""
    command = ("bash", "bench/pi/run.sh", str(folder), board, site, "-P", *arguments)
    said = session.run(*command, success_codes=[code], external=True, silent=True)
    if said is not None:
        session.log(str(said).strip())
        if says not in str(said):
            session.error(f"the output lacks: {says}")


COMMAND = ("-m", "kerasmusic.command_line")


@nox.session(name="tests-pi")
def tests_pi(session: nox.Session) -> None:
    """Verify files and generate music on an emulated Raspberry Pi 4 with both runtimes; needs apt-get."""
    folder = unpack_pi(session, "arm64")
    models = build_models(session)
    for runtime, numpy in ((LITERT, "numpy"), ("tflite-runtime==2.14.0", "numpy<2")):
        site = folder / runtime.split("=")[0]
        install_for_pi(session, site, "aarch64", runtime, numpy)
        music = str(folder / "music.mid")
        for arguments in (
            *((*COMMAND, "verify", str(models / model)) for model in (
                "tiny/model.tflite", "tiny/int8.tflite", "echoing/model.tflite", "tutorial/model.tflite",
                "small/model.tflite",
            )),
            (*COMMAND, "generate", "small", "--notes", "100", "--seed", "7", "-o", music),
            (*COMMAND, "inspect", music),
            (*COMMAND, "play", "--help"),
            # Tests the threads, the clock and the model with an output in memory, without a MIDI port.
            ("-m", "kerasmusic.bench.live", "--seconds", "10"),
        ):  # fmt: skip
            run_as_pi(session, folder, "pi4", str(site), *arguments)
    bundled = str(Path("kerasmusic/weights/small.tflite").resolve())
    for board in ("pi3", "pi4", "pi5"):
        says = "it plays the very notes of this exact file, 1,000 of 1,000"
        run_as_pi(session, folder, board, str(site), *COMMAND, "verify", bundled, "--notes", "1000", says=says)


@nox.session(name="tests-armhf")
def tests_armhf(session: nox.Session) -> None:
    """Verify files and generate music on an emulated 32-bit Raspberry Pi, with and without a runtime; needs apt-get."""
    folder = unpack_pi(session, "armhf")
    models = build_models(session)
    base, runtime = folder / "armhf-base", folder / "armhf-runtime"
    install_for_pi(session, base, "armv7l")
    # NumPy comes from Debian, in the root file system.
    install_wheels(session, runtime, "armv7l", "--no-deps", "tflite-runtime==2.14.0")
    music = str(folder / "music-armhf.mid")
    without, with_runtime = str(base), f"{base}:{runtime}"
    bundled = str(Path("kerasmusic/weights/small.tflite").resolve())
    line = "run: pip install 'kerasmusic[edge-32bit]'"
    for arguments in (("generate", "-o", music), ("verify", bundled)):
        run_as_pi(session, folder, "pi2", without, *COMMAND, *arguments, code=2, says=line)
    for arguments in (
        ("verify", bundled, "--notes", "1000"),
        ("verify", str(models / "tiny/model.tflite")),
        ("generate", "small", "--notes", "100", "--seed", "7", "-o", music),
        ("inspect", music),
    ):
        # NumPy 1 warns often on this processor, and users must not see its warnings.
        run_as_pi(session, folder, "pi2", with_runtime, "-W", "error", *COMMAND, *arguments)


@nox.session(name="bench-pi")
def bench_pi(session: nox.Session) -> None:
    """Count the instructions per note on emulated Pis; fail if `small` needs 10 % more than the stored record."""
    folder = unpack_pi(session, "arm64")
    site = folder / LITERT.split("=")[0]
    install_for_pi(session, site, "aarch64", LITERT, "numpy")
    session.install(".[plot]")
    session.run(
        "kerasmusic", "bench", "instructions", "--folder", str(folder), "--site", str(site),
        "--against", "bench/records/pi-instructions.json", "-o", ".nox/pi-instructions.json",
        *(session.posargs or ["kerasmusic/weights/small.tflite"]),
    )  # fmt: skip


@nox.session
def bench(session: nox.Session) -> None:
    """Run every benchmark in its short form as a test; `kerasmusic bench ingest --help` names the music it uses."""
    session.install(".[jax,tensorflow,edge,audio,plot]")
    kept = [f".nox/bench-{kind}.json" for kind in ("latency", "tutorial", "train", "ingest")]
    for record in kept:
        kind = record.removesuffix(".json").rpartition("-")[2]
        session.run("kerasmusic", "bench", kind, "--short", *session.posargs, "-o", record)
    session.run("kerasmusic", "bench", "report", *kept, "--picture", ".nox/latency.png")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages and the API reference in .nox/docs/html; warnings are errors."""
    session.install(".[jax,edge,plot]", *nox.project.dependency_groups(PYPROJECT, "docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", ".nox/docs/html", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and the types of the installed package, and that the type check finds planted errors."""
    # All dependencies with type hints; TensorFlow has none.
    session.install(".[jax,audio,edge,plot]", *LINT_PACKAGES)
    install_ports(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # mypy searches the working directory first, and the checkout's kerasmusic lacks kerasmusic.export.
    with session.chdir("tests"):
        options = ("--config-file", "../pyproject.toml", "--cache-dir", "../.mypy_cache")
        session.run("mypy", *options, "--package", "kerasmusic")
    session.run("pytest", "tests/test_types.py")
