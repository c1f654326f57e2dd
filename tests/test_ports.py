import json
from types import SimpleNamespace

import pytest

from kerasmusic.command_line import main
from kerasmusic.errors import PortError
from kerasmusic.live.clock import SystemClock
from kerasmusic.live.inputs import MidiInput
from kerasmusic.live.outputs import open_midi_output
from kerasmusic.live.ports import find_port

mido = pytest.importorskip("mido", reason="needs mido")
import scripted_midi  # noqa: E402  needs mido

PIANO, FIRST, SECOND = "Digital Piano:Digital Piano MIDI 1 20:0", "Synth:Synth MIDI 1 24:0", "Synth:Synth MIDI 1 28:0"


def found(name, names=(PIANO, FIRST, SECOND)):
    return find_port(name, "output", SimpleNamespace(module=None, get_output_names=lambda: list(names)))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        (PIANO, PIANO),
        ("Digital Piano:Digital Piano MIDI 1", PIANO),
        # It had other numbers before it was plugged in again.
        ("Digital Piano:Digital Piano MIDI 1 36:0", PIANO),
        ("digital piano", PIANO),
        (SECOND, SECOND),
    ],
)
def test_a_port_is_found_whatever_its_numbers_are(name, full):
    assert found(name) == full


def test_of_two_ports_of_one_name_the_numbers_tell_them_apart():
    for name in ("Synth", "Synth:Synth MIDI 1", "Synth:Synth MIDI 1 99:0"):
        with pytest.raises(PortError, match=r"several MIDI outputs have this name: Synth.* 24:0, Synth.* 28:0"):
            found(name)


def test_a_whole_name_is_preferred_to_a_part_of_another():
    assert found("Synth", ("Synth 20:0", "Synth two 24:0")) == "Synth 20:0"


def test_a_port_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(
        PortError, match=r"Organ: no such MIDI output; there are Digital Piano:Digital Piano MIDI 1, Sy"
    ):
        found("Organ")
    with pytest.raises(PortError, match="there is none at all"):
        found("Organ", ())


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setenv("MIDO_BACKEND", "scripted_midi")
    monkeypatch.setattr(scripted_midi, "ports", ["Piano 20:0"])
    monkeypatch.setattr(scripted_midi, "inputs", {})
    monkeypatch.setattr(scripted_midi, "messages", [])


def test_notes_are_on_the_channel_that_is_asked_for(scripted):
    output = open_midi_output("Piano", channel=9)
    output.note_on(60, 80)
    output.note_off(60)
    output.silence()
    messages = [message for _, message in scripted_midi.messages]
    assert [message.channel for message in messages[:2]] == [9, 9]
    assert {message.channel for message in messages[2:]} == {9, 1}


def test_a_virtual_port_is_opened_under_our_own_name():
    opened = []

    def open_output(name, **options):
        opened.append((name, options))
        return SimpleNamespace(name=name, send=opened.append, close=lambda: None)

    output = open_midi_output("virtual", SimpleNamespace(load=lambda: None, open_output=open_output))
    output.note_on(60, 80)
    output.check()
    assert opened[0] == ("kerasmusic", {"virtual": True, "client_name": "kerasmusic"})
    assert opened[1].note == 60


def test_a_layered_piano_strikes_each_key_once(scripted):
    events = []
    keyboard = MidiInput("Piano", events.append, SystemClock())
    (port,) = scripted_midi.inputs["Piano 20:0"]
    for kind, channel, key in (
        ("note_on", 0, 60), ("note_on", 1, 60), ("note_on", 1, 64), ("note_off", 0, 60), ("note_off", 1, 60),
        ("note_on", 0, 60), ("note_on", 0, 60), ("note_off", 0, 60), ("note_off", 1, 64),
    ):  # fmt: skip
        port.callback(mido.Message(kind, channel=channel, note=key, velocity=70))
    assert [(type(event).__name__, event.pitch) for event in events] == [
        ("Strike", 60), ("Strike", 64), ("Release", 60), ("Strike", 60), ("Strike", 60), ("Release", 60),
        ("Release", 64),
    ]  # fmt: skip
    keyboard.close()


def test_ports_are_listed_as_json(scripted, capsys):
    assert main(["play", "--ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"outputs": ["Piano"], "inputs": ["Piano"]}
    assert main(["play", "--json"]) == 2
    assert "--json is for --ports" in capsys.readouterr().err
