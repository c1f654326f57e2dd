import time

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scripted_midi
from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.errors import ArgumentError, PortError
from kerasmusic.live import Answers, Duet, Player, SystemClock
from kerasmusic.live.answers import HELD_SECONDS, LONGEST_SECONDS, PAUSE_SECONDS
from kerasmusic.live.inputs import MidiInput, Pedal, Release, Strike
from kerasmusic.live.outputs import MidiOutput, Voices, open_midi_output
from kerasmusic.live.phrase import MAX_NOTES, Phrase
from kerasmusic.notes import Notes
from simulated import MemoryOutput, SteppedClock, events_of, simulate

pytestmark = pytest.mark.device

SHARED_STEP = TFLiteRuntime(bundled_model())
MELODY = (60, 62, 64, 67, 69, 67, 64, 62)


def phrase_of(count=12, gap=0.25, velocity=64):
    pitches = [MELODY[index % len(MELODY)] for index in range(count)]
    return Notes(gap * np.arange(count), pitches, np.full(count, 0.9 * gap), np.full(count, velocity))


def end_of(events):
    return events[-1].time + PAUSE_SECONDS


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def output(clock):
    return MemoryOutput(clock)


@pytest.fixture
def player(clock, output):
    return Player(Answers(Generator(bundled_model(), seed=7)), output, clock)


def test_a_phrase_is_answered_the_moment_it_has_ended_for_as_long_as_it_was(player, output):
    events = events_of(phrase_of(), begins=5.0)
    simulate(player, 30, events, making=0.002)
    assert 0 <= output.strikes[0][0] - end_of(events) <= 0.050
    length = phrase_of().seconds
    assert len(output.strikes) > 3
    assert output.strikes[-1][0] <= end_of(events) + length + 0.01
    player.stop()
    assert not output.sounding


def answers_to(phrase, seconds=12):
    """Notes per second and mean velocity of the answers to a phrase, over eight seeds."""
    rates, velocities = [], []
    for seed in range(8):
        clock = SteppedClock()
        output = MemoryOutput(clock)
        simulate(Player(Answers(Generator(bundled_model(), seed=seed)), output, clock), seconds, events_of(phrase))
        times = [when for when, *_ in output.strikes]
        rates.append((len(times) - 1) / max(times[-1] - times[0], 0.5))
        velocities.append(np.mean([velocity for _, _, velocity, _ in output.strikes]))
    return np.mean(rates), np.mean(velocities)


def test_its_tempo_and_its_loudness_carry_over():
    quick_rate, loud = answers_to(phrase_of(24, gap=0.12, velocity=100))
    slow_rate, soft = answers_to(phrase_of(12, gap=0.5, velocity=35), seconds=20)
    assert quick_rate > 1.5 * slow_rate
    assert loud > soft + 25


def test_a_key_that_is_struck_before_the_pause_is_over_carries_the_phrase_on(player, output):
    first = events_of(phrase_of(6), begins=1.0)
    second = events_of(phrase_of(6), begins=first[-1].time + PAUSE_SECONDS - 0.1)
    heard = []
    prime_fields = player.source._generator.prime_fields
    player.source._generator.prime_fields = lambda fields: (heard.append(len(fields)), prime_fields(fields))
    simulate(player, 15, [*first, *second])
    assert output.strikes[0][0] == pytest.approx(end_of(second), abs=0.05)
    # All notes are one phrase, and none primed the model twice.
    assert sum(heard) == 12
    at_once = Generator(bundled_model(), seed=7)
    at_once.prime_fields(player.source._primed)
    assert at_once.seconds == pytest.approx(second[-2].time - first[0].time, abs=0.05)
    np.testing.assert_array_equal(player.source._primed_snapshot.state, at_once.snapshot().state)


def test_a_key_that_is_struck_while_it_answers_silences_it(player, output, clock):
    events = events_of(phrase_of(40), begins=1.0)
    interruption = end_of(events) + 3.05
    simulate(player, interruption - 0.01, events)
    assert output.strikes
    struck = len(output.strikes)
    simulate(player, interruption + 0.5, [Strike(interruption, 72, 80)])
    assert len(output.strikes) == struck
    assert not output.sounding
    # Earlier notes belong to another phrase.
    simulate(player, interruption + 0.7, [Release(interruption + 0.6, 72)])
    simulate(player, interruption + 5, [])
    assert output.strikes[struck][0] == pytest.approx(interruption + 0.6 + PAUSE_SECONDS, abs=0.05)
    assert player.source._primed[:, 1].tolist() == [72]


def test_a_lost_release_holds_nothing_up_for_ever(player, output):
    simulate(player, 20, [Strike(1.0, 60, 80), Strike(1.5, 64, 80), Release(1.7, 64)])
    assert output.strikes[0][0] == pytest.approx(1.7 + HELD_SECONDS, abs=0.05)


def test_a_key_that_comes_up_while_it_answers_changes_nothing(player, output):
    simulate(player, 20, [Strike(1.0, 60, 80), Release(1.0 + HELD_SECONDS + 1, 60)])
    assert len([when for when, *_ in output.strikes if when > 1.0 + HELD_SECONDS + 1]) > 2


def test_the_same_phrase_is_answered_otherwise_the_second_time(player, output):
    first = events_of(phrase_of(), begins=1.0)
    second = events_of(phrase_of(), begins=20.0)
    simulate(player, 40, [*first, *second])
    one = [pitch for when, pitch, *_ in output.strikes if when < 20]
    two = [pitch for when, pitch, *_ in output.strikes if when > 20]
    assert len(one) > 3
    assert len(two) > 3
    assert one != two


@pytest.mark.slow
def test_an_hour_of_phrases_is_answered_in_time_and_leaves_no_note_hanging(player, output, clock):
    random = np.random.default_rng(0)
    events, ends, when = [], [], 1.0
    while when < 3500:
        phrase = phrase_of(int(random.integers(1, 20)), random.uniform(0.08, 0.5), int(random.integers(20, 120)))
        events += events_of(phrase, begins=when)
        ends.append(end_of(events))
        # Sometimes before the end of the answer, which this ends.
        when = ends[-1] + random.uniform(0.5, 14)
    late = iter(ends)
    following = next(late)
    latencies = []

    def look():
        nonlocal following
        while output.strikes and following is not None and output.strikes[-1][0] >= following:
            first = next(when for when, *_ in output.strikes[-80:] if when >= following)
            latencies.append(first - following)
            following = next(late, None)

    simulate(player, 3600, events, making=0.002, each=look)
    assert len(latencies) == len(ends) > 250
    assert max(latencies) <= 0.050
    assert player.lateness.within(0.99) <= 0.010
    player.stop()
    assert not output.sounding
    assert len(output.strikes) == len(output.releases)


def test_settings_that_change_during_an_answer_affect_it(player, output):
    events = events_of(phrase_of(40), begins=1.0)
    simulate(player, end_of(events) + 1, events)
    struck = len(output.strikes)
    player.change(lambda: player.source._generator.change(key="F# major"))
    simulate(player, end_of(events) + 9)
    pitches = {pitch % 12 for when, pitch, *_ in output.strikes[struck:] if when > end_of(events) + 1.15}
    assert pitches <= {6, 8, 10, 11, 1, 3, 5}
    assert len(pitches) > 2
    player.stop()


def test_a_pause_out_of_range_is_refused():
    with pytest.raises(ArgumentError, match="a pause is from"):
        Answers(Generator(bundled_model()), pause=0)


def test_the_sustain_pedal_lengthens_a_phrases_notes():
    phrase = Phrase()
    events = (Pedal(0, True), Strike(1, 60, 64), Release(1.2, 60), Strike(2, 60, 64), Release(2.2, 60), Pedal(3, False))
    for event in events:
        phrase.handle(event)
    assert not phrase.is_held
    assert phrase.notes(until=9).duration.tolist() == [1, 1]


KEY_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["strike", "release", "pedal down", "pedal up"]),
        st.integers(58, 62),
        st.floats(0.0, 3.0),
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(KEY_EVENTS, st.sampled_from(["answers", "pitch", "time"]))
def test_whatever_a_person_plays_nothing_hangs_and_all_is_in_time(steps, kind):
    events, time = [], 0.0
    for what, pitch, gap in steps:
        time += gap
        match what:
            case "strike":
                events.append(Strike(time, pitch, 64))
            case "release":
                events.append(Release(time, pitch))
            case _:
                events.append(Pedal(time, what == "pedal down"))
    clock = SteppedClock()
    output = MemoryOutput(clock)
    generator = Generator(SHARED_STEP, seed=7)
    source = Answers(generator) if kind == "answers" else Duet(generator, kind)
    player = Player(source, output, clock, thru=True)
    # The output asserts that no sounding key is struck again.
    simulate(player, time + 8, events)
    assert player.lateness.largest <= 0.050
    player.stop()
    assert not output.sounding
    assert len(output.strikes) == len(output.releases)


def test_a_phrase_without_end_is_its_last_notes():
    phrase = Phrase()
    for index in range(MAX_NOTES + 50):
        phrase.handle(Strike(index, 60 + index % 12, 64))
        phrase.handle(Release(index + 0.5, 60 + index % 12))
    notes = phrase.notes(until=0)
    assert len(notes) == MAX_NOTES
    assert notes.start[0] == 0


def play_by_hand(keyboard, phrase):
    """Plays a phrase on a port in real time; returns the time of its last release."""
    begun = time.perf_counter()
    voices = Voices(keyboard)
    for event in events_of(phrase):
        time.sleep(max(0, begun + event.time - time.perf_counter()))
        if isinstance(event, Strike):
            voices.strike(event.pitch, event.velocity)
        else:
            voices.release(event.pitch)
    return time.perf_counter()


def test_a_scripted_player_is_answered_over_a_backend_of_our_own():
    backend = mido.Backend("scripted_midi")
    scripted_midi.messages.clear()
    keyboard, output = open_midi_output("Piano", backend), open_midi_output("Synth one", backend)
    clock = SystemClock()
    with Player(Answers(Generator(bundled_model(), seed=7), pause=0.3), output, clock) as player:
        midi_in = MidiInput("Piano", player.handle, clock, backend)
        play_by_hand(keyboard, phrase_of(6, gap=0.1))
        while player.lateness.notes < 4:
            time.sleep(0.02)
        midi_in.close()
    sent = [message for _, message in scripted_midi.messages]
    assert sum(message.type == "note_on" for message in sent) >= 10
    assert sum(message.type == "note_on" for message in sent) == sum(message.type == "note_off" for message in sent)


@pytest.mark.slow
@pytest.mark.parametrize("api", ["", "/UNIX_JACK"])
def test_a_scripted_player_is_answered_over_the_systems_virtual_ports(api, jack_server):
    rtmidi = mido.Backend(f"mido.backends.rtmidi{api}")
    try:
        keyboard = rtmidi.open_output("kerasmusic test keyboard", virtual=True)
        synthesizer = rtmidi.open_input("kerasmusic test synthesizer", virtual=True)
    except Exception as error:
        pytest.skip(f"this system has no virtual MIDI ports ({error})")
    clock = SystemClock()
    output = open_midi_output("kerasmusic test synthesizer", rtmidi)
    with Player(Answers(Generator(bundled_model(), seed=7), pause=0.3), output, clock) as player:
        midi_in = MidiInput("kerasmusic test keyboard", player.handle, clock, rtmidi)
        play_by_hand(MidiOutput(keyboard), phrase_of(6, gap=0.1))
        until = time.monotonic() + 60
        while player.lateness.notes < 5:
            assert time.monotonic() < until, "no answer comes"
            time.sleep(0.02)
        # The open ports are asked whether they are still there; mido's lists would open new clients.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rtmidi, "get_output_names", None)
            patch.setattr(rtmidi, "get_input_names", None)
            output.check()
            midi_in.check()
            keyboard.close()
            # The server takes its time to report it.
            time.sleep(1.0)
            with pytest.raises(PortError, match=r"kerasmusic test keyboard.*: the MIDI port went away"):
                midi_in.check()
        midi_in.close()
    time.sleep(0.2)
    arrived = list(synthesizer.iter_pending())
    for port in (output, synthesizer):
        port.close()
    assert sum(message.type == "note_on" for message in arrived) >= 4
    # The server may lose a message on a busy machine, but the messages that end all notes are sent last.
    sounding = set()
    for message in arrived:
        if message.type == "note_on":
            sounding.add(message.note)
        elif message.type == "note_off":
            sounding.discard(message.note)
        elif message.is_cc(120):
            sounding.clear()
    assert not sounding


def test_an_answer_ends_even_where_its_phrase_did_not(player, output):
    events = events_of(phrase_of(300, gap=0.2), begins=0.0)
    simulate(player, 120, events)
    assert output.strikes[-1][0] - output.strikes[0][0] <= LONGEST_SECONDS


def test_a_speed_that_the_user_changes_is_kept_whatever_the_phrase_has():
    generator = Generator(bundled_model("small"), seed=7)
    answers = Answers(generator)
    phrase = Notes([0.0, 0.5, 1.0, 1.5], [60, 62, 64, 65], [0.4] * 4, [90] * 4)
    answers._prime(phrase)
    assert (generator.sampling.speed, generator.sampling.loudness) == (2.0, 90.0)
    generator.change(speed=7.0)
    answers._prime(phrase[:3])
    assert (generator.sampling.speed, generator.sampling.loudness) == (7.0, 90.0)
