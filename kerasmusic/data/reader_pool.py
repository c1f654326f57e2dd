"""Reads many MIDI files in parallel, in worker processes that isolate the effects of a malicious or broken file.

A file from the internet may exhaust its reader's memory or make it hang. A process that dies or exceeds the time limit
is replaced, and the file is refused with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS
from kerasmusic.data.sources import Source
from kerasmusic.errors import MidiError, ProcessError, printable
from kerasmusic.processes import map_in_processes

#: Seconds allowed for one file; the timeout of MAESTRO takes a few milliseconds.
TIMEOUT_SECONDS = 60.0
# The first byte of an answer.
ENCODED, REFUSED = b"+", b"-"


#: Returns the fields, int16 `[n, 4]`, of a file's bytes and name, or raises a MidiError.
Encode = Callable[[bytes, str], NDArray[np.int16]]


def encode_files(
    source: Source, names: Sequence[str], encode: Encode, *, timeout: float = TIMEOUT_SECONDS
) -> Generator[tuple[str, NDArray[np.int16] | str], None, None]:
    """Reads and encodes files of a source in parallel, with a progress bar.

    Args:
        source: the source; picklable.
        names: the names of the files in it.
        encode: a picklable function that encodes a file.
        timeout: seconds allowed for one file.

    Yields:
        Each name with its fields or with the reason why it has none, in order of completion.

    Raises:
        ProcessError: a process cannot be started.
    """
    from kerasmusic.progress import progress

    outcomes = map_in_processes(functools.partial(_read_each, source, encode), names, timeout=timeout)
    with progress("reading MIDI", "file", len(names)) as bar, closing(outcomes):
        for name, answer in outcomes:
            if isinstance(answer, bytes):
                yield name, _outcome(answer)
            elif isinstance(answer, ProcessError):
                yield name, f"{printable(name)}: the process that read it {answer}"
            else:
                yield name, f"{printable(name)}: {answer}"
            bar.update()


def _read_each(source: Source, encode: Encode, names: Iterator[str]) -> Iterator[bytes]:
    """The service of a worker process: yields the outcome of each file."""
    for name, data in source.read(names):
        try:
            if isinstance(data, str):
                raise MidiError(data)
            yield ENCODED + encode(data, printable(name)).tobytes()
        except MidiError as error:
            yield REFUSED + str(error).encode(errors="replace")


def _outcome(answer: bytes) -> NDArray[np.int16] | str:
    """Decodes an answer; not by pickle, since a malicious file may have taken over the process that sent it."""
    if answer[:1] == REFUSED:
        return answer[1:].decode(errors="replace")
    return np.frombuffer(answer, np.int16, offset=1).reshape(-1, len(FIELDS))
