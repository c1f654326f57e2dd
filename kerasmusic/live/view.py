"""The view in the terminal: notes that fall onto a keyboard, the current controls, and keys that change them.

A frame is a grid of characters, which is drawn without a terminal; `rich` shows it.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kerasmusic.edge.generator import Generator
from kerasmusic.edge.sampling import Sampling
from kerasmusic.errors import reason
from kerasmusic.live.controls import faster, louder, next_key, warmer
from kerasmusic.live.keypresses import read_keypresses
from kerasmusic.live.player import AHEAD_SECONDS, Player
from kerasmusic.notes import Note
from kerasmusic.pitch_names import HIGHEST_KEY, LOWEST_KEY

if TYPE_CHECKING:
    from kerasmusic.live.recording import Recording

BLACK = frozenset((1, 3, 6, 8, 10))
FRAME_SECONDS = 0.1
TEMPO_SECONDS = 6.0
TEMPERATURE_STEP = 0.05
SPEED_FACTOR = 1.1
LOUDNESS_STEP = 4
MESSAGE_SECONDS = 5.0
# Rows below the notes: the keyboard, its octaves and two lines of text.
ROWS_BELOW = 4
CLEAR = "\x1b[2J"
# Colours for velocity, from soft to loud, out of the 256 of terminals: from blue through green to yellow.
COLOURS = (25, 31, 36, 77, 184)


@dataclass
class Frame:
    """A grid of characters, with the loudness of each one's note: 0 without a note, else 1 to 5."""

    characters: list[list[str]]
    loudness: list[list[int]]

    @classmethod
    def blank(cls, width: int, height: int) -> Frame:
        """A frame of spaces."""
        return cls([[" "] * width for _ in range(height)], [[0] * width for _ in range(height)])

    def write(self, row: int, text: str) -> None:
        """Writes text at the beginning of a row, truncated to its width."""
        row_of = self.characters[row]
        row_of[: len(text)] = text[: len(row_of)]

    def lines(self) -> list[str]:
        """The text of the frame, without colours."""
        return ["".join(row) for row in self.characters]


def draw(
    sounding: Sequence[Note], coming: Sequence[Note], now: float, words: Sequence[str], width: int, height: int
) -> Frame:
    """Draws a frame.

    Args:
        sounding: the notes that sound.
        coming: the notes that have not been struck yet.
        now: the current time on the notes' clock.
        words: the two lines of text at the bottom.
        width: the terminal's width in characters.
        height: the terminal's height in characters.

    >>> lines = draw([], [Note(1.0, 60, 0.5, 100)], 0.0, ["this", "and that"], 88, 16).lines()
    >>> [line.strip() for line in lines[5:9]], lines[7].index("█") == 60 - 21
    (['', '█', '█', ''], True)
    >>> [line.strip() for line in lines[-2:]]
    ['this', 'and that']
    """
    frame = Frame.blank(width, height)
    rows = height - ROWS_BELOW
    if rows < 1:
        for row, text in zip(range(height), words, strict=False):
            frame.write(row, text)
        return frame
    # Each row has two half-block characters.
    halves = [[0] * width for _ in range(2 * rows)]
    for note in (*sounding, *coming):
        first = max(0, math.floor((note.start - now) / AHEAD_SECONDS * 2 * rows))
        last = max(first + 1, math.floor((note.start + note.duration - now) / AHEAD_SECONDS * 2 * rows))
        loudness = 1 + note.velocity * len(COLOURS) // 128
        left, right = _columns(note.pitch, width)
        for half in halves[first : min(last, 2 * rows)]:
            for column in range(left, right):
                half[column] = max(half[column], loudness)
    for row in range(rows):
        # The lowest row shows the current time.
        lower, upper = halves[2 * (rows - 1 - row)], halves[2 * (rows - 1 - row) + 1]
        for column, (low, high) in enumerate(zip(lower, upper, strict=True)):
            if low or high:
                frame.characters[row][column] = "█" if low and high else "▄" if low else "▀"
                frame.loudness[row][column] = max(low, high)
    _draw_keyboard(frame, rows, {note.pitch: note.velocity for note in sounding}, width)
    for index, text in enumerate(words):
        frame.write(rows + 2 + index, text)
    return frame


def _draw_keyboard(frame: Frame, row: int, struck: dict[int, int], width: int) -> None:
    for pitch in range(LOWEST_KEY, HIGHEST_KEY + 1):
        left, right = _columns(pitch, width)
        for column in range(left, right):
            frame.characters[row][column] = "▀" if pitch % 12 in BLACK else "█"
            frame.loudness[row][column] = 0
    for pitch, velocity in struck.items():
        left, right = _columns(pitch, width)
        for column in range(left, right):
            frame.characters[row][column] = "▼"
            frame.loudness[row][column] = 1 + velocity * len(COLOURS) // 128
    for pitch in range(24, HIGHEST_KEY + 1, 12):
        name = f"C{pitch // 12 - 1}"
        left = min(_columns(pitch, width)[0], width - len(name))
        frame.characters[row + 1][left : left + len(name)] = name


def _columns(pitch: int, width: int) -> tuple[int, int]:
    """The first column of a key, and the one after its last."""
    key, keys = min(max(pitch, LOWEST_KEY), HIGHEST_KEY) - LOWEST_KEY, HIGHEST_KEY + 1 - LOWEST_KEY
    left = key * width // keys
    return left, max(left + 1, (key + 1) * width // keys)


class View:
    """Shows a player on a terminal, and handles the keys that change its controls.

    Args:
        show: shows a frame on the terminal.
        read_keys: waits for keys, for a number of seconds at most; see `read_keypresses`.
        size: returns the current width and height of the terminal in characters.
        player: the player.
        generator: the generator whose sampling the keys change.
        title: the title, such as the model's name.
        recording: the recording whose last minutes a key keeps; None without one.
    """

    def __init__(
        self,
        show: Callable[[Frame], None],
        read_keys: Callable[[float], list[str]],
        size: Callable[[], tuple[int, int]],
        player: Player,
        generator: Generator,
        title: str,
        recording: Recording | None = None,
    ) -> None:
        self._show = show
        self._read_keys = read_keys
        self._size = size
        self._player = player
        self._generator = generator
        self._title = title
        self._recording = recording
        # What became of the last key, shown for some seconds.
        self._message, self._message_ends = "", 0.0
        self._counts: deque[tuple[float, int]] = deque()

    def turn(self, seconds: float) -> bool:
        """Waits for keys, for `seconds` at most, handles them and draws; returns False if a key asks to end."""
        for key in self._read_keys(min(seconds, FRAME_SECONDS)):
            if key in ENDS:
                return False
            if key in ACTIONS:
                self._player.change(partial(self._apply, ACTIONS[key]))
            if key == KEEP and self._recording is not None:
                self._keep(self._recording)
        now = self._player.clock.now()
        sounding, coming = self._player.visible_notes()
        self._show(draw(sounding, coming, now, self.words(now), *self._size()))
        return True

    def tell(self, text: str) -> None:
        """Shows a line for some seconds."""
        self._message, self._message_ends = text, self._player.clock.now() + MESSAGE_SECONDS

    def _apply(self, action: Callable[[Sampling], Sampling]) -> None:
        self._generator.sampling = action(self._generator.sampling)

    def _keep(self, recording: Recording) -> None:
        try:
            path = recording.keep()
            self.tell("nothing to keep yet" if path is None else f"kept in {path}")
        except OSError as error:
            self.tell(f"not kept: {reason(error)}")

    def words(self, now: float) -> list[str]:
        """The two lines of text below the keyboard."""
        lateness, sampling = self._player.lateness, self._generator.sampling
        targets = sampling.targets(self._generator.seed)
        self._counts.append((now, lateness.notes))
        while len(self._counts) > 2 and self._counts[1][0] <= now - TEMPO_SECONDS:
            self._counts.popleft()
        (since, before), (until, count) = self._counts[0], self._counts[-1]
        tempo = (count - before) / (until - since) if until > since else 0.0
        late = f"{lateness.late:,} late" + (f", {lateness.skipped:,} skipped" if lateness.skipped else "")
        keep = "" if self._recording is None else "s save  "
        told = self._message if now < self._message_ends else f"{lateness.notes:,} notes, {late}"
        return [
            f"{self._title}  seed {self._generator.seed}  {tempo:.1f} notes/s  {told}",
            f"↑↓ temperature {_number(sampling.temperature)}  ←→ speed {_target(targets.speed)}  "
            f"l L loudness {_target(targets.loudness)}  k K {sampling.key or 'any key'}  "
            f"{keep}q end",
        ]


ENDS = ("q", "Q", "escape")
# Keeps the last minutes.
KEEP = "s"
ACTIONS: dict[str, Callable[[Sampling], Sampling]] = {
    "up": lambda sampling: warmer(sampling, TEMPERATURE_STEP),
    "down": lambda sampling: warmer(sampling, -TEMPERATURE_STEP),
    "right": lambda sampling: faster(sampling, SPEED_FACTOR),
    "left": lambda sampling: faster(sampling, 1 / SPEED_FACTOR),
    "L": lambda sampling: louder(sampling, LOUDNESS_STEP),
    "l": lambda sampling: louder(sampling, -LOUDNESS_STEP),
    "k": lambda sampling: next_key(sampling, 1),
    "K": lambda sampling: next_key(sampling, -1),
}


@contextmanager
def terminal_view(
    player: Player, generator: Generator, title: str, recording: Recording | None = None
) -> Iterator[View | None]:
    """Yields a view while the block runs; None without a terminal or without `rich`."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield None
        return
    try:
        from rich.console import Console
    except ImportError:
        yield None
        return
    console = Console()
    if console.is_dumb_terminal or console.legacy_windows:
        yield None
        return
    colours = console.color_system is not None
    shown: list[Frame] = []

    def show(frame: Frame) -> None:
        console.file.write(ansi(frame, shown.pop() if shown else None, colours=colours))
        console.file.flush()
        shown.append(frame)

    def size() -> tuple[int, int]:
        return console.size.width, console.size.height

    with read_keypresses() as read_keys, console.screen():
        yield View(show, read_keys, size, player, generator, title, recording)


def ansi(frame: Frame, before: Frame | None, *, colours: bool = True) -> str:
    r"""The text that shows a frame on a terminal that shows another: the rows that differ, each at its place.

    Rich renders a whole screen at a time, which takes five times the processor.

    Args:
        frame: the frame to show.
        before: the frame that is shown; None for anything else.
        colours: whether the loudness of notes is shown in colours.
    """
    rows, old = ([*zip(each.characters, each.loudness, strict=True)] if each else [] for each in (frame, before))
    parts = []
    if [len(characters) for characters, _ in rows] != [len(characters) for characters, _ in old]:
        old = [([], [])] * len(rows)
        parts.append(CLEAR)
    for number, (row, was) in enumerate(zip(rows, old, strict=True), start=1):
        if row == was:
            continue
        parts.append(f"\x1b[{number};1H")
        # One code for each run of equal loudness.
        for level, group in itertools.groupby(zip(*row, strict=True), key=lambda cell: cell[1]):
            text = "".join(character for character, _ in group)
            parts.append(f"\x1b[38;5;{COLOURS[level - 1]}m{text}\x1b[0m" if level and colours else text)
    return "".join(parts)


def _target(value: float | None) -> str:
    return "free" if value is None else f"{value:.3g}"


def _number(value: float | Mapping[str, float]) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name} {number:.2f}" for name, number in value.items())
    return f"{value:.2f}"
