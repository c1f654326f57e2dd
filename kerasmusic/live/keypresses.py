"""Keys of the computer's keyboard as they are pressed, one by one, while something else is shown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What terminals send for the arrows, in either of the two modes there are, and what Windows has for them.
ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
WINDOWS_ARROWS = {"H": "up", "P": "down", "M": "right", "K": "left"}
TURN_SECONDS = 0.01


@contextmanager
def reading_keys() -> Iterator[Callable[[float], list[str]]]:
    """Yields what waits so many seconds at most for keys: a list of characters, and up, down, left, right and escape.

    The terminal is put back as it was, whatever ends the block.
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
            # The terminal is gone; what ends the process comes on its own.
            time.sleep(max(seconds, 0.0))
        return keys_of(data.decode(errors="ignore"))

    try:
        tty.setcbreak(number)
        yield read
    finally:
        termios.tcsetattr(number, termios.TCSAFLUSH, before)


def keys_of(text: str) -> list[str]:
    r"""The keys that a terminal's characters stand for.

    >>> keys_of("k\x1b[A\x1bOBq\x1b")
    ['k', 'up', 'down', 'q', 'escape']
    """
    keys, index = [], 0
    while index < len(text):
        if text[index] != "\x1b":
            keys.append(text[index])
            index += 1
        elif text[index + 1 : index + 2] in ("[", "O") and index + 2 < len(text):
            # Up to the letter that ends it; what is no arrow is no key here.
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
