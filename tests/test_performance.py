import ctypes
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import mido
import numpy as np
import pytest

import scripted_midi
from kerasmusic import midi
from kerasmusic.command_line import main
from kerasmusic.edge.sampling import Sampling
from kerasmusic.errors import ArgumentError
from kerasmusic.live.controls import KEYS, faster, louder, next_key, warmer
from kerasmusic.live.performance import PlayOptions, catch_signals

pytestmark = [pytest.mark.device, pytest.mark.slow]

HERE = Path(__file__).parent


def playing(tmp_path, *arguments, stdout=subprocess.PIPE, **environment):
    """Starts the command on the scripted MIDI backend."""
    return subprocess.Popen(
        [sys.executable, "-m", "kerasmusic.command_line", "play", *arguments],
        env={
            **os.environ, "MIDO_BACKEND": "scripted_midi", "PYTHONPATH": str(HERE), "PORTS": "Piano",
            "SENT": str(tmp_path / "sent.txt"), **environment,
        },
        stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=tmp_path,
    )  # fmt: skip


def sent_by(tmp_path):
    path = tmp_path / "sent.txt"
    return path.read_text().splitlines() if path.exists() else []


def wait_for(tmp_path, count):
    for _ in range(1200):
        if len(sent_by(tmp_path)) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("it does not play")


def hanging(lines):
    """The keys that were struck but not released."""
    sounding = set()
    for line in lines:
        words = line.split()
        if words[0] in ("note_on", "note_off"):
            (sounding.add if words[0] == "note_on" else sounding.discard)(words[2])
    return sounding


@pytest.mark.skipif(sys.platform != "linux", reason="needs tgkill")
def test_one_signal_to_any_of_its_threads_ends_it_though_nobody_reads_its_output(tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, bytes(4096))
    os.set_blocking(write, True)
    with playing(tmp_path, "--midi-out", "Piano", "--plain", stdout=write) as command:
        # It says what it plays, which nobody reads, and plays.
        wait_for(tmp_path, 20)
        threads = sorted(int(each.name) for each in Path(f"/proc/{command.pid}/task").iterdir())
        assert ctypes.CDLL(None).tgkill(command.pid, threads[-1], signal.SIGTERM) == 0
        try:
            assert command.wait(timeout=20) == 0
        finally:
            command.kill()
    os.close(read)
    os.close(write)
    assert not hanging(sent_by(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_nothing_hanging(tmp_path, number):
    with playing(tmp_path, "--midi-out", "piano") as command:
        wait_for(tmp_path, 30)
        command.send_signal(number)
        out, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert "of their time" in out
    lines = sent_by(tmp_path)
    assert not hanging(lines)
    # The last messages end notes that are not known to sound.
    assert {"control=120", "control=123"} <= {word for line in lines[-6:] for word in line.split()}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGTSTP"), reason="stopping and going on as of Unix")
def test_a_stopped_process_is_silent_and_then_continues(tmp_path):
    with playing(tmp_path, "--midi-out", "piano") as command:
        wait_for(tmp_path, 30)
        command.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(command.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert not hanging(sent_by(tmp_path))
        command.send_signal(signal.SIGCONT)
        wait_for(tmp_path, len(sent_by(tmp_path)) + 30)
        command.send_signal(signal.SIGTERM)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert not hanging(sent_by(tmp_path))


def test_a_port_that_vanishes_is_waited_for_and_opened_again(tmp_path):
    with playing(tmp_path, "--midi-out", "Piano", VANISH="30", RETURN="1") as command:
        wait_for(tmp_path, 80)
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    assert err.splitlines() == [
        "Piano: the MIDI port went away; waiting for it",
        "Piano: the MIDI port is back",
    ]
    since = sent_by(tmp_path)[30:]
    # The piano may still sound what it was told before.
    assert since[0].startswith("control_change")
    assert not hanging(since)


def test_a_port_that_is_not_there_yet_is_waited_for(tmp_path):
    with playing(tmp_path, "--midi-out", "Organ", "--wait", "--seconds", "2") as command:
        _, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (0, "Organ: no such MIDI output; there are Piano; waiting for it\n")


def test_it_ends_by_itself_and_says_how_late_it_was(tmp_path, data_home):
    with playing(tmp_path, "--midi-out", "Piano", "--seconds", "3", "--seed", "7") as command:
        out, err = command.communicate(timeout=60)
    assert (command.returncode, err) == (0, "")
    assert "seed 7" in out
    struck = sum(line.startswith("note_on") for line in sent_by(tmp_path))
    first, recorded, last = out.splitlines()
    assert re.fullmatch(r"base plays seed \d+ on Piano; Ctrl-C ends it", first)
    session = Path(re.fullmatch(r"recorded in (.+\.mid)", recorded)[1])
    assert session.is_relative_to(data_home)
    assert len(midi.read(session)) == struck
    assert last.startswith(f"{struck} notes, half of them within ")
    assert not hanging(sent_by(tmp_path))


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (
            ["--driver", "nonsense"],
            r"requested audio driver 'nonsense'; .*supports the following audio drivers: .*file",
        ),
        (["--driver", "alsa", "--card", "plughw:77"], 'open the "plughw:77" audio device'),
    ],
)
def test_a_sound_device_that_cannot_be_opened_is_told_with_fluidsynths_reasons(tmp_path, options, reasons):
    pytest.importorskip("fluidsynth")
    with playing(tmp_path, *options) as command:
        _, err = command.communicate(timeout=60)
    if "FluidSynth is not installed" in err:
        pytest.skip("needs FluidSynth")
    assert command.returncode == 2
    assert re.search(reasons, err)
    assert "name another with --driver" in err
    assert err.count("\n") == 1


def test_ports_are_listed(tmp_path):
    with playing(tmp_path, "--ports", PORTS="Piano,Synth") as command:
        out, _ = command.communicate(timeout=60)
    assert out == "outputs: Piano, Synth\ninputs: Piano, Synth\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--midi-out pianola", "pianola: no such MIDI output; there are Piano, Synth one, Synth two"),
        ("--midi-out synth", "synth: several MIDI outputs have this name: Synth one, Synth two"),
        ("--midi-out Piano --midi-in organ", "organ: no such MIDI input"),
        ("--midi-out Piano --duet time", "time: --duet needs your keys"),
        ("--midi-out Piano --midi-in Piano --duet rhythm", "rhythm: in a duet the keys give one of pitch, time"),
        ("--midi-out Piano --midi-in Piano --pause 0", "0: a pause is from 0.1 to 10 seconds"),
        ("--midi-out Piano --soundfont x.sf2", "Piano: a MIDI port takes no --soundfont"),
        ("--midi-out Piano --seconds 0", "0: --seconds must be more than 0"),
        ("--midi-out Piano --speed nan", "nan: a speed"),
        ("--midi-out Piano --key H", "H: no such key"),
        ("--midi-out Piano absent.tflite", "absent.tflite: no such file"),
        ("--soundfont absent.sf2", "absent.sf2: no such SoundFont"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, words, monkeypatch, capsys):
    if "soundfont absent" in arguments:
        pytest.importorskip("fluidsynth", exc_type=ImportError)
    monkeypatch.setenv("MIDO_BACKEND", "scripted_midi")
    assert main(["play", *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_without_mido_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mido", None)
    assert main(["play", "--midi-out", "Piano"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'kerasmusic[live]'" in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_fluidsynth_plays_what_the_model_makes(tmp_path):
    pytest.importorskip("fluidsynth", exc_type=ImportError)
    # FluidSynth's file driver writes at the speed of a device.
    with playing(tmp_path, "--driver", "file", "--seconds", "4", "--seed", "7") as command:
        _, err = command.communicate(timeout=60)
    assert command.returncode == 0, err
    samples = np.frombuffer((tmp_path / "fluidsynth.wav").read_bytes()[44:], "<i2") / 32768
    assert len(samples) > 2 * 2 * 44_100
    assert np.sqrt(np.mean(samples**2)) > 0.005
    assert np.abs(samples).max() < 0.99


@pytest.mark.parametrize(("option", "sounds"), [("--thru", True), ("--no-thru", False), (None, False)])
def test_ones_own_keys_sound_on_a_midi_port_only_if_asked(monkeypatch, option, sounds):
    monkeypatch.setenv("MIDO_BACKEND", "scripted_midi")
    monkeypatch.setattr(scripted_midi, "ports", ["Piano", "Keys"])
    monkeypatch.setattr(scripted_midi, "messages", [])
    monkeypatch.setattr(scripted_midi, "inputs", {})

    def press():
        while not scripted_midi.inputs.get("Keys"):
            time.sleep(0.05)
        scripted_midi.Output("Keys").send(mido.Message("note_on", note=21, velocity=80, channel=9))

    person = threading.Thread(target=press)
    person.start()
    named = [option] if option else []
    arguments = ["play", "--midi-out", "Piano", "--midi-in", "Keys", "--no-record", "--plain", "--seconds", "3", *named]
    assert main(arguments) == 0
    person.join()
    sent = [message for _, message in scripted_midi.messages if message.type == "note_on" and message.note == 21]
    assert [message.channel for message in sent] == ([9, 1] if sounds else [9])


def test_a_sound_device_that_is_lost_is_waited_for_and_opened_again(tmp_path, jack_server):
    pytest.importorskip("fluidsynth", exc_type=ImportError)
    if jack_server is None:
        pytest.skip("needs jackd")
    with playing(tmp_path, "--driver", "jack", "--seconds", "60") as command:
        assert "plays seed" in command.stdout.readline()
        jack_server.kill()
        lost = itertools.takewhile(lambda line: "went away" not in line, command.stderr)
        assert "Traceback" not in "".join(lost)
        jack_server.start()
        assert command.stderr.readline() == "jack: the sound device is back\n"
        command.send_signal(signal.SIGTERM)
        assert command.wait(timeout=60) == 0
        assert "notes" in command.stdout.read()


def test_signals_are_recorded_and_handlers_restored():
    before = signal.getsignal(signal.SIGTERM)
    with catch_signals() as signals:
        assert not signals.end
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.end
    assert signal.getsignal(signal.SIGTERM) == before


def test_controls_go_up_and_down_within_their_limits():
    sampling = warmer(Sampling(temperature=0.1), -0.2)
    assert sampling.temperature == 0
    for _ in range(100):
        sampling = louder(faster(sampling, 1.1), 4)
    assert (sampling.speed, sampling.loudness) == (30, 127)
    sampling = next_key(sampling, -1)
    assert sampling.key == KEYS[-1]
    sampling = next_key(sampling, 1)
    assert sampling == Sampling(temperature=0, speed=30, loudness=127)
    assert len(set(KEYS)) == 24
    # From a key that is not in the list, the first key in the list comes next.
    assert next_key(Sampling(key="dm"), 1).key == KEYS[0]


def test_contradictory_options_are_refused():
    assert PlayOptions().seconds == math.inf
    with pytest.raises(ArgumentError, match="pitch: --duet"):
        PlayOptions(duet="pitch")
    with pytest.raises(ArgumentError, match="--thru and --no-thru are about your keys"):
        PlayOptions(thru=True)


def test_what_a_killed_process_left_sounding_is_silenced_at_the_start(tmp_path):
    with playing(tmp_path, "--midi-out", "Piano 36:0", "--seconds", "1", PORTS="Piano 20:0") as command:
        assert command.wait() == 0, command.stderr.read()
    sent = sent_by(tmp_path)
    first = next(index for index, line in enumerate(sent) if line.startswith("note_on"))
    for channel in (0, 1):
        for control in (64, 123, 120):
            assert f"control_change channel={channel} control={control} value=0 time=0" in sent[:first]
