"""Sessions are recorded to MIDI files that are whole at every moment."""

import os
import re
import signal
import subprocess
import sys
import threading

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasmusic import midi
from kerasmusic.bundled import bundled_model
from kerasmusic.command_line import main
from kerasmusic.edge.generator import Generator
from kerasmusic.live import recording as recording_module
from kerasmusic.live.endless import Endless
from kerasmusic.live.inputs import Pedal, Release, Strike
from kerasmusic.live.player import Player
from kerasmusic.live.recording import (
    KEPT_SECONDS,
    LONGEST_SECONDS,
    RecordedOutput,
    Recording,
    free_path,
    variable_length,
)  # fmt: skip
from simulated import MemoryOutput, SteppedClock, simulate


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def recording(tmp_path, clock):
    return Recording(tmp_path / "sessions" / "a.mid", clock)


def strikes_of(path):
    """The strikes of each track: name, and rows of seconds, pitch and velocity."""
    file = mido.MidiFile(path)
    assert (file.type, len(file.tracks)) == (1, 2)
    found = {}
    for track in file.tracks:
        ticks, rows = 0, []
        for message in track:
            ticks += message.time
            if message.type == "note_on" and message.velocity:
                rows.append((ticks / 1000, message.note, message.velocity))
        found[track.name] = rows
    return found


def test_a_session_has_a_track_of_yours_and_one_of_the_models(recording, clock):
    recording.hear(Strike(1.0, 60, 90))
    clock.time = 1.5
    recording.play(72, 50)
    recording.hear(Release(1.75, 60))
    clock.time = 2.0
    recording.play(72, 0)
    recording.flush()
    assert strikes_of(recording.path) == {"You": [(0, 60, 90)], "kerasmusic": [(0.5, 72, 50)]}
    notes = midi.read(recording.path)
    assert notes.duration.tolist() == [0.75, 0.5]


def test_the_pedal_is_recorded(recording):
    for event in (Strike(0.0, 60, 90), Pedal(0.1, True), Release(0.2, 60), Pedal(3.0, False)):
        recording.hear(event)
    recording.flush()
    assert midi.read(recording.path).duration.tolist() == [3.0]
    assert midi.read(recording.path, pedal=False).duration.tolist() == [0.2]


def test_the_file_is_whole_after_every_writing(recording, clock):
    output = MemoryOutput(clock)
    player = Player(
        Endless(Generator(bundled_model("small"), seed=7)), RecordedOutput(output, recording), clock,
        on_event=recording.hear,
    )  # fmt: skip
    events = [Strike(12.0, 60, 80), Release(13.0, 60), Strike(25.0, 62, 80), Release(26.0, 62)]
    begins = None
    for until in range(5, 40, 5):
        simulate(player, until, [event for event in events if until - 5 <= event.time < until])
        recording.flush()
        begins = output.strikes[0][0] if begins is None else begins
        found = strikes_of(recording.path)
        assert len(found["kerasmusic"]) == len(output.strikes)
        np.testing.assert_allclose(
            [row[0] for row in found["kerasmusic"]], [s[0] - begins for s in output.strikes], atol=1e-3
        )
        assert [row[1] for row in found["kerasmusic"]] == [pitch for _, pitch, *_ in output.strikes]
        assert len(found["You"]) == sum(isinstance(event, Strike) and event.time < until for event in events)


def test_what_only_the_model_plays_is_appended(recording, clock, monkeypatch):
    recording.hear(Strike(0.0, 60, 90))
    recording.flush()
    inode = recording.path.stat().st_ino
    monkeypatch.setattr(recording_module, "atomic_write", None)
    for pitch in range(60, 90):
        clock.time += 1
        recording.play(pitch, 64)
        recording.flush()
    assert recording.path.stat().st_ino == inode
    assert len(strikes_of(recording.path)["kerasmusic"]) == 30


def test_nothing_is_written_of_silence(recording):
    with recording:
        pass
    assert recording.is_empty
    assert not recording.path.exists()


def test_keys_that_are_down_at_the_end_are_released(recording, clock):
    with recording:
        recording.hear(Strike(0.0, 60, 90))
        clock.time = 2.0
        recording.play(64, 70)
        clock.time = 3.0
    assert midi.read(recording.path).end.tolist() == [3.0, 3.0]


def test_the_last_five_minutes_are_kept(recording, clock):
    assert recording.keep() is None
    for second in range(0, 400, 10):
        recording.hear(Strike(float(second), 60, 90))
        recording.hear(Release(second + 1.0, 60))
    clock.time = 400.0
    first, second = recording.keep(), recording.keep()
    assert first.name == "a-kept.mid"
    assert second.name == "a-kept-2.mid"
    kept = midi.read(first)
    assert len(kept) == KEPT_SECONDS / 10
    assert kept.start[0] == 0


def test_what_is_kept_begins_and_ends_with_nothing_held(recording, clock):
    recording.hear(Strike(0.0, 60, 90))
    recording.hear(Release(400.0, 60))
    recording.hear(Strike(401.0, 62, 90))
    recording.hear(Pedal(401.5, True))
    clock.time = 403.0
    path = recording.keep()
    assert midi.read(path).end.tolist() == [2.0]
    assert [message.type for message in mido.MidiFile(path).tracks[0] if not message.is_meta] == [
        "note_on", "control_change", "note_on", "control_change",
    ]  # fmt: skip


def test_a_file_that_is_deleted_is_written_again(recording, clock):
    for pitch in range(60, 70):
        clock.time += 1
        recording.play(pitch, 64)
        recording.flush()
        if pitch == 64:
            recording.path.unlink()
    assert len(strikes_of(recording.path)["kerasmusic"]) == 10
    assert recording.failure is None


def test_a_session_that_goes_on_in_another_file_leaves_the_first_one_whole(recording):
    recording.hear(Strike(LONGEST_SECONDS - 1, 60, 90))
    recording.flush()
    recording.hear(Strike(2 * LONGEST_SECONDS - 3, 62, 90))
    recording.hear(Release(2 * LONGEST_SECONDS - 2, 62))
    recording.hear(Release(2 * LONGEST_SECONDS - 1.5, 60))
    recording.hear(Strike(2 * LONGEST_SECONDS + 1, 64, 90))
    recording.flush()
    assert len(midi.read(recording.path.with_name("a.mid"))) == 2
    assert len(strikes_of(recording.path)["You"]) == 1


def test_minutes_are_kept_while_they_are_recorded(recording):
    playing = threading.Event()

    def play():
        try:
            for number in range(5_000):
                recording.hear(Strike(number / 100, 60 + number % 12, 1 + number % 127))
                if number % 10 == 0:
                    recording.flush()
        finally:
            playing.set()

    thread = threading.Thread(target=play)
    kept, interval = [], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        while not playing.is_set():
            kept.append(recording.keep())
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    recording.flush()
    assert len(strikes_of(recording.path)["You"]) == 5_000
    assert all(path is None or strikes_of(path)["You"] for path in kept[-3:])


def test_a_long_session_goes_on_in_another_file(recording, clock):
    for second in (0.0, LONGEST_SECONDS + 1, LONGEST_SECONDS + 5):
        recording.hear(Strike(second, 60, 90))
        recording.hear(Release(second + 1, 60))
        recording.flush()
    assert recording.path.name == "a-2.mid"
    assert len(midi.read(recording.path)) == 2
    assert len(midi.read(recording.path.with_name("a.mid"))) == 1


def test_a_disk_that_fails_does_not_end_the_music(tmp_path, clock):
    (tmp_path / "file").touch()
    recording = Recording(tmp_path / "file" / "a.mid", clock)
    recording.hear(Strike(0.0, 60, 90))
    recording.flush()
    assert recording.failure
    assert recording.is_empty


def test_a_session_never_overwrites_another(tmp_path):
    assert free_path(tmp_path / "a.mid").name == "a.mid"
    (tmp_path / "a.mid").touch()
    (tmp_path / "a-2.mid").touch()
    assert free_path(tmp_path / "a.mid").name == "a-3.mid"


@given(st.integers(0, 2**28 - 1))
def test_times_are_read_as_they_were_written(number):
    value = 0
    for byte in variable_length(number):
        value = value << 7 | byte & 0x7F
    assert value == number


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "a.wav"], "a.wav: the session is recorded to a MIDI file"),
        (["-o", "a.mid", "--no-record"], "leave one out"),
        (["-o", "nowhere/a.mid"], "no file can be written here"),
        (["--channel", "3"], "3: --channel is for a MIDI port"),
        (["--pause", "2"], "2: --pause ends the phrases that are answered"),
    ],
)
def test_what_cannot_be_recorded_is_refused(options, message, capsys):
    assert main(["play", *options]) == 2
    assert message in capsys.readouterr().err


SESSION = """
import sys, time
from pathlib import Path
from kerasmusic.live.clock import SystemClock
from kerasmusic.live.recording import Recording
clock = SystemClock()
with Recording(Path(sys.argv[1]), clock) as recording:
    for number in range(10_000):
        recording.play(60 + number % 12, 64 * (number % 2))
        print(number, flush=True)
        time.sleep(0.01)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_session_survives_kill_9(tmp_path):
    path = tmp_path / "a.mid"
    with subprocess.Popen([sys.executable, "-c", SESSION, path], stdout=subprocess.PIPE, text=True) as process:
        while int(process.stdout.readline()) < 600:
            pass
        os.kill(process.pid, signal.SIGKILL)
    assert len(midi.read(path)) > 100
    assert re.search("kerasmusic", mido.MidiFile(path).tracks[1].name)
