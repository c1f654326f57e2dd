"""Reading many MIDI files in processes of their own, so that what a file does to its reader ends with that process.

A library that parses MIDI is native code, and files from the net are made by anyone. A process that dies over a file or
does not come back from one is replaced, and the file is refused with the reason.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kerasmusic.codec import FIELDS
from kerasmusic.errors import CorpusError, MidiError, printable
from kerasmusic.sources import read_members

#: Seconds that one file may take; the longest of MAESTRO takes a few thousandths of one.
LONGEST_READING = 60.0

# Spawned, not forked: a training process may already hold threads that do not survive a fork.
SPAWN = get_context("spawn")
# The first byte of an answer.
ENCODED, REFUSED = b"+", b"-"


#: Makes the fields, int16 `[n, 4]`, of a file's bytes and its name, or raises a MidiError.
Encode = Callable[[bytes, str], NDArray[np.int16]]


def encode_files(
    root: Path, names: Sequence[str], encode: Encode, *, longest: float = LONGEST_READING
) -> Iterator[tuple[str, NDArray[np.int16] | str]]:
    """Reads files of a source in as many processes as there are processors; shows a bar on a terminal.

    Args:
        root: the folder or zip.
        names: the files in it.
        encode: what is done with each; a function that can be pickled.
        longest: seconds that one file may take.

    Yields:
        Each name, in no order, with its fields, or with the reason why it has none.

    Raises:
        CorpusError: no process can be started.
    """
    from kerasmusic.progress import progress

    waiting = list(names)[::-1]
    readers: list[_Reader] = []
    with progress("reading MIDI", "file", len(names)) as bar:
        try:
            readers = [_Reader(root, encode) for _ in range(min(os.cpu_count() or 1, len(names)))]
            for reader in readers:
                reader.wait_until_ready()
                reader.begin(waiting.pop())
            while busy := [reader for reader in readers if reader.name is not None]:
                connection.wait([reader.channel for reader in busy], timeout=1.0)
                for reader in busy:
                    outcome = reader.outcome(longest)
                    if outcome is None:
                        continue
                    yield outcome
                    bar.update()
                    if not reader.process.is_alive() and waiting:
                        reader.close()
                        readers[readers.index(reader)] = reader = _Reader(root, encode)
                        reader.wait_until_ready()
                    if waiting:
                        reader.begin(waiting.pop())
        finally:
            for reader in readers:
                reader.close()


class _Reader:
    """A process that reads one file after another, and the file that it is at."""

    def __init__(self, root: Path, encode: Encode) -> None:
        self.channel, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_answer, args=(theirs, root, encode), daemon=True)
        self.process.start()
        # With this end closed here, its death closes the channel.
        theirs.close()
        self.name: str | None = None
        self.began = 0.0

    def wait_until_ready(self) -> None:
        try:
            self.channel.recv_bytes()
        except (EOFError, OSError):
            raise CorpusError(
                "the process that reads MIDI files could not start; in a script of your own, open the corpus below "
                "if __name__ == '__main__':"
            ) from None

    def begin(self, name: str) -> None:
        self.name, self.began = name, time.monotonic()
        # One that died meanwhile is found out when it should answer.
        with suppress(OSError):
            self.channel.send(name)

    def outcome(self, longest: float) -> tuple[str, NDArray[np.int16] | str] | None:
        """The file it was at and what came of it; None while it is at it."""
        assert self.name is not None
        name = self.name
        outcome: NDArray[np.int16] | str | None = None
        if self.channel.poll():
            try:
                outcome = _outcome(self.channel.recv_bytes())
            except (EOFError, OSError):
                self.process.join()
                outcome = f"{name}: the process that read it died ({_how(self.process.exitcode)})"
        elif time.monotonic() - self.began > longest:
            self.process.kill()
            self.process.join()
            outcome = f"{name}: took longer than {longest:g} seconds to read"
        if outcome is None:
            return None
        self.name = None
        return name, outcome

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.channel.close()


def _answer(channel: connection.Connection, root: Path, encode: Encode) -> None:
    """The reading process: answers names with outcomes until it is ended."""
    # Ctrl-C reaches both; that process ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel.send_bytes(b"ready")
    for name, data in read_members(root, _names(channel)):
        try:
            answer = (
                REFUSED + data.encode() if isinstance(data, str) else ENCODED + encode(data, printable(name)).tobytes()
            )
        except MidiError as error:
            answer = REFUSED + str(error).encode(errors="replace")
        channel.send_bytes(answer)


def _names(channel: connection.Connection) -> Iterator[str]:
    with suppress(EOFError):
        while True:
            yield channel.recv()


def _outcome(answer: bytes) -> NDArray[np.int16] | str:
    """What an answer says. It is no pickle: what a file made of that process shall not reach this one."""
    if answer[:1] == REFUSED:
        return answer[1:].decode(errors="replace")
    return np.frombuffer(answer, np.int16, offset=1).reshape(-1, len(FIELDS))


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
