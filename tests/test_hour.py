"""An hour in each mode by a simulated clock, with a piano that echoes, goes away and comes back renumbered."""

from types import SimpleNamespace

import mido
import pytest

import kerasmusic.live.ports
import scripted_midi
from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator
from kerasmusic.live.outputs import open_midi_output
from kerasmusic.live.performance import CHECK_SECONDS, PlayOptions
from kerasmusic.live.player import Player
from kerasmusic.live.reconnecting import Connection, ReconnectingInput, ReconnectingOutput
from simulated import Happening, SteppedClock, simulate

pytestmark = pytest.mark.slow

HOUR = 3600.0
# The times at which the piano is switched off, and for how long; the shortest is over before it is noticed.
ABSENCES = {300.0: 0.2, 700.05: 1.5, 1500.3: 10.0, 2400.0: 30.0, 3300.0: 3.0}
LONGEST_NOTE = 25.0
PHRASE = [(0.3 * index, pitch) for index, pitch in enumerate((60, 64, 67, 72, 71, 67, 65, 62))]


class Piano:
    """A piano that tracks its sounding keys, sends its own keys, and echoes the messages that it receives."""

    def __init__(self, clock):
        self.clock = clock
        self.number = 20
        self.struck = {}
        self.times = []
        self.longest = 0.0

    @property
    def name(self):
        return f"Digital Piano:Digital Piano MIDI 1 {self.number}:0"

    def append(self, sent):
        """Takes a message; the test's backend keeps those that were sent in this list."""
        _, message = sent
        if message.type == "note_on":
            self.times.append(self.clock.time)
            self.struck[message.channel, message.note] = self.clock.time
        elif message.type == "note_off":
            began = self.struck.pop((message.channel, message.note), self.clock.time)
            self.longest = max(self.longest, self.clock.time - began)
        elif message.control == 123:
            self.struck = {key: began for key, began in self.struck.items() if key[0] != message.channel}

    def __len__(self):
        return len(self.times)

    def press(self, pitch, is_down):
        """Presses a key or lets it up."""
        kind = "note_on" if is_down else "note_off"
        for port in list(scripted_midi.inputs.get(self.name, [])):
            port.callback(mido.Message(kind, note=pitch, velocity=70))

    def switch_off(self):
        scripted_midi.ports.remove(self.name)
        self.struck.clear()

    def switch_on(self):
        self.number += 4
        scripted_midi.ports.append(self.name)


def played_by_hand(mode):
    """The performer's keys, as time, pitch and whether it goes down."""
    keys = []

    def play(at, pitch, seconds):
        keys.extend([(at, pitch, True), (at + seconds, pitch, False)])

    if mode == "answers":
        for begin in range(5, int(HOUR) - 30, 20):
            for offset, pitch in PHRASE:
                play(begin + offset, pitch, 0.25)
    elif mode in ("pitch", "time"):
        for number in range(int(HOUR / 0.6) - 10):
            play(1 + 0.6 * number, 48 + (number * 7) % 25, 0.3)
    elif mode == "chords":
        for number, begin in enumerate(range(2, int(HOUR) - 20, 8)):
            for pitch in ((45, 48, 52), (41, 45, 48), (43, 47, 50))[number % 3]:
                play(begin + 0.01 * pitch, pitch, 7.0)
    return keys


@pytest.fixture
def piano(monkeypatch):
    clock = SteppedClock()
    made = Piano(clock)
    monkeypatch.setenv("MIDO_BACKEND", "scripted_midi")
    monkeypatch.setattr(scripted_midi, "time", SimpleNamespace(perf_counter=clock.now))
    monkeypatch.setattr(scripted_midi, "ports", ["Midi Through Port-0 14:0", made.name])
    # All threads of Python stand still while a client of the system's MIDI is opened, as on JACK.
    monkeypatch.setattr(scripted_midi, "open_client", lambda: setattr(clock, "time", clock.time + 0.05))
    monkeypatch.setattr(kerasmusic.live.ports, "_listing", {})
    monkeypatch.setattr(scripted_midi, "messages", made)
    monkeypatch.setattr(scripted_midi, "inputs", {})
    return made


@pytest.mark.parametrize("mode", ["endless", "answers", "pitch", "time", "chords"])
def test_an_hour_has_no_late_note_no_silent_minute_and_no_hanging_note(piano, mode):
    clock, told = piano.clock, []
    duet = mode if mode in ("pitch", "time") else None
    options = PlayOptions(
        midi_out="Digital Piano",
        midi_in=None if mode == "endless" else "Digital Piano",
        duet=duet,
        follow="chords" if mode == "chords" else None,
    )
    output = ReconnectingOutput(Connection(options.midi_out, lambda: open_midi_output(options.midi_out), told.append))
    player = Player(options.source(Generator(bundled_model("small"), seed=7)), output, clock)
    ports = [output]
    if options.midi_in:
        ports.append(ReconnectingInput(options.midi_in, player.handle, clock, told.append))
    happenings = [(at, lambda: [port.check() for port in ports]) for at in range(1, int(HOUR / CHECK_SECONDS))]
    happenings = [(CHECK_SECONDS * at, act) for at, act in happenings]
    happenings += [(at, lambda p=pitch, d=is_down: piano.press(p, d)) for at, pitch, is_down in played_by_hand(mode)]
    for at, seconds in ABSENCES.items():
        happenings += [(at, piano.switch_off), (at + seconds, piano.switch_on)]
    events = [Happening(at, number, act) for number, (at, act) in enumerate(happenings)]
    simulate(player, HOUR, events, making=0.002)
    assert player.lateness.notes > 1_000
    assert player.lateness.late == player.lateness.skipped == 0
    gaps = zip([0.0, *piano.times], [*piano.times, HOUR], strict=True)
    assert max(after - before for before, after in gaps) < 60
    assert piano.longest < LONGEST_NOTE
    # The rest is told once for each port, and nothing else is.
    assert len(told) == 2 * len(ports) * (len(ABSENCES))
    player.stop()
    for port in ports:
        port.close()
    assert not piano.struck
    # In a duet each key is one note; an echo would be one more. Otherwise the model plays at its speed.
    pressed = sum(is_down for _, _, is_down in played_by_hand(mode))
    assert len(piano) <= (pressed if duet else 15 * HOUR)
