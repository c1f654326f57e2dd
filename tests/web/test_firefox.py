"""Tests the page in a headless Firefox, driven by WebDriver BiDi: `nox -s tests-web`."""

import itertools
import json
import shutil
import subprocess
import time

import pytest

pytest.importorskip("websockets", reason="needs the packages of nox -s tests-web")

from websockets.sync.client import connect

from kerasmusic.bundled import bundled_model
from kerasmusic.export.web_page import SOURCES, write_page
from rendering import centroid, delay, render_each
from serving import Serving

pytestmark = [pytest.mark.device, pytest.mark.slow]

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
# Seconds within which the browser starts, and answers.
LONGEST = 120
VERIFY = """new Promise((resolve) => {
  const verdict = document.getElementById("verdict");
  const look = () => {
    if (/^(Verified|FAILED)/.test(verdict.textContent)) resolve(verdict.textContent);
    else setTimeout(look, 100);
  };
  const press = () => {
    const button = document.getElementById("verify");
    if (button.disabled) return setTimeout(press, 100);
    button.click();
    look();
  };
  press();
})"""


class Firefox:
    """The tab of a running browser, over its WebSocket."""

    def __init__(self, socket):
        self.socket = socket
        self.numbers = itertools.count(1)
        self.ask("session.new", capabilities={})
        self.tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method, **params):
        """Sends a command, and returns its result; events that arrive before it are skipped."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        until = time.monotonic() + LONGEST
        while time.monotonic() < until:
            answer = json.loads(self.socket.recv(timeout=LONGEST))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]
        raise AssertionError(f"no answer to {method} in {LONGEST} s")

    def open(self, url):
        self.ask("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def evaluate(self, expression):
        """The text to which an expression, or its promise, evaluates."""
        answer = self.ask("script.evaluate", expression=expression, target={"context": self.tab}, awaitPromise=True)
        assert answer["type"] == "success", answer
        return answer["result"]["value"]


@pytest.fixture
def firefox(tmp_path):
    if not FIREFOX:
        pytest.skip("needs firefox-esr")
    command = [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            # Firefox writes this file once it listens.
            listening = tmp_path / "WebDriverBiDiServer.json"
            until = time.monotonic() + LONGEST
            while not listening.exists() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            address = json.loads(listening.read_text())
            with connect(f"ws://{address['ws_host']}:{address['ws_port']}/session", max_size=None) as socket:
                yield Firefox(socket)
        finally:
            process.terminate()


def test_the_bundled_model_plays_its_very_notes(firefox, tmp_path):
    write_page(bundled_model(), tmp_path / "page")
    serving = Serving(tmp_path / "page")
    firefox.open(serving.url)
    verdict = firefox.evaluate(VERIFY)
    serving.stop()
    assert verdict.startswith(
        "Verified: it plays the very notes of this exact file, 10,000 of 10,000; log probabilities"
    )


def test_the_recorded_piano_sounds_at_once_and_is_brighter_at_loud_strikes(firefox):
    serving = Serving(SOURCES)
    firefox.open(serving.url)
    sounds = render_each(firefox, [(60, 40), (60, 64), (60, 110)], slot=1.5)
    serving.stop()
    assert all(0 <= delay(sound) < 0.01 for sound in sounds)
    assert centroid(sounds[2]) >= 1.2 * centroid(sounds[0])
