import itertools
import math
import sys
import threading
import time

import pytest

import scripted_midi
from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.edge.controls import parse_key
from kerasmusic.edge.generator import DENSEST
from kerasmusic.errors import PortError
from kerasmusic.live import Endless, Player
from kerasmusic.live.inputs import Pedal, Release, Strike
from kerasmusic.live.lateness import Lateness
from kerasmusic.live.outputs import MidiOutput, Voices
from kerasmusic.live.player import AHEAD_SECONDS, MAX_AHEAD, TOO_LATE_SECONDS
from kerasmusic.notes import Note
from simulated import FastClock, MemoryOutput, SteppedClock, simulate

pytestmark = pytest.mark.device

HOUR = 3600


class Scripted:
    """A source of the notes in a list."""

    retry_at = math.inf

    def __init__(self, notes):
        self.notes = list(notes)

    def make(self, now):
        return self.notes.pop(0) if self.notes else None

    def handle(self, event):
        return False

    def snapshot(self):
        return list(self.notes)

    def restore(self, snapshot):
        self.notes = snapshot


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def output(clock):
    return MemoryOutput(clock)


@pytest.mark.slow
def test_an_hour_of_the_model_in_the_box_is_in_time_and_leaves_no_note_hanging(clock, output):
    player = Player(Endless(Generator(bundled_model(), seed=7)), output, clock)
    longest = max_ahead = 0.0

    def look():
        nonlocal longest, max_ahead
        longest = max(
            longest, max((note.start + note.duration for note in player.visible_notes()[0]), default=0) - clock.time
        )
        max_ahead = max(max_ahead, len(player.visible_notes()[1]))

    simulate(player, HOUR, making=0.002, each=look)
    assert player.lateness.notes > 10_000
    assert player.lateness.within(0.99) <= 0.010
    assert player.lateness.skipped == 0
    # All notes end: none is longer than the codec's longest duration.
    assert longest < 25
    assert max_ahead <= MAX_AHEAD
    player.stop()
    assert not output.sounding
    assert len(output.strikes) == len(output.releases) == player.lateness.notes
    assert output.silenced == 1


def test_the_notes_of_the_generator_are_struck_on_time(clock, output):
    simulate(Player(Endless(Generator(bundled_model(), seed=7)), output, clock), 60)
    notes = list(itertools.islice(Generator(bundled_model(), seed=7), len(output.strikes)))
    assert [(pitch, velocity) for _, pitch, velocity, _ in output.strikes] == [
        (note.pitch, note.velocity) for note in notes
    ]
    times = [when - output.strikes[0][0] for when, *_ in output.strikes]
    assert times == pytest.approx([note.start - notes[0].start for note in notes], abs=0.01)


@pytest.mark.slow
def test_threads_play_an_hour_on_a_fast_clock_and_leave_no_note_hanging():
    clock = FastClock(speed=900)
    output = MemoryOutput(clock)
    random = Generator(bundled_model(), seed=1).take(2_000)
    gaps = itertools.cycle(random.step[1:].tolist())
    starts = itertools.accumulate(gaps, initial=1.0)
    piece = (note._replace(start=start) for note, start in zip(itertools.cycle(random), starts, strict=False))
    source = Scripted([])
    source.make = lambda now: next(piece)
    with Player(source, output, clock) as player:
        # A busy machine skips notes that would be late, and plays them all the longer.
        while (clock.now() < HOUR or len(output.strikes) <= 10_000) and not player.ended.is_set():
            time.sleep(0.05)
        assert not player.ended.is_set()
    assert len(output.strikes) == len(output.releases) > 10_000
    assert not output.sounding


def test_a_slow_maker_shows_in_late_notes(clock, output):
    player = Player(Endless(Generator(bundled_model(), seed=7)), output, clock)
    simulate(player, 60, making=0.15)
    assert player.lateness.late > 50
    assert player.lateness.within(0.99) > 0.010
    player.stop()
    assert not output.sounding


def test_a_note_is_made_ahead_but_not_too_far(clock, output):
    player = Player(Scripted(Note(0.5 * index, 60, 0.4, 64) for index in range(100)), output, clock)
    while player.make() <= clock.time:
        pass
    ahead = player.visible_notes()[1]
    assert ahead[-1].start == pytest.approx(AHEAD_SECONDS + 0.5)
    # Enough notes in reserve if they are sparse, and not too many if they are dense.
    sparse = Player(Scripted(Note(9.0 * index, 60, 0.4, 64) for index in range(100)), output, clock)
    dense = Player(Scripted(Note(0.001 * index, 60, 0.4, 64) for index in range(1000)), output, clock)
    for player, count in ((sparse, 8), (dense, MAX_AHEAD)):
        while player.make() <= clock.time:
            pass
        assert len(player.visible_notes()[1]) == count


def test_a_key_struck_again_ends_first_and_the_first_notes_end_does_not_end_the_second(clock, output):
    player = Player(Scripted([Note(1, 60, 2, 64), Note(2, 60, 3, 70)]), output, clock)
    simulate(player, 4.9)
    assert [when for when, *_ in output.releases] == [2]
    simulate(player, 6)
    assert [when for when, *_ in output.releases] == [2, 5]


def test_a_key_is_up_for_a_while_before_it_is_struck_again(clock, output):
    notes = [Note(1, 60, 2, 64), Note(2, 60, 3, 70), Note(2.01, 60, 1, 70), Note(2.5, 62, 1, 70)]
    simulate(Player(Scripted(notes), output, clock, restrike=0.02), 9)
    assert [(pitch, round(when, 3)) for when, pitch, *_ in output.releases] == [
        (60, 1.98), (60, 2.01), (60, 3.01), (62, 3.5),
    ]  # fmt: skip


def test_a_real_piece_has_a_gap_before_every_strike_of_a_key(clock, output):
    gap = 0.02
    simulate(Player(Endless(Generator(bundled_model("small"), seed=7)), output, clock, restrike=gap), 120)
    released, short = {}, 0
    events = [(when, 0, pitch) for when, pitch, _ in output.releases]
    events += [(when, 1, pitch) for when, pitch, *_ in output.strikes]
    for when, struck, pitch in sorted(events):
        if struck:
            # A strike that follows another within the gap leaves no room for it.
            short += when - released.get(pitch, -1) < gap - 0.002
        else:
            released[pitch] = when
    assert short < 0.01 * len(output.strikes)
    assert not output.sounding - {(0, pitch) for _, pitch, *_ in output.strikes[-100:]}


def test_after_a_sleep_overdue_notes_are_skipped(clock, output):
    player = Player(Endless(Generator(bundled_model(), seed=7)), output, clock)
    simulate(player, 20)
    struck = player.lateness.notes
    clock.time += 600
    player.send()
    assert player.lateness.notes == struck
    assert player.lateness.skipped > 3
    simulate(player, 680)
    assert player.lateness.notes > struck + 100
    after = [when for when, *_ in output.strikes[struck:]]
    # The piece continues, and does not catch up ten minutes.
    assert 620 <= after[0] < 625
    assert len(after) / 60 < 60
    assert player.lateness.largest <= TOO_LATE_SECONDS


def test_a_model_whose_time_stands_still_is_held_back(clock, output):
    runtime = TFLiteRuntime(bundled_model())
    run = runtime.run

    def stand_still():
        run()
        runtime.note[0, 0] = 0

    runtime.run = stand_still
    simulate(Player(Endless(Generator(runtime, seed=0)), output, clock), 10.2, making=0.0001)
    assert len(output.strikes) <= 11 * DENSEST


def test_a_changed_setting_takes_effect_at_once_and_struck_notes_stay(clock, output):
    generator = Generator(bundled_model(), seed=7)
    player = Player(Endless(generator), output, clock)
    simulate(player, 30)
    struck = len(output.strikes)
    unchanged = MemoryOutput(clock2 := SteppedClock())
    simulate(Player(Endless(Generator(bundled_model(), seed=7)), unchanged, clock2), 60)
    player.change(lambda: generator.change(key="F# major"))
    simulate(player, 60)
    assert output.strikes[:struck] == unchanged.strikes[:struck]
    after = [(when, pitch) for when, pitch, *_ in output.strikes[struck:] if when > 30.15]
    assert len(after) > 30
    assert {pitch % 12 for _, pitch in after} <= parse_key("F# major")
    # The first of them comes as soon as possible.
    assert after[0][0] < 33


def test_changing_nothing_changes_nothing(clock, output):
    generator = Generator(bundled_model(), seed=7)
    player = Player(Endless(generator), output, clock)
    for second in range(5, 60, 5):
        simulate(player, second)
        player.change(generator.change)
    notes = itertools.islice(Generator(bundled_model(), seed=7), len(output.strikes))
    assert [pitch for _, pitch, *_ in output.strikes] == [note.pitch for note in notes]


def test_an_output_that_fails_ends_the_player_with_its_error(clock, output):
    clock = FastClock(speed=20)
    output = MemoryOutput(clock)
    player = Player(Endless(Generator(bundled_model(), seed=7)), output, clock)
    player.__enter__()
    while len(output.strikes) < 10:
        time.sleep(0.01)
    output.fails = PortError("gone")
    assert player.ended.wait(10)
    with pytest.raises(PortError, match="gone"):
        player.stop()
    # The lost port cannot be silenced, but a port that returns is.
    assert output.silenced == 1


def test_a_source_that_fails_ends_the_player_and_silences_it():
    clock = FastClock(speed=20)
    output = MemoryOutput(clock)
    source = Scripted([])
    made = itertools.count()

    def make(now):
        if next(made) == 20:
            raise RuntimeError("no more ideas")
        return Note(now, 60, 100.0, 64)

    source.make = make
    with pytest.raises(RuntimeError, match="no more ideas"), Player(source, output, clock) as player:
        assert player.ended.wait(10)
    assert not output.sounding


def test_stopping_silences_at_once():
    clock = FastClock(speed=1)
    output = MemoryOutput(clock)
    with Player(Scripted([Note(0, 60, 1000, 64), Note(0, 64, 1000, 64)]), output, clock):
        while len(output.strikes) < 2:
            time.sleep(0.005)
    assert not output.sounding
    assert not any(thread.name in ("maker", "sender") for thread in threading.enumerate())


def test_the_users_keys_and_pedal_sound_together_with_the_model(clock, output):
    player = Player(Scripted([]), output, clock, thru=True)
    for event in (Strike(0, 60, 80), Pedal(0, True), Release(0, 60), Strike(0, 64, 80)):
        player.handle(event)
    assert output.sounding == {(1, 60), (1, 64)}
    player.handle(Pedal(0, False))
    assert output.sounding == {(1, 64)}
    player.stop()
    assert not output.sounding


def test_a_midi_port_takes_notes_and_is_silenced_by_standard_controllers():
    scripted_midi.messages.clear()
    port = scripted_midi.Output("Piano")
    output = MidiOutput(port)
    Voices(output).strike(60, 100)
    Voices(output).release(60)
    output.note_off(60)
    output.silence()
    sent = [message for _, message in scripted_midi.messages]
    assert (sent[0].type, sent[0].note, sent[0].velocity, sent[0].channel) == ("note_on", 60, 100, 0)
    assert (sent[1].type, sent[1].note) == ("note_off", 60)
    assert {(message.control, message.channel) for message in sent[2:]} == {
        (control, channel) for control in (64, 120, 123) for channel in (0, 1)
    }


def test_lateness_is_counted_to_the_tenth_of_a_millisecond():
    lateness = Lateness()
    assert str(lateness) == "no notes"
    for milliseconds in range(1, 101):
        lateness.add(milliseconds / 10_000)
    assert lateness.within(0.5) == pytest.approx(0.005)
    assert lateness.within(0.99) == pytest.approx(0.0099)
    assert lateness.late == 0
    lateness.add(5.0)
    assert (lateness.late, lateness.largest) == (1, 5.0)
    assert lateness.within(1.0) <= 5.0
    assert sys.getsizeof(lateness._counts) < 100_000
