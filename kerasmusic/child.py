"""The child's side of `processes`: what runs in a process that was started for a part of the work.

It imports next to nothing, since benchmarks measure a start in it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

#: The first byte of a frame.
ANSWER, ERROR = b"+", b"!"
LENGTH_BYTES = 8

#: Makes answers of requests, which are Python values, one after another.
Service = Callable[[Iterator[Any]], Iterator[bytes]]


def call() -> int:
    """Reads a module, a function and its arguments as JSON, and answers with what the function returns."""
    answers = _answers()
    try:
        import importlib

        module, function, arguments = json.load(sys.stdin)
        result = getattr(importlib.import_module(module), function)(**arguments)
        _send(answers, ANSWER + json.dumps(result).encode())
    except Exception as error:
        _send(answers, _error_frame(error))
        return 1
    return 0


def serve() -> int:
    """Reads a service, then requests, and answers each; ends when there are no more.

    Answers are no pickles, requests are: what a MIDI file made of this process must not reach the one that started it.
    """
    import pickle
    import signal

    # Ctrl-C reaches both; that process ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _answers()
    requests = sys.stdin.buffer

    def pending() -> Iterator[Any]:
        while True:
            try:
                yield pickle.load(requests)  # noqa: S301 - by the process that started this one
            except EOFError:
                return

    try:
        service: Service = pickle.load(requests)  # noqa: S301 - likewise
        _send(answers, ANSWER)
        for answer in service(pending()):
            _send(answers, ANSWER + answer)
    except BrokenPipeError:
        # The process that asked is gone, and its error with it.
        os._exit(1)
    except Exception as error:
        _send(answers, _error_frame(error))
        return 1
    return 0


def _answers() -> BinaryIO:
    """Takes the standard output for answers alone: whatever else is printed goes where errors go."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _send(answers: BinaryIO, frame: bytes) -> None:
    answers.write(len(frame).to_bytes(LENGTH_BYTES, "little") + frame)
    answers.flush()


def _error_frame(error: Exception) -> bytes:
    """An error that a user can put right as its type and text; another one with its traceback besides."""
    from kerasmusic.errors import KerasMusicError, reason

    if isinstance(error, KerasMusicError | OSError):
        return ERROR + json.dumps({"type": type(error).__name__, "text": reason(error)}).encode()
    import re
    import textwrap
    import traceback

    # Keras colours its messages, and lets them run over many lines.
    text = textwrap.shorten(re.sub(r"\x1b\[[0-9;]*m", "", f"{type(error).__name__}: {error}"), 200, placeholder=" ...")
    return ERROR + json.dumps({"text": text, "traceback": traceback.format_exc()}).encode()
