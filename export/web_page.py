"""The same file in a browser: a folder with a page that plays a model, which any static host serves.

The page is in `web/`, beside this module. What it takes from npm, LiteRT.js, is pinned there and fetched when a folder
is written, so that nothing is fetched from elsewhere when the page runs.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import ArgumentError, KerasMusicError, MissingPackageError

SOURCES = Path(__file__).with_name("web")
NPM_FILES = ("package.json", "package-lock.json")
WORKER = "service_worker.js"
MARK = "__VERSION_AND_FILES__"
# What the names of its caches begin with: no other page's worker says so.
PREFIX = b'"kerasmusic-"'
PORT = 8000
# The build without relaxed SIMD: every browser with SIMD runs it, and rounds alike on every processor.
GLUE = "litert_wasm_compat_internal"
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
        folder: the folder to write, whole or not at all. It takes the place of a page that was there before; a folder
            of anything else is left alone.

    Returns:
        The bytes of all files.

    Raises:
        ModelFileError: the file is not a kerasmusic model.
        ArgumentError: there is something else where the folder should be.
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
        licence = fresh / "LICENCES.txt"
        licence.write_text(f"model.tflite\n  {record.get('licence', 'not recorded')}\n\n{licence.read_text()}")
        files = sorted(path for path in fresh.rglob("*") if path.is_file())
        _list_files(fresh, files)
        size = sum(path.stat().st_size for path in files)
        _put(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return size


def _is_page(folder: Path) -> bool:
    worker = folder / WORKER
    return worker.is_file() and PREFIX in worker.read_bytes()


def _copy_sources(fresh: Path) -> None:
    shutil.copytree(SOURCES, fresh, ignore=shutil.ignore_patterns(*NPM_FILES, "node_modules", "__pycache__"))


def _add_runtime(runtime: Path) -> None:
    """LiteRT.js as modules that a worker can import, and its WebAssembly packed."""
    runtime.mkdir()
    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as place:
        package = _install_packages(Path(place)) / "@litertjs" / "core"
        library = (package / "dist" / "index.js").read_text()
        # Workers have no import maps, which would say where this is.
        bare = '"@litertjs/wasm-utils"'
        if library.count(bare) != 1:
            raise KerasMusicError(f"the package @litertjs/core has no single import of {bare}; was it changed?")
        library = library.replace(bare, '"../wasm_loader.js"').replace("//# sourceMappingURL=index.js.map", "")
        (runtime / "litert.js").write_text(library)
        glue = (package / "wasm" / f"{GLUE}.js").read_text()
        (runtime / "litert_wasm.js").write_text(f"{glue}\nexport default ModuleFactory;\n")
        code = (package / "wasm" / f"{GLUE}.wasm").read_bytes()
        (runtime / "litert_wasm.wasm.gz").write_bytes(gzip.compress(code, mtime=0))


def _install_packages(place: Path) -> Path:
    """The `node_modules` that npm fills in a folder, of the very packages that the lock file names."""
    npm = shutil.which("npm")
    if npm is None:
        raise MissingPackageError(
            "a page takes its runtime from npm, which is not installed; install Node.js with npm, "
            "such as by: apt install nodejs npm"
        )
    for name in NPM_FILES:
        shutil.copy(SOURCES / name, place)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        reason = lines[0].removeprefix("npm error").strip() if lines else f"exit code {done.returncode}"
        raise KerasMusicError(f"npm could not install the page's runtime ({reason}); is there a network?")
    return place / "node_modules"


def _list_files(fresh: Path, files: list[Path]) -> None:
    """Tells the service worker which files to keep, and a version that changes with any of them."""
    names = [path.relative_to(fresh).as_posix() for path in files]
    digest = hashlib.sha256()
    for name, path in zip(names, files, strict=True):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    kept = ["./", *(name for name in names if name not in ("index.html", WORKER))]
    worker = fresh / WORKER
    worker.write_text(worker.read_text().replace(f'"{MARK}"', json.dumps([digest.hexdigest()[:16], kept])))


def _put(fresh: Path, folder: Path) -> None:
    """Renames a folder into its place, and removes what was there."""
    if not folder.exists():
        fresh.replace(folder)
        return
    before = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    folder.replace(before)
    try:
        fresh.replace(folder)
    except OSError:
        before.replace(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)


class _Handler(http.server.SimpleHTTPRequestHandler):
    # One connection serves many files.
    protocol_version = "HTTP/1.1"
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012

    def end_headers(self) -> None:
        # A page that was written anew is seen at the next visit; unchanged files are not sent again.
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: whoever watches wants to see the address."""


def page_server(folder: str | os.PathLike[str], port: int = PORT) -> http.server.ThreadingHTTPServer:
    """A server of a folder on loopback, at `port` or, where that is taken, at any that is free.

    Its address is `server_address`; `serve_forever` serves.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
