"""Parts of the work in processes of their own, which never run the caller's main module.

multiprocessing's spawn runs it again, and so works neither in a script without a main guard nor on standard input; its
fork does not stand threads. These processes are started by the interpreter's name, and speak over their standard input
and output. A notebook, a script, `python -c` and the command line are all alike to them.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, TypeVar

from kerasmusic import errors
from kerasmusic.child import ANSWER, ERROR, LENGTH_BYTES, Service
from kerasmusic.errors import KerasMusicError, ProcessError, printable

# What a process that went wrong may say of how much it will send.
MAX_FRAME_BYTES = 2**31
# By SIGKILL, which Windows has no name for.
KILLED = -9
Request = TypeVar("Request")


def call_in_process(module: str, function: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Returns what a function returns in a new Python process; arguments and result are JSON values.

    Args:
        module: the module that has the function.
        function: its name.
        environment: variables beside those of this process.
        arguments: what the function is called with.

    Raises:
        KerasMusicError: the function raised one, or an OSError.
        ProcessError: it raised another error, or its process died. The line names a file with what the process said.

    >>> call_in_process("math", "hypot")
    0.0
    """
    done = subprocess.run(
        _command("call"),
        input=json.dumps([module, function, arguments]).encode(),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
    )
    frame = _read_frame(io.BytesIO(done.stdout))
    if frame and frame.startswith(ANSWER):
        return json.loads(frame[1:])
    if frame is None and done.returncode == KILLED:
        raise ProcessError(f"{module}.{function}: its process was killed; is there enough memory?")
    died = "" if frame else f": its process died ({_fate(done.returncode)})"
    raise _error(f"{module}.{function}{died}", frame, done.stderr)


def map_in_processes(
    service: Service, requests: Sequence[Request], *, longest: float | None = None
) -> Generator[tuple[Request, bytes | KerasMusicError], None, None]:
    """Has a service answer requests in as many processes as there are processors.

    A process that dies or does not answer is replaced, and its request fails alone.

    Args:
        service: what answers; can be pickled, and so can the requests.
        requests: what is asked, in this order.
        longest: seconds that one answer may take.

    Yields:
        Each request, in no order, with its answer or the error that it came to.

    Raises:
        ProcessError: no process can be started.
    """
    waiting = deque(requests)
    outcomes: queue.SimpleQueue[tuple[Request, bytes | KerasMusicError] | Exception] = queue.SimpleQueue()
    workers = [_Worker(service) for _ in range(min(os.cpu_count() or 1, len(requests)))]

    def keep_busy(worker: _Worker) -> None:
        with suppress(IndexError):
            while True:
                request = waiting.popleft()
                try:
                    outcomes.put((request, worker.ask(request)))
                except Exception as error:
                    outcomes.put(error)

    threads = [threading.Thread(target=keep_busy, args=[worker], daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        open_requests = len(requests)
        while open_requests:
            # Looked at as often as anything ends, and once a second.
            for worker in workers:
                worker.end_if_later_than(longest)
            with suppress(queue.Empty):
                outcome = outcomes.get(timeout=1.0)
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
                open_requests -= 1
    finally:
        waiting.clear()
        for worker in workers:
            worker.end()
        for worker, thread in zip(workers, threads, strict=True):
            thread.join()
            worker.close()


class _Worker:
    """A process that answers one request after another; where it died, another one takes its place.

    A thread of its own asks; the thread that gathers the answers ends it.

    Args:
        service: what answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = pickle.dumps(service)
        self.process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as its worker
        self._lock = threading.Lock()
        self._closed = False
        self._asked_at: float | None = None
        self._ended_after: float | None = None

    def ask(self, request: object) -> bytes | KerasMusicError:
        """The answer, or the error that the request came to."""
        process = self.process or self._start()
        with self._lock:
            self._asked_at = time.monotonic()
        frame = _exchange(process, pickle.dumps(request))
        with self._lock:
            self._asked_at, late_by, self._ended_after = None, self._ended_after, None
        if frame is not None and frame.startswith(ANSWER) and late_by is None:
            return frame[1:]
        self._discard()
        if late_by is not None:
            return ProcessError(f"took longer than {late_by:g} seconds")
        return self._error("failed", frame) if frame else ProcessError(f"died ({_fate(process.returncode)})")

    def end_if_later_than(self, longest: float | None) -> None:
        """Kills the process where it is at a request for longer than so many seconds."""
        with self._lock:
            late = self._asked_at is not None and longest is not None and time.monotonic() - self._asked_at > longest
            if late and (process := self.process):
                self._ended_after = longest
                process.kill()

    def end(self) -> None:
        """Kills the process, whatever it is at, and starts no other."""
        with self._lock:
            self._closed = True
            if process := self.process:
                process.kill()

    def close(self) -> None:
        """Frees what is left of it, once no thread asks any more."""
        self._discard()
        self._said.close()

    def _discard(self) -> None:
        if process := self.process:
            self.process = None
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(OSError):
                    pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise ProcessError("ended before it was asked")
            # What the one before said was told with its end.
            self._said.seek(0)
            self._said.truncate()
            self.process = process = subprocess.Popen(
                _command("serve"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
            )
        frame = _exchange(process, self.service)
        if frame == ANSWER:
            return process
        self._discard()
        if self._closed:
            raise ProcessError("ended before it was asked")
        raise self._error(f"a process could not start ({_fate(process.returncode)})", frame)

    def _error(self, named: str, frame: bytes | None) -> KerasMusicError:
        self._said.seek(0)
        return _error(named, frame, self._said.read())


def _command(side: str) -> list[str]:
    """A Python that imports from where this one does, and from nowhere else, and runs a function of `child`."""
    paths = [str(path) for path in sys.path]
    return [
        sys.executable, "-P", "-c",
        f"import sys; sys.path[:] = {paths!a}; from kerasmusic import child; sys.exit(child.{side}())",
    ]  # fmt: skip


def _exchange(process: subprocess.Popen[bytes], message: bytes) -> bytes | None:
    """Sends a message and waits for the frame that answers it; None where the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(message)
        process.stdin.flush()
        return _read_frame(process.stdout)
    except OSError:
        return None


def _read_frame(answers: IO[bytes]) -> bytes | None:
    """A whole frame; None where there is none."""
    length = int.from_bytes(answers.read(LENGTH_BYTES), "little")
    if not 0 < length <= MAX_FRAME_BYTES:
        return None
    frame = answers.read(length)
    return frame if len(frame) == length and frame.startswith((ANSWER, ERROR)) else None


def _error(named: str, frame: bytes | None, said: bytes) -> KerasMusicError:
    """The error that a frame tells of; without one, or with one that nobody expected, what to report and which file."""
    log = said.decode(errors="replace")
    if frame is not None:
        try:
            told = json.loads(frame[1:])
            text, trace = printable(str(told["text"])), told.get("traceback")
            if trace is None:
                known = getattr(errors, str(told["type"]), KerasMusicError)
                return (known if issubclass(known, KerasMusicError) else KerasMusicError)(text)
        except (ValueError, TypeError, AttributeError, KeyError):
            text, trace = "answer", frame.decode(errors="replace")
        named, log = f"{named}: unexpected {text}", f"{log}{trace}"
    return ProcessError(f"{named}; please report it" + (f", with {_kept(log)}" if log.strip() else ""))


@functools.lru_cache(maxsize=100)
def _kept(log: str) -> str:
    """The name of a file that holds a log; for what many files of music run into, one file."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="kerasmusic-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
    ) as kept:
        kept.write(log)
    return kept.name


def _fate(exit_code: int) -> str:
    """What ended a process.

    >>> _fate(7), _fate(-6)
    ('exit code 7', 'SIGABRT')
    """
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
