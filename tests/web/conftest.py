"""The browser of the tests of the page, and a page of the bundled model."""

import pytest

from kerasmusic.bundled import bundled_model
from kerasmusic.export.web_page import write_page
from opening import CHROMIUM
from serving import Serving


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("needs chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # A name other than localhost stands for a home network, without a secure context.
        rules = "--host-resolver-rules=MAP piano.home 127.0.0.1"
        arguments = ["--no-sandbox", rules, "--autoplay-policy=document-user-activation-required"]
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def bundled_page(tmp_path_factory):
    """The address of a page of the bundled model."""
    folder = tmp_path_factory.mktemp("bundled") / "page"
    write_page(bundled_model(), folder)
    serving = Serving(folder)
    yield serving.url
    serving.stop()
