"""Measures the web page in a headless Chromium, with Playwright: `python -m kerasmusic.bench.web MODEL.tflite...`.

For each file it prints the bytes that a static server sends before the first note, and the seconds to it: without a
cache, from the browser's HTTP cache, and from the service worker. It also prints the microseconds per note in the
page's worker, and the seconds of music that the page keeps ready.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import re
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from kerasmusic.edge.model_file import read_model_bytes, read_record
from kerasmusic.errors import MissingPackageError

WARM_UP, TIMED = 1_000, 10_000
MAKE_NOTES = """([warmUp, wanted]) => new Promise((resolve, reject) => {
  const worker = new Worker("worker.js", { type: "module" });
  let times = [];
  let count = 0;
  worker.onmessage = ({ data }) => {
    if (data.kind === "ready") worker.postMessage({ kind: "begin", request: 1, seed: 7n, settings: {} });
    if (data.kind === "problem") reject(new Error(data.text));
    if (data.kind !== "notes") return;
    count += data.notes.length;
    times.push(...data.microseconds);
    worker.postMessage({ kind: "playhead", index: count, seconds: data.notes.at(-1).start });
    if (count >= warmUp + wanted) {
      worker.terminate();
      resolve(times.slice(warmUp, warmUp + wanted));
    }
  };
  worker.postMessage({ kind: "load", model: new URL("model.tflite", location).href });
})"""


class _CountingHandler(http.server.SimpleHTTPRequestHandler):
    """Counts the bytes sent; isolates its pages across origins, which gives them a clock of 5 microseconds."""

    sent = 0

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        type(self).sent += len(data)
        outputfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Logs nothing."""


def measure(model: str, chromium: str) -> dict[str, Any]:
    """Measures one file."""
    from playwright.sync_api import expect, sync_playwright

    from kerasmusic.export.web_page import write_page

    with tempfile.TemporaryDirectory(prefix="kerasmusic-") as folder_name, sync_playwright() as playwright:
        folder = Path(folder_name) / "page"
        write_page(model, folder)
        handler = functools.partial(_CountingHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        figures: dict[str, Any] = {}

        def visit(name: str, context: Any) -> Any:
            before, began = _CountingHandler.sent, time.monotonic()
            page = context.new_page()
            page.goto(address)
            expect(page.locator("#download")).to_be_enabled(timeout=120_000)
            figures[name] = _CountingHandler.sent - before, time.monotonic() - began
            return page

        # Without a service worker, as over plain http, the HTTP cache serves the second visit.
        context = browser.new_context(service_workers="block")
        visit("cold", context).close()
        visit("cached", context)
        context.close()
        context = browser.new_context()
        page = visit("cold, to be kept", context)
        expect(page.locator("#offline")).to_contain_text("without a network", timeout=120_000)
        page.close()
        page = visit("kept", context)
        page.wait_for_timeout(3_000)
        figures["ahead"] = float(re.findall(r"([\d.]+) s ahead", page.inner_text("#figures"))[0])
        page.close()
        page = context.new_page()
        page.goto(f"{address}LICENCES.txt")
        times = page.evaluate(MAKE_NOTES, [WARM_UP, TIMED])
        figures["median"], figures["p99"] = statistics.median(times), statistics.quantiles(times, n=100)[98]
        browser.close()
        server.shutdown()
    return figures


def main() -> None:
    """Prints a table with one row per file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL.tflite", nargs="+")
    models = parser.parse_args().models
    chromium = shutil.which("chromium")
    if chromium is None:
        raise MissingPackageError("chromium is not installed; run: apt install chromium")
    row = "{:<10} {:>10} {:>8} {:>12} {:>8} {:>10} {:>8} {:>9} {:>7} {:>8}"
    names = (
        "precision",
        "cold",
        "seconds",
        "http cache",
        "seconds",
        "kept",
        "seconds",
        "us median",
        "us p99",
        "ahead s",
    )
    print(row.format(*names))
    for model in models:
        figures = measure(model, chromium)
        visits = [f"{number:,}" if index == 0 else f"{number:.1f}"
                  for name in ("cold", "cached", "kept") for index, number in enumerate(figures[name])]  # fmt: skip
        rest = [f"{figures['median']:.0f}", f"{figures['p99']:.0f}", f"{figures['ahead']:.1f}"]
        print(row.format(read_record(read_model_bytes(model), model)["precision"], *visits, *rest), flush=True)


if __name__ == "__main__":
    main()
