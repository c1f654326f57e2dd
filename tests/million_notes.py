"""Compares a million notes of a bundled model, and the state after them, on three runtimes: `nox -s million-notes`.

The exit code is 1 if a hash differs.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from kerasmusic.bundled import NAMES, bundled_model
from kerasmusic.edge import Generator, TFLiteRuntime
from kerasmusic.edge.runtime import INTERPRETERS

NOTES = 1_000_000
SEED = 1
# Makes the notes with the page's own modules, and gives the bytes of their fields and of the state in slices.
PAGE_SCRIPT = """async ([notes, seed]) => {
  const { Codec } = await import("./codec.js");
  const { Generator } = await import("./generator.js");
  const { openStep } = await import("./litert_step.js");
  const { readRecord } = await import("./model_record.js");
  const bytes = new Uint8Array(await (await fetch("model.tflite")).arrayBuffer());
  const record = await readRecord(bytes);
  const codec = new Codec(record.codec);
  const step = await openStep(bytes, record, codec);
  const generator = new Generator(step, codec, record);
  generator.begin(BigInt(seed));
  const fields = new Int32Array(4 * notes);
  for (let index = 0; index < notes; index += 1) {
    await generator.next();
    fields.set(step.note, 4 * index);
  }
  // Adding 0 makes a negative zero the positive one.
  const state = Float32Array.from(step.state, (value) => value + 0);
  const hash = async (array) =>
    [...new Uint8Array(await crypto.subtle.digest("SHA-256", array))]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");
  return [await hash(fields), await hash(state)];
}"""


def in_python(model: str, notes: int, interpreter: str) -> tuple[str, list[str]]:
    """The interpreter's name, and the hashes of the notes and of the state."""
    runtime = TFLiteRuntime(bundled_model(model), interpreter=interpreter)
    generator = Generator(runtime, seed=SEED)
    fields = np.empty((notes, 4), "<i4")
    for row in fields:
        next(generator)
        row[:] = runtime.note[0]
    parts = (fields, runtime.state.astype("<f4") + np.float32(0))
    return runtime.name, [hashlib.sha256(part.tobytes()).hexdigest() for part in parts]


def in_chromium(model: str, notes: int) -> tuple[str, list[str]]:
    """The same of the page."""
    from playwright.sync_api import sync_playwright

    from kerasmusic.export.web_page import write_page

    sys.path.insert(0, str(Path(__file__).parent / "web"))
    from serving import Serving

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_page(bundled_model(model), Path(folder) / "page")
        serving = Serving(Path(folder) / "page")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        # The page itself runs the model in a worker, which its content security policy does not concern.
        page = browser.new_page(bypass_csp=True)
        page.goto(serving.url)
        hashes = page.evaluate(PAGE_SCRIPT, [notes, str(SEED)])
        name = f"LiteRT.js in Chromium {browser.version}"
        browser.close()
        serving.stop()
    return name, hashes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=NOTES)
    parser.add_argument("--model", default="small", choices=NAMES, help="a bundled model")
    options = parser.parse_args()
    found = set()
    for play in (*(partial(in_python, interpreter=each) for each in INTERPRETERS[:2]), in_chromium):
        name, hashes = play(options.model, options.notes)
        print(
            f"{options.model} on {name}: {options.notes:,} notes {hashes[0][:32]}, state {hashes[1][:32]}", flush=True
        )
        found.add(tuple(hashes))
    return int(len(found) > 1)


if __name__ == "__main__":
    sys.exit(main())
