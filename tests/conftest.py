"""Shared fixtures. Music is from MAESTRO if `kerasmusic.bench.music` finds it, else random stand-ins."""

import csv
import hashlib
import importlib.metadata
import io
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# Processes that tests start in the checkout must not import its folder kerasmusic, which lacks kerasmusic.export.
os.environ["PYTHONSAFEPATH"] = "1"

import numpy as np
import pretty_midi
import pytest
from filelock import FileLock

import kerasmusic.export
from broken_midi import FILES
from build_models import model_paths
from kerasmusic.bench.music import real_music
from kerasmusic.data.corpus import open_corpus
from kerasmusic.data.sources import open_source
from kerasmusic.midi import read_bytes

BUILDER = Path(__file__).with_name("build_models.py")
FOLDER = "maestro-v2.0.0"
COLUMNS = ("canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename", "duration")
# Short performances of about a thousand notes each, recorded in three different years.
MEMBERS = (
    "2014/MIDI-UNPROCESSED_21-22_R1_2014_MID--AUDIO_21_R1_2014_wav--1.midi",
    "2013/ORIG-MIDI_02_7_6_13_Group__MID--AUDIO_08_R1_2013_wav--1.midi",
    "2008/MIDI-Unprocessed_07_R2_2008_01-05_ORIG_MID--AUDIO_07_R2_2008_wav--2.midi",
)
# The composers of the small MAESTRO's performances, spelled as different tables do; they need not be the real ones.
COMPOSERS = ("Frédéric Chopin", "Johann Sebastian Bach / Ferruccio Busoni", "Chopin, Frédéric (1810-1849)")
# The numbers of performances in MAESTRO v2.0.0.
PERFORMANCES = {"train": 967, "validation": 137}


def find_maestro():
    """MAESTRO's listing; None if there is no music, or other music."""
    found = real_music()
    listing = found and open_source(found).list_files()
    counts = Counter(listing.assign_splits(listing.names) if listing else ())
    return listing if all(counts[split] == count for split, count in PERFORMANCES.items()) else None


# Evaluated before any test sets another cache folder.
MAESTRO = find_maestro()


def pytest_ignore_collect(collection_path):
    """Ignores the tests that need Keras if it is not installed."""
    if collection_path.suffix == ".py" and not find_spec("keras"):
        return "pytest.mark.device" not in collection_path.read_text() or None
    return None


def pytest_configure():
    # A shell makes its background jobs ignore SIGINT, and processes that tests start and interrupt would inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def data_home(tmp_path_factory):
    """The folder in which `kerasmusic play` records sessions, apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("data")
        patch.setenv("XDG_DATA_HOME", str(home))
        yield home


def pytest_collection_modifyitems(items):
    """Puts the files with the most slow tests first, so that two processes finish at about the same time."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_report_header():
    return f"music: {MAESTRO.root if MAESTRO else 'stand-ins; CONTRIBUTING.md says how to test on MAESTRO'}"


def stand_in(seed: int) -> bytes:
    """A MIDI file of 900 random notes without overlaps on a key, with a sustain pedal that goes down and up."""
    random = np.random.default_rng(seed)
    start = np.cumsum(random.choice([0.0, 0.06, 0.12, 0.25, 0.5], 900)) + 0.5
    pitch = random.integers(36, 97, 900)
    piano = pretty_midi.Instrument(0, name="piano")
    free = {}
    for onset, key, held in zip(start.tolist(), pitch.tolist(), random.uniform(0.03, 0.8, 900).tolist(), strict=True):
        before = free.get(key)
        if before is not None and before.end > onset - 0.01:
            if before.start > onset - 0.03:
                continue
            before.end = onset - 0.01
        free[key] = pretty_midi.Note(int(random.integers(20, 110)), key, onset, onset + held)
        piano.notes.append(free[key])
    for time in np.arange(0.0, start[-1], 1.7).tolist():
        piano.control_changes += [pretty_midi.ControlChange(64, 100, time), pretty_midi.ControlChange(64, 20, time + 1)]
    midi = pretty_midi.PrettyMIDI(resolution=480)
    midi.instruments.append(piano)
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


@pytest.fixture(scope="session")
def maestro():
    """The folder or zip of MAESTRO, with all of its training and validation performances."""
    if MAESTRO is None:
        pytest.skip("needs all of MAESTRO; CONTRIBUTING.md says how to test on it")
    return MAESTRO.root


@pytest.fixture(scope="session")
def broken_midi(tmp_path_factory):
    """A folder with the files of `broken_midi.FILES`."""
    folder = tmp_path_factory.mktemp("broken")
    for name, file in FILES.items():
        (folder / f"{name}.mid").write_bytes(file.data)
    return folder


@pytest.fixture(scope="session")
def performances():
    """Three short performances as pairs: a name in MAESTRO's layout, and the bytes of a MIDI file."""
    if MAESTRO is None:
        return [(name, stand_in(seed)) for seed, name in enumerate(MEMBERS)]
    chosen = [name for member in MEMBERS for name in MAESTRO.names if name.endswith(member)]
    return list(zip(MEMBERS, (data for _, data in open_source(MAESTRO.root).read(chosen)), strict=True))


def maestros_layout(performances):
    """Names and bytes of a small MAESTRO: two training performances, one for validation, and one listed but missing."""
    rows = [
        (composer, "Étude", split, name[:4], name, name.replace(".midi", ".wav"), "60.0")
        for (name, _), composer, split in zip(performances, COMPOSERS, ("train", "train", "validation"), strict=True)
    ]
    rows.append(("Anon, of old", "Lost", "train", "2004", "2004/lost.midi", "2004/lost.wav", "60.0"))
    table = io.StringIO(newline="")
    csv.writer(table).writerows([COLUMNS, *rows])
    return [(f"{FOLDER}.csv", table.getvalue().encode()), *performances]


@pytest.fixture
def midi_folder(performances, tmp_path_factory):
    """A small MAESTRO as a folder. Each test gets a new one, which it may change."""
    root = tmp_path_factory.mktemp("music") / FOLDER
    for name, data in maestros_layout(performances):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture(scope="session")
def midi_zip(performances, tmp_path_factory):
    """A small MAESTRO as a zip file, shared by all tests."""
    path = tmp_path_factory.mktemp("zipped") / "music.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in maestros_layout(performances):
            archive.writestr(f"{FOLDER}/{name}", data)
    return path


@pytest.fixture(scope="session")
def corpus(midi_zip, tmp_path_factory):
    """A corpus of two performances for training and one for validation."""
    return open_corpus(midi_zip, cache=tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="session")
def notes(performances):
    """The notes of one performance, with the pedal applied."""
    name, data = performances[0]
    return read_bytes(data, name)


@pytest.fixture(scope="session")
def exported(pytestconfig):
    """Untrained models by name, as (model.keras, model.tflite); built beforehand if there is no TensorFlow.

    Building takes half a minute, so pytest's cache keeps the models until something changes that they depend on.
    """
    built = os.environ.get("KERASMUSIC_TEST_MODELS")
    if not built:
        folder = pytestconfig.cache.mkdir("models")
        with FileLock(folder / "lock"):
            built = folder / models_version()
            if not built.exists():
                for former in folder.glob("*/"):
                    shutil.rmtree(former, ignore_errors=True)
                subprocess.run([sys.executable, BUILDER, str(folder / "unfinished")], check=True)
                (folder / "unfinished").rename(built)
    return {name: model_paths(Path(built), name) for name in ("small", "tutorial", "tiny", "echoing", "styled")}


def models_version():
    """A name for the test models that changes with the package and the libraries that made them."""
    digest = hashlib.sha256()
    for path in [BUILDER, *sorted(Path(kerasmusic.__file__).parent.rglob("*.py"))]:
        digest.update(path.read_bytes())
    # Where the package is a checkout, `kerasmusic.export` lies elsewhere.
    for path in sorted(Path(kerasmusic.export.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    for library in ("keras", "tensorflow", "numpy"):
        digest.update(importlib.metadata.version(library).encode())
    return digest.hexdigest()[:16]


class JackServer:
    """A JACK server without a device, which provides virtual ports and a sound device on any machine."""

    def __init__(self, log):
        self.log = log
        self.process = None

    def start(self):
        command = ["jackd", "-r", "-n", os.environ["JACK_DEFAULT_SERVER"], "-d", "dummy", "-p", "1024"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        waited = subprocess.run(["jack_wait", "-w", "-t", "30"], capture_output=True, check=False)
        if waited.returncode or self.process.poll() is not None:
            self.end()
            raise RuntimeError(f"jackd does not start: {self.log.read_text()}")

    def kill(self):
        """Ends the server as a device is lost, without a word to its clients."""
        self.process.kill()
        self.process.wait()

    def end(self):
        # A server that is killed stays in JACK's register, which has room for eight names.
        self.process.terminate()
        self.process.wait(timeout=30)


@pytest.fixture
def jack_server(monkeypatch, tmp_path):
    """A running JACK server; None if JACK is not installed."""
    if not shutil.which("jackd"):
        yield None
        return
    # The name of a worker, not of a process, so that runs that were killed fill at most a few places of the register.
    monkeypatch.setenv("JACK_DEFAULT_SERVER", f"kerasmusic-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    server = JackServer(tmp_path / "jackd.log")
    server.start()
    yield server
    server.end()
