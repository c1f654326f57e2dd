"""Worker processes that do not import the caller's main module.

multiprocessing's spawn method imports it, and so fails in a script without a main guard and on standard input; its fork
method is unsafe with threads. These workers are started as new interpreters and communicate over their standard input
and output, so they work alike in a notebook, a script, `python -c` and the command line.
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
from kerasmusic.quiet import CAPTURED

# Limits the length that a corrupted process may announce.
MAX_FRAME_BYTES = 2**31
# The exit code after SIGKILL, which Windows has no name for.
KILLED = -9
Request = TypeVar("Request")


def call_in_process(module: str, function: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Calls a function in a new Python process; arguments and result are JSON values.

    Args:
        module: the function's module.
        function: its name.
        environment: environment variables to set in addition to those of this process.
        arguments: the function's keyword arguments.

    Raises:
        KerasMusicError: the function raised one, or an OSError.
        ProcessError: the function raised another error, or the process died. The message names a file with what the
            process wrote to standard error.

    >>> call_in_process("math", "hypot")
    0.0
    """
    done = subprocess.run(
        _command("call"),
        input=json.dumps([module, function, arguments]).encode(),
        env={**os.environ, CAPTURED: "1", **(environment or {})},
        capture_output=True,
        check=False,
    )
    frame = _read_frame(io.BytesIO(done.stdout))
    if frame and frame.startswith(ANSWER):
        return json.loads(frame[1:])
    if frame is None and done.returncode == KILLED:
        raise ProcessError(f"{module}.{function}: its process was killed; is there enough memory?")
    died = "" if frame else f": its process died ({_exit_reason(done.returncode)})"
    raise _error(f"{module}.{function}{died}", frame, done.stderr)


def map_in_processes(
    service: Service, requests: Sequence[Request], *, timeout: float | None = None
) -> Generator[tuple[Request, bytes | KerasMusicError], None, None]:
    """Maps requests to answers in parallel, with one process per processor.

    A process that dies or exceeds the timeout is replaced, and only its current request fails.

    Args:
        service: a picklable function from an iterator of requests to an iterator of answers.
        requests: picklable values, handed out in order.
        timeout: seconds allowed for one answer; by default there is no limit.

    Yields:
        Each request with its answer or its error, in order of completion.

    Raises:
        ProcessError: a process cannot be started.
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
            # Checked after every outcome, and at least once per second.
            for worker in workers:
                worker.kill_if_late(timeout)
            with suppress(queue.Empty):
                outcome = outcomes.get(timeout=1.0)
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
                open_requests -= 1
    finally:
        waiting.clear()
        for worker in workers:
            worker.kill()
        for worker, thread in zip(workers, threads, strict=True):
            thread.join()
            worker.close()


class _Worker:
    """A process that answers one request after another, and is replaced when it dies.

    Each worker has a thread that calls `ask`; the thread that collects the answers calls the methods that end it.
    """

    def __init__(self, service: Service) -> None:
        self.service = pickle.dumps(service)
        self.process: subprocess.Popen[bytes] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as its worker
        self._lock = threading.Lock()
        self._closed = False
        self._asked_at: float | None = None
        self._timed_out_after: float | None = None

    def ask(self, request: object) -> bytes | KerasMusicError:
        """The answer to a request, or its error."""
        process = self.process or self._start()
        with self._lock:
            self._asked_at = time.monotonic()
        frame = _exchange(process, pickle.dumps(request))
        with self._lock:
            self._asked_at, timed_out_after, self._timed_out_after = None, self._timed_out_after, None
        if frame is not None and frame.startswith(ANSWER) and timed_out_after is None:
            return frame[1:]
        self._discard()
        if timed_out_after is not None:
            return ProcessError(f"took longer than {timed_out_after:g} seconds")
        return self._error("failed", frame) if frame else ProcessError(f"died ({_exit_reason(process.returncode)})")

    def kill_if_late(self, timeout: float | None) -> None:
        """Kills the process if its current request has taken longer than `timeout` seconds."""
        with self._lock:
            late = self._asked_at is not None and timeout is not None and time.monotonic() - self._asked_at > timeout
            if late and (process := self.process):
                self._timed_out_after = timeout
                process.kill()

    def kill(self) -> None:
        """Kills the process, and prevents the start of another."""
        with self._lock:
            self._closed = True
            if process := self.process:
                process.kill()

    def close(self) -> None:
        """Releases all resources, once no thread uses the worker any more."""
        self._discard()
        self._stderr.close()

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
                raise ProcessError("ended before its first request")
            # The output of the previous process was reported when it ended.
            self._stderr.seek(0)
            self._stderr.truncate()
            self.process = process = subprocess.Popen(
                _command("serve"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
            )
        frame = _exchange(process, self.service)
        if frame == ANSWER:
            return process
        self._discard()
        if self._closed:
            raise ProcessError("ended before its first request")
        raise self._error(f"a process could not start ({_exit_reason(process.returncode)})", frame)

    def _error(self, context: str, frame: bytes | None) -> KerasMusicError:
        self._stderr.seek(0)
        return _error(context, frame, self._stderr.read())


def _command(side: str) -> list[str]:
    """The command of a Python with exactly this one's import path, which runs a function of `child`."""
    paths = [str(path) for path in sys.path]
    return [
        sys.executable, "-P", "-c",
        f"import sys; sys.path[:] = {paths!a}; from kerasmusic import child; sys.exit(child.{side}())",
    ]  # fmt: skip


def _exchange(process: subprocess.Popen[bytes], message: bytes) -> bytes | None:
    """Sends a message and waits for the frame in reply; None if the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(message)
        process.stdin.flush()
        return _read_frame(process.stdout)
    except OSError:
        return None


def _read_frame(answers: IO[bytes]) -> bytes | None:
    """Reads a frame; None if it is missing, incomplete or invalid."""
    length = int.from_bytes(answers.read(LENGTH_BYTES), "little")
    if not 0 < length <= MAX_FRAME_BYTES:
        return None
    frame = answers.read(length)
    return frame if len(frame) == length and frame.startswith((ANSWER, ERROR)) else None


def _error(context: str, frame: bytes | None, stderr: bytes) -> KerasMusicError:
    """The error in a frame; for an unexpected one, or none, a request to report it with a log file."""
    log = stderr.decode(errors="replace")
    if frame is not None:
        try:
            error = json.loads(frame[1:])
            text, trace = printable(str(error["text"])), error.get("traceback")
            if trace is None:
                known = getattr(errors, str(error["type"]), KerasMusicError)
                return (known if issubclass(known, KerasMusicError) else KerasMusicError)(text)
        except (ValueError, TypeError, AttributeError, KeyError):
            text, trace = "answer", frame.decode(errors="replace")
        context, log = f"{context}: unexpected {text}", f"{log}{trace}"
    return ProcessError(f"{context}; please report it" + (f", with {_save_log(log)}" if log.strip() else ""))


@functools.lru_cache(maxsize=100)
def _save_log(log: str) -> str:
    """Writes a log to a file and returns its name; the same log, as from many MIDI files, is written once."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="kerasmusic-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
    ) as file:
        file.write(log)
    return file.name


def _exit_reason(exit_code: int) -> str:
    """Describes how a process ended.

    >>> _exit_reason(7), _exit_reason(-6)
    ('exit code 7', 'SIGABRT')
    """
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
