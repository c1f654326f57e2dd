"""Writes and serves a web page that plays a `.tflite` file; any static host can serve it.

The sources of the page are in `web/`. Its only npm package, LiteRT.js, is pinned there and fetched when a folder is
written, so the page fetches nothing from other hosts.
"""

from __future__ import annotations

import errno
import functools
import gzip
import hashlib
import http.server
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO

from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.edge.piece import model_id
from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError

SOURCES = Path(__file__).with_name("web")
NPM_FILES = ("package.json", "package-lock.json")
WORKER = "service_worker.js"
PLACEHOLDER = "__VERSION_AND_FILES__"
MODEL_PLACEHOLDER = "__MODEL__"
# The prefix of the page's caches, by which its service worker is recognised.
PREFIX = b'"kerasmusic-"'
LOOPBACK, PORT = "127.0.0.1", 8000
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104
# The build without relaxed SIMD runs in every browser with SIMD, and rounds alike on every processor.
GLUE = "litert_wasm_compat_internal"
LIBRARY_CHANGES = {
    # Workers have no import maps to resolve this name.
    '"@litertjs/wasm-utils"': '"../wasm_loader.js"',
    # A step of this size needs no GPU, and where there is none, looking for one warns on the console.
    "await Environment.create()": "await Environment.create({ webGpuDevice: null })",
}
TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".gz": "application/gzip",
    ".tflite": "application/octet-stream",
    ".webmanifest": "application/manifest+json",
}


def write_page(model: str | os.PathLike[str], folder: str | os.PathLike[str]) -> int:
    """Writes the folder of a page that plays a model.

    Args:
        model: a `.tflite` file made by kerasmusic.
        folder: the folder to write, atomically. It replaces an existing page, but nothing else.

    Returns:
        The size of all files in bytes.

    Raises:
        ModelFileError: the file is not a kerasmusic model.
        ArgumentError: the folder holds something other than a page.
        MissingPackageError: Node.js or npm is not installed.
    """
    folder = Path(folder)
    data = read_model_bytes(model)
    record = read_record(data, str(model))
    if folder.exists() and not _is_page(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(f"{folder}: holds something other than a page of kerasmusic; name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        _copy_sources(fresh)
        _add_runtime(fresh / "runtime")
        (fresh / "model.tflite").write_bytes(data)
        index = fresh / "index.html"
        index.write_text(index.read_text().replace(MODEL_PLACEHOLDER, model_id(fresh / "model.tflite")))
        licence = fresh / "LICENCES.txt"
        licence.write_text(f"model.tflite\n  {record.get('licence', 'not recorded')}\n\n{licence.read_text()}")
        files = sorted(path for path in fresh.rglob("*") if path.is_file())
        _list_files(fresh, files)
        size = sum(path.stat().st_size for path in files)
        _replace(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return size


def _is_page(folder: Path) -> bool:
    worker = folder / WORKER
    return worker.is_file() and PREFIX in worker.read_bytes()


def _copy_sources(fresh: Path) -> None:
    shutil.copytree(SOURCES, fresh, ignore=shutil.ignore_patterns(*NPM_FILES, "node_modules", "__pycache__"))


def _add_runtime(runtime: Path) -> None:
    """Writes LiteRT.js as modules that a worker can import, and its WebAssembly compressed."""
    runtime.mkdir()
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder:
        package = _install_packages(Path(folder)) / "@litertjs" / "core"
        library = (package / "dist" / "index.js").read_text()
        for found, wanted in LIBRARY_CHANGES.items():
            if library.count(found) != 1:
                raise KerasMusicError(f"the package @litertjs/core has no single {found}; was it changed?")
            library = library.replace(found, wanted)
        library = library.replace("//# sourceMappingURL=index.js.map", "")
        (runtime / "litert.js").write_text(library)
        glue = (package / "wasm" / f"{GLUE}.js").read_text()
        (runtime / "litert_wasm.js").write_text(f"{glue}\nexport default ModuleFactory;\n")
        code = (package / "wasm" / f"{GLUE}.wasm").read_bytes()
        (runtime / "litert_wasm.wasm.gz").write_bytes(gzip.compress(code, mtime=0))


def _install_packages(folder: Path) -> Path:
    """Installs the packages of the lock file with npm; returns their folder `node_modules`."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingPackageError(
            "a page takes its runtime from npm, which is not installed; install Node.js with npm, "
            "such as by: apt install nodejs npm"
        )
    for name in NPM_FILES:
        shutil.copy(SOURCES / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        reason = lines[0].removeprefix("npm error").strip() if lines else f"exit code {done.returncode}"
        raise KerasMusicError(f"npm could not install the page's runtime ({reason}); is there a network?")
    return folder / "node_modules"


def _list_files(fresh: Path, files: list[Path]) -> None:
    """Writes the list of files to cache, and a version that changes with any of them, into the service worker."""
    names = [path.relative_to(fresh).as_posix() for path in files]
    digest = hashlib.sha256()
    for name, path in zip(names, files, strict=True):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    kept = ["./", *(name for name in names if name not in ("index.html", WORKER))]
    worker = fresh / WORKER
    worker.write_text(worker.read_text().replace(f'"{PLACEHOLDER}"', json.dumps([digest.hexdigest()[:16], kept])))


def _replace(fresh: Path, folder: Path) -> None:
    """Renames a folder to its final name, and deletes the previous one."""
    if not folder.exists():
        fresh.replace(folder)
        return
    previous = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    folder.replace(previous)
    try:
        fresh.replace(folder)
    except OSError:
        previous.replace(folder)
        raise
    shutil.rmtree(previous, ignore_errors=True)


class _Handler(http.server.SimpleHTTPRequestHandler):
    # HTTP/1.1 serves several files over one connection.
    protocol_version = "HTTP/1.1"
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        # The folder's own files, but no lists of folders, and nothing elsewhere that a link points to.
        path, root = Path(self.translate_path(self.path)), Path(self.directory)
        if path.is_dir():
            path /= "index.html"
        if not path.is_file() or path.resolve() != root / path.relative_to(root):
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        # Browsers revalidate at each visit: a new page is seen at once, and unchanged files are not sent again.
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing, so that the address stays visible."""


def page_server(
    folder: str | os.PathLike[str], port: int = PORT, host: str = LOOPBACK
) -> http.server.ThreadingHTTPServer:
    """A server of a folder's files at `port` or, if it is taken, at any free port.

    Its address is `server_address`, of which `page_address` makes a URL; call `serve_forever` to serve.

    Args:
        folder: the folder of a page.
        port: the port to try first.
        host: the address or the name of this machine to listen at; "0.0.0.0" for all of its addresses.

    Raises:
        ArgumentError: this machine has no such address.
    """
    handler = functools.partial(_Handler, directory=str(Path(folder).resolve()))
    for tried in (port, 0):
        try:
            return http.server.ThreadingHTTPServer((host, tried), handler)
        except OSError as error:
            # Another program has the port.
            if tried and error.errno in (errno.EADDRINUSE, errno.EACCES):
                continue
            raise ArgumentError(
                f"{host}: this machine cannot listen there ({error.strerror or error}); name one of its own addresses, "
                "or 0.0.0.0 for all"
            ) from None
    raise AssertionError


def page_address(host: str, port: int) -> str:
    """The URL at which other devices find a server; for "0.0.0.0", at the interface that has the default route.

    >>> page_address("192.168.1.7", 8000)
    'http://192.168.1.7:8000/'
    """
    if host == EVERY_ADDRESS:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # Sends nothing: it only asks for the route to an address that is reserved for documentation.
                probe.connect(("192.0.2.1", 9))
                host = probe.getsockname()[0]
            except OSError:
                host = LOOPBACK
    return f"http://{host}:{port}/"
