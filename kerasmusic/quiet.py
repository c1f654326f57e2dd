"""Keeping native libraries' start-up chatter off the terminal, where it would tear a progress bar."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what is written to the standard error's file descriptor; exceptions pass as ever.

    TensorFlow and TFLite log from C++ as they load, before any setting of theirs is read.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        with suppress(ValueError):  # a closed sys.stderr has nothing to flush
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
