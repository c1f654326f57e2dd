"""What there is to do with a checkout: `nox -s NAME`, `nox -l` for the list. Arguments after -- are passed on."""

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
TEST_PACKAGES = nox.project.dependency_groups(PYPROJECT, "tests")
LITERT = "ai-edge-litert==2.3.0"
BUILT: set[Path] = set()
LINT_PACKAGES = nox.project.dependency_groups(PYPROJECT, "lint")


@nox.session(name="train-jax")
def train_jax(session: nox.Session) -> None:
    """Train on JAX, export and play; with no --data, on MAESTRO, or without a network on a demonstration."""
    # Exporting is TensorFlow's, in a process of its own.
    session.install(".[jax,tensorflow,edge,audio,plot]")
    session.run("kerasmusic", "train", "--backend", "jax", *session.posargs)


@nox.session(name="train-tensorflow")
def train_tensorflow(session: nox.Session) -> None:
    """Train on TensorFlow, export and play; with no --data, on MAESTRO, or without a network on a demonstration."""
    session.install(".[tensorflow,edge,audio,plot]")
    session.run("kerasmusic", "train", "--backend", "tensorflow", *session.posargs)


# What depends on Keras's backend; the rest is tested once.
ON_EVERY_BACKEND = (
    "documentation", "evaluation", "growing", "keyboard", "linear_recurrence", "loading", "models", "repeats",
    "sampling", "training", "windows",
)  # fmt: skip


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, from an installed wheel, on JAX, and on TensorFlow again what depends on Keras's backend."""
    session.install(".[jax,tensorflow,edge,audio,plot,live]", *TEST_PACKAGES)
    everything = not session.posargs
    # A file's tests share what they build, so it stays with one process.
    side_by_side = ("-n", "2", "--dist", "loadfile") if everything else ()
    session.run("pytest", *side_by_side, *session.posargs, env={"KERAS_BACKEND": "jax"})
    paths = [f"tests/test_{name}.py" for name in ON_EVERY_BACKEND] if everything else []
    session.run("pytest", *side_by_side, *paths, *session.posargs, env={"KERAS_BACKEND": "tensorflow"})


def build_models(session: nox.Session) -> Path:
    """The folder of the models that the edge tests play, built once, in an environment of its own with TensorFlow."""
    folder = Path(".nox/edge-models").resolve()
    if folder in BUILT:
        return folder
    BUILT.add(folder)
    python = folder / "environment" / "bin" / "python"
    if not python.exists():
        session.run("python", "-m", "venv", str(python.parents[1]))
    session.run(str(python), "-m", "pip", "install", "--quiet", ".[tensorflow]", external=True)
    environment = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    session.run(str(python), "-P", "tests/build_models.py", str(folder), env=environment, external=True)
    return folder


def run_edge_tests(session: nox.Session) -> None:
    """The tests of what a device runs, in an environment without Keras, TensorFlow and JAX."""
    environment = {"KERASMUSIC_TEST_MODELS": str(build_models(session))}
    names = (
        "bundled", "generator", "golden", "controls", "codec", "notes", "midi", "midi_channels", "midi_parser", "files",
        "runtimes", "player",
        "answers", "duet", "performance", "view", "fuzz", "latency",
    )  # fmt: skip
    session.run("pytest", *(f"tests/test_{name}.py" for name in names), *session.posargs, env=environment)


@nox.session(name="tests-edge-litert")
def tests_edge_litert(session: nox.Session) -> None:
    """What a device runs, on ai-edge-litert alone."""
    session.install(".[edge,live]", *TEST_PACKAGES)
    run_edge_tests(session)


@nox.session(name="tests-edge-tflite-runtime", python="3.11")
def tests_edge_tflite_runtime(session: nox.Session) -> None:
    """What a device runs, on tflite-runtime 2.14, the last there is, and NumPy 1."""
    session.install(".[live]", "tflite-runtime==2.14.0", "numpy<2", *TEST_PACKAGES)
    run_edge_tests(session)


@nox.session
def fuzz(session: nox.Session) -> None:
    """200,000 cases of hostile input: MIDI files, .tflite files with their records, tables and fields."""
    session.install(".[edge]")
    environment = {"KERASMUSIC_TEST_MODELS": str(build_models(session))}
    session.run("python", "-P", "tests/fuzz.py", *session.posargs, env=environment)


@nox.session(name="killed-training")
def killed_training(session: nox.Session) -> None:
    """Kill a training at 20 random moments, carry it on, and compare it bit for bit with one left alone."""
    session.install(".[jax]")
    session.run("python", "-P", "tests/killed_training.py", *session.posargs, env={"KERAS_BACKEND": "jax"})


@nox.session(name="long-run")
def long_run(session: nox.Session) -> None:
    """Ten million notes from one generator, its fields, clock and memory watched."""
    session.install(".[edge]")
    session.run("python", "-P", "tests/long_run.py", *session.posargs)


def install_browser(session: nox.Session) -> None:
    """Chromium and Node.js from Debian, where they are absent and this may install them."""
    packages = {"chromium": "chromium", "node": "nodejs", "npm": "npm"}
    absent = [package for command, package in packages.items() if not shutil.which(command)]
    if not absent:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        session.error(f"install {', '.join(absent)}, such as by: apt install {' '.join(absent)}")
    session.run("apt-get", "update", "-qq", external=True)
    session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent, external=True)


@nox.session(name="tests-web")
def tests_web(session: nox.Session) -> None:
    """The page that plays a model in a browser: its modules, the folder, and all of it in a headless Chromium."""
    install_browser(session)
    session.run("node", "--test", *sorted(map(str, Path("tests/web").glob("*.test.mjs"))), external=True)
    session.install(".[edge]", "playwright>=1.49", *TEST_PACKAGES)
    environment = {"KERASMUSIC_TEST_MODELS": str(build_models(session)), "KERASMUSIC_SCREENSHOTS": ".nox/screenshots"}
    session.run("pytest", "tests/test_web_page.py", "tests/web/test_page.py", *session.posargs, env=environment)


def emulated_pi(session: nox.Session) -> tuple[Path, Path]:
    """The scripts that emulate a Pi, and a folder with an arm64 Python in `root` and QEMU in `qemu`; needs apt-get."""
    scripts, folder = Path("../shared/pi").resolve(), Path(".nox/pi").resolve()
    if not scripts.is_dir():
        session.skip("the scripts that emulate a Pi are not here")
    if not (folder / "root").exists():
        session.run("bash", str(scripts / "arm64_root.sh"), str(folder / "root"), external=True)
        session.run("bash", str(scripts / "qemu_user.sh"), str(folder / "qemu"), external=True)
    return scripts, folder


def install_for_pi(session: nox.Session, site: Path, runtime: str, numpy: str) -> None:
    """Installs kerasmusic and an interpreter for arm64 into a folder."""
    platforms = [f"manylinux_2_{glibc}_aarch64" for glibc in (34, 28, 27, 17)] + ["manylinux2014_aarch64"]
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(site), "--no-compile",
        "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
        *(argument for platform in platforms for argument in ("--platform", platform)),
        runtime, numpy, "click", "platformdirs", "tqdm",
    )  # fmt: skip
    # What has no binary wheel is pure Python, whatever the platform.
    session.run(
        "python", "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(site), "--no-compile",
        "--no-deps", ".",
    )  # fmt: skip


@nox.session(name="tests-pi")
def tests_pi(session: nox.Session) -> None:
    """Verify files and play on an emulated Raspberry Pi 4, on both runtimes; needs ../shared/pi and apt-get."""
    scripts, folder = emulated_pi(session)
    models = build_models(session)
    for runtime, numpy in ((LITERT, "numpy"), ("tflite-runtime==2.14.0", "numpy<2")):
        site = folder / runtime.split("=")[0]
        install_for_pi(session, site, runtime, numpy)
        music = str(folder / "music.mid")
        command = ("-m", "kerasmusic.command_line")
        for arguments in (
            *((*command, "verify", str(models / model)) for model in (
                "tiny/model.tflite", "tiny/int8.tflite", "echoing/model.tflite", "tutorial/model.tflite",
                "small/model.tflite",
            )),
            (*command, "generate", "--notes", "100", "--seed", "7", "-o", music),
            (*command, "inspect", music),
            (*command, "play", "--help"),
            # Without a port or a device: the threads, the clock and the model, into memory.
            ("-m", "kerasmusic.bench.live", "--seconds", "10"),
        ):  # fmt: skip
            session.run(
                "bash", str(scripts / "run_as_pi.sh"), str(folder / "qemu"), str(folder / "root"), str(site), "pi4",
                "-P", *arguments, external=True,
            )  # fmt: skip


@nox.session(name="bench-pi")
def bench_pi(session: nox.Session) -> None:
    """Count a note's instructions on emulated cores of Pis; fail where `small` takes 10 % more than on record."""
    scripts, folder = emulated_pi(session)
    site = folder / LITERT.split("=")[0]
    install_for_pi(session, site, LITERT, "numpy")
    session.install(".[plot]")
    session.run(
        "kerasmusic", "bench", "instructions", "--pi", str(scripts), "--folder", str(folder), "--site", str(site),
        "--against", "bench/records/pi-instructions.json", "-o", ".nox/pi-instructions.json", *session.posargs,
    )  # fmt: skip


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark in a short form, to see that it runs; on MAESTRO in ../shared/data, or what --data names."""
    session.install(".[jax,tensorflow,edge,audio,plot]")
    data = session.posargs or ["--data", "../shared/data/maestro-v2.0.0-trainval.zip"]
    kept = [f".nox/bench-{kind}.json" for kind in ("latency", "tutorial", "train", "ingest")]
    for record in kept:
        kind = record.removesuffix(".json").rpartition("-")[2]
        session.run("kerasmusic", "bench", kind, "--short", *data, "-o", record)
    session.run("kerasmusic", "bench", "report", *kept, "--picture", ".nox/latency.png")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages and the API from the docstrings, into .nox/docs/html; a warning is an error."""
    session.install(".[jax,edge,plot]", *nox.project.dependency_groups(PYPROJECT, "docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", ".nox/docs/html", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and the layers of the design."""
    session.install("numpy", *LINT_PACKAGES)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "kerasmusic", "export", "bench")
