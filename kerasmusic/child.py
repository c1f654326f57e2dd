"""The child's side of `kerasmusic.processes`: the main functions of worker processes.

It imports very little, since benchmarks measure a process's start with it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

#: The first byte of a frame: the result of a request, or an error.
ANSWER, ERROR = b"+", b"!"
LENGTH_BYTES = 8

#: Yields the answer to each request in turn; requests are Python values.
Service = Callable[[Iterator[Any]], Iterator[bytes]]


def call() -> int:
    """Reads a module, a function and its arguments as JSON, and sends the function's result."""
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
    """Reads a service and then requests, and answers each request until the input ends.

    Requests are pickled, but answers are not: a malicious MIDI file that takes over this process must not reach the
    parent through unpickling.
    """
    import pickle
    import signal

    # Ctrl-C reaches both processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _answers()
    requests = sys.stdin.buffer

    def pending() -> Iterator[Any]:
        while True:
            try:
                yield pickle.load(requests)  # noqa: S301 - from the parent
            except EOFError:
                return

    try:
        service: Service = pickle.load(requests)  # noqa: S301 - from the parent
        _send(answers, ANSWER)
        for answer in service(pending()):
            _send(answers, ANSWER + answer)
    except BrokenPipeError:
        # The parent is gone, so nobody can receive an error.
        os._exit(1)
    except Exception as error:
        _send(answers, _error_frame(error))
        return 1
    return 0


def _answers() -> BinaryIO:
    """Reserves standard output for answers; anything else that is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _send(answers: BinaryIO, frame: bytes) -> None:
    answers.write(len(frame).to_bytes(LENGTH_BYTES, "little") + frame)
    answers.flush()


def _error_frame(error: Exception) -> bytes:
    """Encodes an error: a user's error as type and text, any other with its traceback."""
    from kerasmusic.errors import KerasMusicError, reason

    if isinstance(error, KerasMusicError | OSError):
        return ERROR + json.dumps({"type": type(error).__name__, "text": reason(error)}).encode()
    import re
    import textwrap
    import traceback

    # Keras's messages are coloured and have many lines.
    text = textwrap.shorten(re.sub(r"\x1b\[[0-9;]*m", "", f"{type(error).__name__}: {error}"), 200, placeholder=" ...")
    return ERROR + json.dumps({"text": text, "traceback": traceback.format_exc()}).encode()
