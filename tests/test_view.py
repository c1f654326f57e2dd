import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerasmusic import midi
from kerasmusic.bundled import bundled_model
from kerasmusic.edge import Generator
from kerasmusic.live import Endless, Player
from kerasmusic.live.keypresses import parse_keys
from kerasmusic.live.player import AHEAD_SECONDS
from kerasmusic.live.view import CLEAR, Frame, View, ansi, draw
from kerasmusic.notes import Note
from simulated import MemoryOutput, SteppedClock, simulate

pytestmark = pytest.mark.device

WORDS = ["what is", "what to do"]


def test_notes_fall_onto_their_keys():
    note = Note(2.0, 60, 0.5, 100)
    (column,) = {line.index("█") for line in draw([], [note], 1.0, WORDS, 88, 34).lines()[:30] if "█" in line}
    assert column == 60 - 21
    rows = [
        [row for row, line in enumerate(draw([], [note], now, WORDS, 88, 34).lines()[:30]) if line.strip()]
        for now in (0.0, 1.0, 1.9)
    ]
    assert rows[0][-1] < rows[1][-1] < rows[2][-1] == 28
    assert {len(each) for each in rows} <= {5, 6}
    # A sounding note stays on its key until it ends.
    sounding = draw([note], [], 2.2, WORDS, 88, 34)
    assert sounding.lines()[29][column] == "█"
    assert sounding.lines()[30][column] == "▼"
    assert draw([], [note], 2.0 - AHEAD_SECONDS - 0.1, WORDS, 88, 34).lines()[:30] == [" " * 88] * 30


def test_a_louder_note_has_another_colour():
    soft, loud = (draw([], [Note(1, 60, 1, velocity)], 0, WORDS, 88, 24).loudness for velocity in (1, 127))
    assert max(map(max, soft)) == 1
    assert max(map(max, loud)) == 5


@pytest.mark.parametrize("width", [20, 60, 88, 100, 200])
def test_the_whole_keyboard_fits_every_width(width):
    low, high = Note(0.5, 21, 0.5, 64), Note(0.5, 108, 0.5, 64)
    lines = draw([], [low, high, Note(0.5, 127, 0.5, 64)], 0, WORDS, width, 20).lines()
    assert len(lines) == 20
    assert {len(line) for line in lines} == {width}
    row = next(line for line in reversed(lines[:16]) if line.strip())
    assert row[0] != " "
    assert row[-1] != " "
    assert " " not in lines[16]
    assert "C4" in lines[17]


def test_where_there_is_no_room_for_notes_there_are_words():
    assert draw([], [Note(1, 60, 1, 64)], 0, WORDS, 10, 2).lines() == ["what is   ", "what to do"]


def screen_of(texts, width, height):
    """The rows that a terminal shows after it receives texts from `ansi`."""
    screen = [[" "] * width for _ in range(height)]
    for text in texts:
        row = column = 0
        for code, place, character in re.findall(r"(\x1b\[(?:(\d+;\d+)H|[0-9;]*[mJ]))|(.)", text):
            if place:
                row, column = (int(number) - 1 for number in place.split(";"))
            elif code == CLEAR:
                screen = [[" "] * width for _ in range(height)]
            elif character:
                screen[row][column] = character
                column += 1
    return ["".join(row) for row in screen]


def test_only_the_rows_that_differ_are_written_and_the_screen_is_the_frame():
    frames, texts, before = [], [], None
    for now in (0.0, 0.1, 0.2, 5.0):
        frame = draw([Note(0, 60, 1, 64)], [Note(1, 64, 1, 110), Note(3, 67, 2, 20)], now, ["words", f"{now}"], 60, 20)
        texts.append(ansi(frame, before))
        frames.append(frame)
        before = frame
        assert screen_of(texts, 60, 20) == frame.lines()
    assert texts[0].startswith(CLEAR)
    assert CLEAR not in "".join(texts[1:])
    assert len(texts[1]) < len(texts[0]) / 3
    assert ansi(frames[-1], frames[-1]) == ""
    assert CLEAR in ansi(frames[-1], Frame.blank(61, 20))
    assert "\x1b[38" not in ansi(frames[0], None, colours=False)


def test_keys_change_temperature_speed_loudness_and_key_while_it_plays():
    clock, generator = SteppedClock(), Generator(bundled_model(), seed=7, speed=9, polyphony=4.5, loudness=64)
    player = Player(Endless(generator), MemoryOutput(clock), clock)
    pressed, frames = [], []

    def read(seconds):
        return [pressed.pop(0)] if pressed else []

    view = View(frames.append, read, lambda: (120, 30), player, generator, "small")
    simulate(player, 20, each=lambda: None)
    assert view.turn(0.05)
    assert "small" in frames[-1].lines()[-2]
    assert frames[-1].lines()[-1].strip() == "↑↓ temperature 1.00  ←→ speed 9  l L loudness 64  k K any key  q end"
    pressed += ["up", "up", "left", "L", "k", "k", "x"]
    for _ in range(7):
        assert view.turn(0.05)
    player.make()
    assert view.turn(0.05)
    assert "temperature 1.10  ←→ speed 8.18  l L loudness 68  k K C minor" in frames[-1].lines()[-1]
    view.turn(0.05)
    simulate(player, 40)
    assert generator._runtime.temperature[0].tolist() == pytest.approx([1.1] * 4)
    assert {pitch % 12 for when, pitch, *_ in player.output.strikes if when > 20.2} <= {0, 2, 3, 5, 7, 8, 10, 11}
    view.turn(0.05)
    tempo = float(re.search(r"([\d.]+) notes/s", frames[-1].lines()[-2])[1])
    assert tempo == pytest.approx(len([when for when, *_ in player.output.strikes if when > 20]) / 20, abs=0.1)
    pressed.append("q")
    assert not view.turn(0.05)


def test_keys_are_parsed_from_the_codes_of_terminals():
    assert parse_keys("\x1b[A\x1b[B\x1bOC\x1bOD") == ["up", "down", "right", "left"]
    assert parse_keys("\x1b[1;5A\x1b[3~k\x1b") == ["up", "k", "escape"]
    assert parse_keys("") == []


def test_a_signal_ends_it_on_a_terminal_that_takes_no_output(tmp_path):
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    pytest.importorskip("rich")
    terminal, side_of_the_command = pty.openpty()
    sent = tmp_path / "sent.txt"
    added = {
        "MIDO_BACKEND": "scripted_midi", "PYTHONPATH": str(Path(__file__).parent), "PORTS": "Piano", "SENT": str(sent),
        "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "60",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasmusic.command_line", "play", "--midi-out", "Piano", "-o", "session.mid"],
        stdin=side_of_the_command, stdout=side_of_the_command, stderr=side_of_the_command, cwd=tmp_path,
        env={**os.environ, **added},
    )  # fmt: skip
    os.close(side_of_the_command)
    until = time.monotonic() + 60
    while not (sent.exists() and sent.read_text().count("note_on") > 30):
        assert time.monotonic() < until
        time.sleep(0.1)
    # Nobody reads what it shows, so it can show no more.
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    sounding = set()
    for line in sent.read_text().splitlines():
        kind, _, key, *_ = line.split()
        if kind.startswith("note"):
            (sounding.add if kind == "note_on" else sounding.discard)(key)
    assert not sounding
    assert len(midi.read(tmp_path / "session.mid")) > 20
    os.close(terminal)


def test_on_a_terminal_it_is_seen_and_played_with(tmp_path):
    pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
    pytest.importorskip("rich")
    import fcntl
    import termios

    terminal, side_of_the_command = pty.openpty()
    # The first terminal that a session opens becomes its own, so that Ctrl-Z reaches it.
    begin = (
        "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    added = {"MIDO_BACKEND": "scripted_midi", "PYTHONPATH": str(Path(__file__).parent), "PORTS": "Piano"}
    process = subprocess.Popen(
        [sys.executable, "-c", begin, "-m", "kerasmusic.command_line", "play", "--midi-out", "Piano"],
        stdin=side_of_the_command, stdout=side_of_the_command, stderr=side_of_the_command, start_new_session=True,
        cwd=tmp_path, env={**os.environ, **added, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(side_of_the_command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    seen = ""

    def wait_for(words):
        nonlocal seen
        until = time.monotonic() + 60
        while words not in seen:
            assert time.monotonic() < until, f"{words} is not to be seen in {seen[-500:]}"
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    seen += os.read(terminal, 65536).decode(errors="ignore")
                except OSError:  # the command has ended
                    assert words in seen, seen[-500:]

    wait_for("temperature 1.00")
    wait_for("█")
    os.write(terminal, b"\x1b[A")
    wait_for("temperature 1.05")
    os.write(terminal, b"k")
    wait_for("C major")
    os.write(terminal, b"\x1a")
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    # The screen's earlier contents are restored.
    wait_for("\x1b[?1049l")
    seen = ""
    process.send_signal(signal.SIGCONT)
    wait_for("\x1b[?1049h")
    wait_for("C major")
    os.write(terminal, b"q")
    wait_for("; seed ")
    assert process.wait(60) == 0
    os.close(terminal)
