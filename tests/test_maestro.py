import hashlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kerasmusic.data import maestro
from kerasmusic.data.maestro import download_maestro
from kerasmusic.errors import KerasMusicError, NoNetworkError

DATA = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch):
    """Serves one file; can refuse ranges, lack the file, drop connections or stall; records its requests."""
    monkeypatch.setattr(maestro.time, "sleep", lambda seconds: None)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            self.server.requests.append(asked)
            if self.server.status:
                self.send_error(self.server.status)
                return
            start = int(asked[6:-1]) if asked and self.server.ranges else 0
            if start >= len(DATA):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if self.server.tells_length:
                self.send_header("Content-Length", str(len(DATA) - start))
            self.end_headers()
            body = DATA[start:]
            if self.server.stalls:
                self.wfile.write(body[:100_000])
                self.wfile.flush()
                self.server.stalled.wait()
                return
            if self.server.drops:
                self.server.drops -= 1
                body = body[: len(body) // 2]
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.requests, running.ranges, running.drops, running.status = [], True, 0, 0
    running.tells_length, running.stalls, running.stalled = True, False, threading.Event()
    running.url = f"http://127.0.0.1:{running.server_port}/maestro.zip"
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.stalled.set()
    running.shutdown()
    running.server_close()


def fetch(server, folder, sha256=SHA256):
    return download_maestro(folder, url=server.url, sha256=sha256)


def test_it_is_downloaded_once(server, tmp_path):
    path = fetch(server, tmp_path)
    assert path.read_bytes() == DATA
    assert fetch(server, tmp_path) == path
    assert server.requests == [None]
    assert [file.name for file in tmp_path.iterdir()] == ["maestro.zip"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_carried_on_or_begun_again(server, tmp_path, ranges):
    server.ranges = ranges
    (tmp_path / "maestro.zip.part").write_bytes(DATA[:1000])
    assert fetch(server, tmp_path).read_bytes() == DATA
    assert server.requests == ["bytes=1000-"]


def test_a_dropped_connection_is_taken_up_again(server, tmp_path):
    server.drops = 2
    assert fetch(server, tmp_path).read_bytes() == DATA
    assert server.requests == [None, "bytes=150000-", "bytes=225000-"]


def test_a_whole_part_needs_no_more_bytes(server, tmp_path):
    (tmp_path / "maestro.zip.part").write_bytes(DATA)
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(KerasMusicError, match="its sha256 is"):
        fetch(server, tmp_path, sha256="0" * 64)
    assert not list(tmp_path.iterdir())


def test_without_the_file_or_a_network_one_line_says_how_to_pass_data(server, tmp_path):
    server.status = 404
    with pytest.raises(KerasMusicError, match=r"Not Found.*--data") as missing:
        fetch(server, tmp_path)
    assert not isinstance(missing.value, NoNetworkError)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/maestro.zip"
        with pytest.raises(NoNetworkError, match="--data") as unreachable:
            download_maestro(tmp_path, url=url, sha256=SHA256)
    assert "\n" not in str(missing.value) + str(unreachable.value)
    assert not list(tmp_path.iterdir())


def test_a_server_that_keeps_dropping_is_given_up_with_the_part_kept(server, tmp_path):
    server.drops = 100
    with pytest.raises(KerasMusicError, match="run again to carry on"):
        fetch(server, tmp_path)
    server.drops = 0
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_a_part_of_another_file_is_thrown_away_and_the_next_call_succeeds(server, tmp_path):
    (tmp_path / "maestro.zip.part").write_bytes(b"x" * 1000)
    with pytest.raises(KerasMusicError, match="its sha256 is"):
        fetch(server, tmp_path)
    assert not list(tmp_path.iterdir())
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_a_server_of_something_else_than_http_is_refused_in_one_line(tmp_path):
    def answer(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"220 not a web server\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/maestro.zip"
        try:
            with pytest.raises(KerasMusicError, match="--data") as caught:
                download_maestro(tmp_path, url=url, sha256=SHA256)
        finally:
            thread.join()
    assert "\n" not in str(caught.value)


def test_a_download_without_ranges_begins_again_after_each_drop(server, tmp_path):
    server.ranges, server.drops = False, 2
    assert fetch(server, tmp_path).read_bytes() == DATA
    assert server.requests == [None, "bytes=150000-", "bytes=150000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["maestro.zip"]


def test_a_download_cut_short_silently_fails_its_checksum(server, tmp_path):
    server.tells_length, server.drops = False, 1
    with pytest.raises(KerasMusicError, match="its sha256 is"):
        fetch(server, tmp_path)
    assert not list(tmp_path.iterdir())
    assert fetch(server, tmp_path).read_bytes() == DATA


def test_a_download_that_was_killed_leaves_no_file_of_that_name_and_is_carried_on(server, tmp_path):
    server.stalls = True
    download = f"download_maestro({str(tmp_path)!r}, url={server.url!r}, sha256='')"
    code = f"from kerasmusic.data.maestro import download_maestro; {download}"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    part = tmp_path / "maestro.zip.part"
    # Python writes its buffer in blocks, so received data may not be on disk yet.
    while not part.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [file.name for file in tmp_path.iterdir()] == ["maestro.zip.part"]
    server.stalls = False
    assert fetch(server, tmp_path).read_bytes() == DATA
    assert [file.name for file in tmp_path.iterdir()] == ["maestro.zip"]


@pytest.mark.parametrize("fault", ["cut", "changed", "longer"])
def test_a_served_file_that_is_not_the_one_named_never_gets_its_name(server, tmp_path, monkeypatch, fault):
    other = {"cut": DATA[:-1], "changed": b"x" + DATA[1:], "longer": DATA + b"x"}[fault]
    monkeypatch.setitem(globals(), "DATA", other)
    with pytest.raises(KerasMusicError, match=f"its sha256 is {hashlib.sha256(other).hexdigest()}, not {SHA256}"):
        fetch(server, tmp_path)
    assert not list(tmp_path.iterdir())
