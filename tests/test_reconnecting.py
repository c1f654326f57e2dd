"""MIDI ports that go away and come back."""

import mido
import pytest

import scripted_midi
from kerasmusic.errors import PortError
from kerasmusic.live.inputs import Pedal, Release, Strike
from kerasmusic.live.outputs import open_midi_output
from kerasmusic.live.reconnecting import Connection, ReconnectingInput, ReconnectingOutput
from simulated import SteppedClock

pytestmark = pytest.mark.device


@pytest.fixture
def ports(monkeypatch):
    """The names of the ports there are, which a test may change."""
    monkeypatch.setenv("MIDO_BACKEND", "scripted_midi")
    names = ["Piano 20:0"]
    monkeypatch.setattr(scripted_midi, "ports", names)
    monkeypatch.setattr(scripted_midi, "messages", [])
    monkeypatch.setattr(scripted_midi, "inputs", {})
    return names


def sent():
    return [str(message).split(" time")[0] for _, message in scripted_midi.messages]


@pytest.mark.parametrize("noticed_by", ["note", "check"])
def test_an_output_that_comes_back_with_another_number_plays_on(ports, noticed_by):
    told = []
    output = ReconnectingOutput(Connection("piano", lambda: open_midi_output("piano"), told.append))
    output.note_on(60, 80)
    ports.clear()
    if noticed_by == "note":
        output.note_on(62, 80)
    else:
        output.check()
    assert told == ["piano: the MIDI port went away; waiting for it"]
    output.note_off(62)
    output.check()
    ports.append("Piano 24:0")
    output.check()
    output.note_on(64, 80)
    assert told[1:] == ["piano: the MIDI port is back"]
    assert sent()[0] == "note_on channel=0 note=60 velocity=80"
    assert sent()[-1] == "note_on channel=0 note=64 velocity=80"
    # What the piano may still sound is ended first.
    assert all(message.startswith("control_change") for message in sent()[1:-1])
    assert len(sent()) > 2
    output.close()
    output.note_on(66, 80)


def test_keys_that_are_down_when_a_keyboard_goes_away_are_released(ports):
    events, told, clock = [], [], SteppedClock()
    keyboard = ReconnectingInput("Piano", events.append, clock, told.append)
    (port,) = scripted_midi.inputs["Piano 20:0"]
    port.callback(mido.Message("note_on", note=60, velocity=70))
    port.callback(mido.Message("control_change", control=64, value=127))
    clock.time = 3.0
    ports.clear()
    keyboard.check()
    keyboard.check()
    assert events == [Strike(0.0, 60, 70), Pedal(0.0, True), Release(3.0, 60), Pedal(3.0, False)]
    ports.append("Piano 28:0")
    keyboard.check()
    (port,) = scripted_midi.inputs["Piano 28:0"]
    port.callback(mido.Message("note_on", note=62, velocity=70))
    assert events[-1] == Strike(3.0, 62, 70)
    assert len(told) == 2
    keyboard.close()


def test_a_port_that_is_not_there_yet_is_waited_for_only_if_asked(ports):
    ports.clear()
    told = []
    with pytest.raises(PortError, match="Piano: no such MIDI output"):
        Connection("Piano", lambda: open_midi_output("Piano"), told.append)
    output = ReconnectingOutput(Connection("Piano", lambda: open_midi_output("Piano"), told.append, wait=True))
    output.note_on(60, 80)
    ports.append("Piano 20:0")
    output.check()
    output.note_on(60, 80)
    assert told == ["Piano: no such MIDI output; there is none at all; waiting for it", "Piano: the MIDI port is back"]
    assert sent()[-1] == "note_on channel=0 note=60 velocity=80"


def test_no_other_port_is_taken_for_the_one_that_went_away(ports):
    told = []
    output = ReconnectingOutput(Connection("Piano", lambda: open_midi_output("Piano"), told.append))
    ports[:] = ["Piano two 24:0"]
    for _ in range(3):
        output.check()
        output.note_on(60, 80)
    assert not sent()
    ports.append("Piano 28:0")
    output.check()
    output.note_on(62, 80)
    assert sent()[-1] == "note_on channel=0 note=62 velocity=80"
    assert len(told) == 2
