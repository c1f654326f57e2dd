"""Reads key presses from the terminal one by one, without echo."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The codes of arrow keys, in both modes of terminals and on Windows.
ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
WINDOWS_ARROWS = {"H": "up", "P": "down", "M": "right", "K": "left"}
TURN_SECONDS = 0.01


@contextmanager
def read_keypresses() -> Iterator[Callable[[float], list[str]]]:
    """Yields a function that waits for keys, for a number of seconds at most.

    It returns a list of characters, and of the names up, down, left, right and escape. The terminal's mode is restored
    when the block ends.
    """
    if sys.platform == "win32":
        yield _read_windows_keys
        return
    import select
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def read(seconds: float) -> list[str]:
        if not select.select([number], [], [], max(seconds, 0.0))[0]:
            return []
        data = os.read(number, 1024)
        if not data:
            # The terminal is gone; a signal will end the process.
            time.sleep(max(seconds, 0.0))
        return parse_keys(data.decode(errors="ignore"))

    try:
        tty.setcbreak(number)
        yield read
    finally:
        termios.tcsetattr(number, termios.TCSAFLUSH, before)


def parse_keys(text: str) -> list[str]:
    r"""Parses the characters that a terminal sends as keys.

    >>> parse_keys("k\x1b[A\x1bOBq\x1b")
    ['k', 'up', 'down', 'q', 'escape']
    """
    keys, index = [], 0
    while index < len(text):
        if text[index] != "\x1b":
            keys.append(text[index])
            index += 1
        elif text[index + 1 : index + 2] in ("[", "O") and index + 2 < len(text):
            # An escape sequence extends to its final letter; only arrows count as keys.
            end = index + 2
            while end < len(text) - 1 and not "@" <= text[end] <= "~":
                end += 1
            if text[end] in ARROWS:
                keys.append(ARROWS[text[end]])
            index = end + 1
        else:
            keys.append("escape")
            index += 1
    return keys


def _read_windows_keys(seconds: float) -> list[str]:
    import msvcrt

    until = time.monotonic() + seconds
    keys: list[str] = []
    while not keys and time.monotonic() < until:
        while msvcrt.kbhit():  # type: ignore[attr-defined]
            key = msvcrt.getwch()  # type: ignore[attr-defined]
            if key in ("\x00", "\xe0"):
                key = WINDOWS_ARROWS.get(msvcrt.getwch(), "")  # type: ignore[attr-defined]
            keys.append("escape" if key == "\x1b" else key)
        if not keys:
            time.sleep(TURN_SECONDS)
    return keys
